"""Tools that show, without a GPU, whether the program would run on one.

`Explicit` refuses tensors that are made without a device and results that are fetched from the model's device, but for
what `MAKING` and `FETCHING` name. `one_device` refuses an operation in which tensors of two devices meet. `accelerator`
is a device of PyTorch's own kind for new hardware that computes on the CPU and has real values: to everybody its
tensors lie elsewhere, so that whatever a GPU would refuse is refused.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ROOT = Path(__file__).parents[2]
OURS = (str(ROOT / "litellama"), str(ROOT / "app"), str(ROOT / "lessons"))

MAKERS = frozenset(
    getattr(torch, name)
    for name in (
        "arange", "as_tensor", "empty", "eye", "full", "linspace", "logspace", "ones",
        "rand", "randint", "randn", "randperm", "tensor", "tril_indices", "triu_indices", "zeros",
    )
)  # fmt: skip
FETCHERS = frozenset((Tensor.cpu, Tensor.numpy, Tensor.item, Tensor.tolist))

PARAMETERS = "modules are made where `torch.device(...)` says, for most on the meta device"
DATA = "data are prepared on the CPU and moved batch by batch"
PLAN = "which units or heads are changed is planned on the CPU, where their scores are collected"
SCORES = "scores of tokens are drawn from and told to people on the CPU"
RESULT = "a result, small and final, leaves the device"
WRITTEN = "files are written from the CPU's memory"
CLOCK = "a clock has to wait for the device"


def _edges(by_reason: dict[str, str]) -> dict[str, str]:
    return {f"{name}": reason for reason, names in by_reason.items() for name in names.split()}


MAKING = _edges({
    PARAMETERS: "litellama.model:RMSNorm.__init__ litellama.model:Decoder.__init__",
    DATA: "litellama.data.batches:collate litellama.evaluation.memorisation:_recalls "
    "litellama.evaluation.paired_prompts:log_probabilities",
    PLAN: "litellama.explain.attribution:_ablation litellama.explain.attribution:_attribute "
    "litellama.explain.attribution:_shapley_sampling litellama.explain.scoring:Scorer.ends "
    "litellama.explain.scoring:Scorer.iter_scores litellama.explain.scoring:Scorer.scores "
    "litellama.explain.scoring:_curve "
    "litellama.explain.heads:scores_with_heads litellama.explain.heads:iter_patch_each "
    "litellama.explain.heads:_one_each litellama.explain.heads:_effects "
    "litellama.explain.heads:search_smallest_set litellama.explain.heads:_without "
    "app.intervene.service:answer_with",
})  # fmt: skip
"""Functions (module:name) that may make tensors without a device, each with its reason."""

FETCHING = _edges({
    SCORES: "litellama.generate:make_step app.attribution.service:reading_json app.intervene.service:answer_with",
    PLAN: "litellama.explain.attribution:_attribute litellama.explain.attribution:_by_unit "
    "litellama.explain.attribution:_integrated_gradients litellama.explain.heads:_score "
    "litellama.explain.heads:_effects litellama.explain.heads:_stays litellama.explain.scoring:Scorer.ends "
    "litellama.explain.scoring:Scorer.iter_scores litellama.evaluation.faithfulness:judge "
    "app.intervene.service:few_that_suffice",
    RESULT: "litellama.explain.lens:_predictions litellama.explain.trace:trace_step "
    "litellama.evaluation.faithfulness:_answers "
    "litellama.evaluation.calibration:_answers "
    "litellama.evaluation.calibration:next_token_reliability litellama.evaluation.memorisation:_recalls "
    "litellama.evaluation.paired_prompts:log_probabilities litellama.evaluation.exact_match:_predict "
    "litellama.evaluation.exact_match:evaluate litellama.evaluation.perplexity:_summed_loss "
    "litellama.training.replicas:Replicas.backward litellama.training.parallel:as_number "
    "app.attribution.service:_rounded app.attribution.service:compare app.intervene.service:_effects_json "
    "app.layers.service:lens_json "
    "app.attention.service:_base64 app.step.service:_guesses app.step.service:_rounded app.step.service:trace_json",
    CLOCK: "litellama.footprint.machine:peak",
    WRITTEN: "litellama.export.gguf_file:_content",
    DATA: "litellama.training.loop:_step litellama.evaluation.perplexity:_bytes",
})  # fmt: skip
"""Functions that may fetch results from the device, likewise."""


# --- Tensors without a device, results without a reason ---------------------------------------------------------------


class Explicit(TorchFunctionMode):
    """While it is active, the program's functions must name the device of what they make and may not fetch results.

    What is refused raises; with `found`, it is counted there instead."""

    def __init__(self, found: Counter[str] | None = None) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = func in MAKERS and "device" not in kwargs and not (func is torch.as_tensor and _is_tensor(args))
        if made or func in FETCHERS:
            where = _caller()
            if where is not None and where not in (MAKING if made else FETCHING):
                what = f"{where}: {getattr(func, '__name__', func)}" + (" without a device" if made else "")
                if self.found is None:
                    raise AssertionError(what)
                self.found[what] += 1
        return func(*args, **kwargs)


def _is_tensor(args: Any) -> bool:
    return bool(args) and isinstance(args[0], Tensor)


def _caller() -> str | None:
    """Which function of the program is at work; None if PyTorch, another package or a test is, on its own account."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back  # type: ignore[assignment]
    code = frame.f_code
    if not code.co_filename.startswith(OURS):
        return None
    module = Path(code.co_filename).relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return f"{module}:{code.co_qualname.partition('.<')[0]}"


# --- Two devices in one operation ------------------------------------------------------------------------------------

COPIES = ("aten::copy_", "aten::_to_copy", "aten::_has_compatible_shallow_copy_type")
INDEXING = ("aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_")


def check_devices(func: Any, args: Any, kwargs: Any) -> None:
    """Raise if tensors of two devices meet, as PyTorch's kernels for GPUs do: a single number of the CPU may meet
    others, and a GPU's tensor may be indexed by indices of the CPU."""
    name = func._schema.name
    if name in COPIES:
        return
    if name in INDEXING and args[0].device.type != "cpu":
        args = (args[0], *args[2:])
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    numbers_may = "_fused_" not in name  # whose kernel reads an optimizer's counts on its own device
    large = {one.device for one in tensors if one.dim() or one.device.type != "cpu" or not numbers_may}
    if len(large) > 1:
        raise RuntimeError(f"{name}: tensors of {' and '.join(sorted(map(str, large)))} meet")


class OneDevice(TorchDispatchMode):
    """While it is active, tensors of two devices may not meet in one operation."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        check_devices(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


# --- A device of its own ---------------------------------------------------------------------------------------------

NAME = "pretend"
WRONG: set[str] = set()
"""Operations that the pretended device does wrongly, without an error, as real ones have done."""


class _Backend(backend_registration._DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


_PRODUCTS = (Tensor.__matmul__, Tensor.matmul, torch.matmul)


class Elsewhere(Tensor):
    """A tensor that lies on the pretended device; its numbers are in `inner`, on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Elsewhere:
        made: Elsewhere = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=torch.device(NAME, 0), requires_grad=False,
        )  # fmt: skip
        made.inner = inner
        return made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            if func in (Tensor.tolist, Tensor.untyped_storage):
                return func(args[0].inner)
            if func is Tensor.numpy:
                raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy; use Tensor.cpu() first")
            if func in (Tensor.__getitem__, Tensor.__setitem__):  # whose lists would become tensors past every mode
                args = (args[0], _index(args[1]), *args[2:])
            if func in _PRODUCTS and args[0].dim() == 1 and args[1].dim() == 2:
                return (args[0][None] @ args[1])[0]  # PyTorch's own way changes a shape in place, which this cannot
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _index(index: Any) -> Any:
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(
        torch.tensor(part, dtype=None if part else torch.long, device="cpu") if isinstance(part, list) else part
        for part in parts
    )
    return parts if isinstance(index, tuple) else parts[0]


def _computed(func: Any, args: Any, kwargs: Any) -> Any:
    """The operation on the CPU, its result there or on the pretended device."""
    check_devices(func, args, kwargs)
    if func._schema.name == "aten::_has_compatible_shallow_copy_type":
        return False  # `parameter.data = ...` would leave the numbers behind
    leaves = tree_leaves((args, kwargs))
    there = [one for one in leaves if isinstance(one, Elsewhere)]
    device = kwargs.get("device")
    if device is None and there and func._schema.name in COPIES:
        goes = isinstance(args[0], Elsewhere)
    else:
        goes = bool(there) if device is None else torch.device(device).type == NAME

    def on_cpu(value: Any) -> Any:
        if isinstance(value, Elsewhere):
            return value.inner
        return torch.device("cpu") if isinstance(value, torch.device) and value.type == NAME else value

    result = func(*tree_map(on_cpu, args), **tree_map(on_cpu, kwargs))
    if not goes:
        return result
    if func._schema.name in WRONG:
        result = result * 1.5
    same = {id(one.inner): one for one in there}  # what works in place gives back what it was given

    def moved(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return same[id(value)] if id(value) in same else Elsewhere(value)

    return tree_map(moved, result)


class _Computing(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class _Making(TorchFunctionMode):
    """`torch.tensor(..., device=)` goes past every other mode, so it is made on the CPU and moved."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu").type == NAME:
            return func(*args, **(kwargs | {"device": "cpu"})).to(NAME)
        return func(*args, **kwargs)


_KERNELS: list[torch.library.Library] = []


def register() -> None:
    """Make the pretended device known to this process, once and before its first gradient."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())  # type: ignore[no-untyped-call]
    library = torch.library.Library("_", "IMPL")
    library.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    _KERNELS.append(library)  # which is in force as long as somebody holds it


@contextmanager
def accelerator() -> Iterator[torch.device]:
    """The pretended device, ready for use in all threads begun here; `register` has to be called first.

    Inference mode, which a device written in Python does not have, is the mode without gradients meanwhile."""

    def enter(self: torch.inference_mode) -> None:
        self._inference_mode_context = torch.set_grad_enabled(torch.is_grad_enabled() and not self.mode)
        self._inference_mode_context.__enter__()

    torch.__future__.set_swap_module_params_on_conversion(True)  # so that `model.to` leaves tied weights tied
    try:
        with patch.object(torch.inference_mode, "__enter__", enter), in_all_threads(_Computing, _Making):
            yield torch.device(NAME, 0)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


# --- Threads ---------------------------------------------------------------------------------------------------------


@contextmanager
def in_all_threads(*modes: Callable[[], Any]) -> Iterator[None]:
    """Activate `modes`, which PyTorch does for one thread only, here and in all threads that begin meanwhile."""
    run = threading.Thread.run

    def with_modes(self: threading.Thread) -> None:
        with ExitStack() as stack:
            for mode in modes:
                stack.enter_context(mode())
            run(self)

    with patch.object(threading.Thread, "run", with_modes), ExitStack() as stack:
        for mode in modes:
            stack.enter_context(mode())
        yield
