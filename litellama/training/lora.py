"""Low-rank adaptation: teach a model something new by training very few weights (Hu et al. 2021, LoRA).

    model = add_lora(open_checkpoint(folder).model, rank=4)    every chosen matrix W gets two thin ones, A and B
    ...                                                        train what `trainable(model)` lists: A and B alone
    merge_lora(model)                                          W + scale B A takes W's place: an ordinary model again

What fine-tuning adds to a matrix W (out, in), so the paper's guess that its results bear out, is nearly of low rank. So
W stays as it is, and only the addition is learned, as a product that cannot be of a higher one:

    y = W x + scale B (A x)        A: (rank, in)   B: (out, rank)   scale = alpha / rank

TinyTown's q_proj, 192 x 192, has 36,864 weights; A and B of rank 4 have 4 x (192 + 192) = 1,536. In all of LLaMA 2 7B
they are 0.15 %. Gradients and the optimizer's moments, three times what is trained, shrink alike; the work of a forward
pass does not.

B begins at zero, so the model begins as itself; A does not, or neither would ever get a gradient. Dividing by the rank
lets a learning rate found at one rank do at another (section 4.1).

Files are laid out as by Hugging Face's library PEFT, which reads ours as we read its.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from litellama.config import ModelConfig
from litellama.model import LiteLlama, empty_model

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All matrices of a layer, which is the default: the paper adapts queries and values only, but it takes all of them to
match full fine-tuning (Dettmers et al. 2023, QLoRA, section 4)."""


class LoRALinear(nn.Module):
    """y = base(x) + scale * B(A(x)): a frozen linear layer and what is learned on top of it.

    While `enabled` is False it is the frozen layer alone.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        options: dict[str, Any] = {"bias": False, "device": base.weight.device, "dtype": base.weight.dtype}
        self.base = base.requires_grad_(False)
        self.lora_A = nn.Linear(base.in_features, rank, **options)
        self.lora_B = nn.Linear(rank, base.out_features, **options)
        self.rank, self.alpha, self.scale, self.enabled = rank, alpha, alpha / rank, True
        with torch.no_grad():
            # This deviation makes A x about as large as x. Drawn on the CPU, so that all devices begin alike.
            first = torch.empty(rank, base.in_features, device="cpu")
            self.lora_A.weight.copy_(first.normal_(0, base.in_features**-0.5, generator=generator))
            self.lora_B.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        return y + self.scale * self.lora_B(self.lora_A(x)) if self.enabled else y

    def merged(self) -> Tensor:
        """W + scale B A, the one matrix (out, in) that does the same, added up in float32."""
        change = self.lora_B.weight.float() @ self.lora_A.weight.float()
        return (self.base.weight.float() + self.scale * change).to(self.base.weight.dtype)

    @property
    def weight(self) -> Tensor:
        """What stands here in a plain linear layer, for those who look into one."""
        return self.merged() if self.enabled else self.base.weight


def add_lora(
    model: LiteLlama, rank: int = 8, alpha: float = 16.0, targets: Collection[str] = TARGETS, seed: int = 0
) -> LiteLlama:
    """Put a `LoRALinear` around the `targets` of every layer of this very model, and freeze everything else.

    Raises `ValueError` for unknown targets, a rank below 1 or beyond a target's smaller side, an alpha that is not
    above 0, or a model that has LoRA already; nothing is changed then.
    """
    _check(model.config, rank, alpha, targets)
    if any(isinstance(module, LoRALinear) for module in model.modules()):
        raise ValueError("this model has LoRA already; call merge_lora(model) first, or open the model anew")
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and _last(name) in targets:
            model.set_submodule(name, LoRALinear(module, rank, alpha, generator))
    return model


def merge_lora(model: LiteLlama) -> LiteLlama:
    """Put plain linear layers back, with what was learned added in; everything in this very model is trainable again.

    It answers as before up to rounding. Raises `ValueError` for a model without LoRA.
    """
    for name, adapted in _adapted(model).items():
        with torch.no_grad():
            adapted.base.weight.copy_(adapted.merged())
        model.set_submodule(name, adapted.base)
    return model.requires_grad_(True)


@contextmanager
def without_lora(model: LiteLlama) -> Iterator[LiteLlama]:
    """Inside this block the model is as it was before `add_lora`, to be asked the same thing before and after.

    It is so for all who use the model meanwhile. Raises `ValueError` for a model without LoRA.
    """
    before = [(adapted, adapted.enabled) for adapted in _adapted(model).values()]
    for adapted, _ in before:
        adapted.enabled = False
    try:
        yield model
    finally:
        for adapted, enabled in before:
            adapted.enabled = enabled


def trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """What training changes, by name: with LoRA every A and B, without it everything."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def lora_parameters(config: ModelConfig, rank: int, targets: Collection[str] = TARGETS) -> int:
    """Exactly how many weights `add_lora` adds, by arithmetic alone. Raises `ValueError` where it would."""
    _check(config, rank, 1.0, targets)
    sides = _sides(config)
    return config.num_hidden_layers * sum(rank * sum(sides[name]) for name in set(targets))


def _sides(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """How many numbers go into each target and how many come out."""
    queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    stream, wide = config.hidden_size, config.intermediate_size
    return {
        "q_proj": (stream, queries), "k_proj": (stream, keys), "v_proj": (stream, keys), "o_proj": (queries, stream),
        "gate_proj": (stream, wide), "up_proj": (stream, wide), "down_proj": (wide, stream),
    }  # fmt: skip


def _check(config: ModelConfig, rank: int, alpha: float, targets: Collection[str]) -> None:
    if not targets or not set(targets) <= set(TARGETS):
        raise ValueError(f"targets is {targets!r}; one or more of {', '.join(TARGETS)} were expected")
    most, name = min((min(sides), name) for name, sides in _sides(config).items() if name in targets)
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= most:
        raise ValueError(f"rank is {rank!r}; from 1 to {most}, the smaller side of {name}, was expected")
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha is {alpha}; a number above 0 was expected, such as 16")


def _adapted(model: LiteLlama) -> dict[str, LoRALinear]:
    if found := {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}:
        return found
    raise ValueError("this model has no LoRA; call add_lora(model) or load_adapter(folder, model) first")


def _last(name: str) -> str:
    """model.layers.0.self_attn.q_proj -> q_proj"""
    return name.rpartition(".")[2]


# --- Files -----------------------------------------------------------------------------------------------------------

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  # PEFT's own wrappers around a model
OTHER = ("use_rslora", "use_dora", "use_qalora", "alora_invocation_tokens", "rank_pattern", "alpha_pattern")
"""Settings of PEFT's under which the same numbers would mean something else."""


def save_adapter(folder: str | Path, model: LiteLlama) -> None:
    """Write every A and B, and their settings, into `folder`: what was learned, without the model.

    Raises `ValueError` for a model without LoRA, or with an adapter that holds numbers that are not finite.
    """
    adapted = _adapted(model)
    tensors = {}
    for name, module in adapted.items():
        for key, weight in module.named_parameters(prefix=name):
            if ".lora_" not in key:
                continue
            if not weight.isfinite().all():
                raise ValueError(f"{key} holds numbers that are not finite; this adapter is not worth saving")
            tensors[PREFIX + key] = weight.detach().to("cpu").contiguous()
    one, used = next(iter(adapted.values())), {_last(name) for name in adapted}
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": None, "inference_mode": True,
        "r": one.rank, "lora_alpha": one.alpha, "target_modules": [name for name in TARGETS if name in used],
        "bias": "none",
    }  # fmt: skip
    text = json.dumps(config, indent=2) + "\n"
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Callable[[Path], object]] = {
        WEIGHTS: lambda path: save_file(tensors, path, metadata={"format": "pt"}),
        CONFIG: lambda path: path.write_text(text, encoding="utf-8", newline="\n"),
    }
    for name, write in files.items():
        write(folder / f".{name}.new")
        with open(folder / f".{name}.new", "rb+") as file:
            os.fsync(file.fileno())
    (folder / CONFIG).unlink(missing_ok=True)  # killed from here on, it lacks its settings: never two mixed up
    for name in files:
        os.replace(folder / f".{name}.new", folder / name)


def load_adapter(folder: str | Path, model: LiteLlama) -> LiteLlama:
    """Give this very model the adapter in `folder`, ours or PEFT's, ready to answer, to go on learning or to be merged.

    Raises `ValueError`, before anything is changed, for files that are missing or broken, an adapter of another kind,
    or one made for a model of another shape.
    """
    folder = Path(folder)
    rank, alpha, targets = _read_settings(folder / CONFIG)
    like = add_lora(empty_model(model.config), rank, alpha, targets)
    shapes = {PREFIX + name: list(parameter.shape) for name, parameter in trainable(like)}
    tensors = _read_tensors(folder / WEIGHTS, shapes)
    add_lora(model, rank, alpha, targets)
    with torch.no_grad():
        for name, parameter in trainable(model):
            parameter.copy_(tensors[PREFIX + name])
    return model


def _read_settings(path: Path) -> tuple[int, float, list[str]]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        kind, rank, alpha, targets = (values[name] for name in ("peft_type", "r", "lora_alpha", "target_modules"))
        if not isinstance(targets, list):
            raise TypeError(f"target_modules is {targets!r}, not a list of names")
        settings = rank, float(alpha), [str(name) for name in targets]
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; an adapter is a folder with {CONFIG} and {WEIGHTS}") from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as wrong:
        raise ValueError(f"{path} does not say rank, alpha and targets as PEFT does ({wrong!r})") from None
    if kind != "LORA":
        raise ValueError(f"{path} describes an adapter of type {kind!r}; only 'LORA' can be loaded")
    if used := [name for name in OTHER if values.get(name)]:
        raise ValueError(f"{path} asks for {used[0]}, which the lab's LoRA does not have")
    return settings


def _read_tensors(path: Path, expected: dict[str, list[int]]) -> dict[str, Tensor]:
    """All tensors of the file, if they have just the names and shapes expected."""
    try:
        with safe_open(path, framework="pt") as file:
            stored = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (no dict)
            if differing := [name for name in {**expected, **stored} if stored.get(name) != expected.get(name)]:
                name = differing[0]
                raise ValueError(
                    f"{name} has shape {stored.get(name, 'none')} in {path}, where {expected.get(name, 'none')} was "
                    "expected; an adapter fits only the model it was trained on"
                )
            tensors = {name: file.get_tensor(name) for name in stored}
    except (SafetensorError, OSError) as wrong:
        raise ValueError(f"{path} is not a sound safetensors file ({wrong})") from None
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise ValueError(f"{name} in {path} holds something else than finite floating-point numbers")
    return tensors
