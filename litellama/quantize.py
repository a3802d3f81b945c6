"""Weights that rest in 16, 8 or 4 bits, for the same model code: what a token costs is mostly the reading of weights.

    16 bits   float16 or bfloat16, as most models are published
     8 bits   whole numbers of -127 to 127, and one scale per output: W = q * scale
     4 bits   whole numbers of 0 to 15, and per group of weights of a row a scale and a lowest value:
              W = q * scale + lowest

Only the matrices and the embedding rest so; norms, activations and the KV cache are float32. On a CPU the quickest way
through a matrix depends on the number of rows at once. One row (a new token) is bound by memory: the resting numbers
are multiplied as they are read. Many rows (a prompt) are bound by arithmetic: for them the matrix is turned, a piece at
a time, into bfloat16, which processors multiply fastest. Where a gradient is wanted, it is turned into float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from litellama.model import Block, LiteLlama

WHOLE_NUMBERS = ("int8", "int4")
PRECISIONS = ("float32", "bfloat16", "float16", *WHOLE_NUMBERS)
GROUP_SIZES = (64, 32)  # of 4-bit weights: the first that divides a row
ROWS_OF_A_BLOCK = 64  # PyTorch's 4-bit kernel stores so many rows of a matrix together
SAME_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
PIECE = 2**20  # weights turned at once: they stay in the processor's cache until they are used


def keep_weights(model: LiteLlama, precision: str) -> LiteLlama:
    """Let `model`'s matrices and embedding rest in `precision`, one of `PRECISIONS`, from now on; returns it.

    It then answers and explains but can no longer be trained or saved. Matrix by matrix, so that both forms of the
    whole never stand in memory together. Raises `ValueError` for weights that a float16 cannot hold, and for 8 or 4
    bits on a device for which PyTorch has no such product.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; one of {', '.join(PRECISIONS)} was expected")
    if is_kept(model):
        raise ValueError("this model's weights rest in a smaller form already; open it anew to choose another")
    if precision in WHOLE_NUMBERS and not kernel_works(precision, model.device):
        raise ValueError(
            f"PyTorch has no product with {precision} weights for {model.device}; choose 16 bits, or open it on the CPU"
        )
    if precision == "float32":
        return model.float()
    embedding = model.model.embed_tokens
    tied = model.lm_head.weight is embedding.weight
    sixteen = torch.bfloat16 if precision == "bfloat16" else torch.float16
    make: Callable[[Tensor], KeptLinear]
    make = {"int8": Linear8, "int4": _linear4_or_16}.get(precision, lambda weight: Linear16(weight, sixteen))
    kept = KeptEmbedding(embedding.weight.detach(), sixteen)
    model.model.set_submodule("embed_tokens", kept)
    for layer in model.model.layers:
        assert isinstance(layer, Block)
        parts: tuple[tuple[nn.Module, tuple[str, ...]], ...]
        parts = ((layer.self_attn, SAME_INPUT[0]), (layer.mlp, SAME_INPUT[1]))
        for part, together in parts:
            if precision in WHOLE_NUMBERS:
                _join(part, together, make)
            for name, linear in list(part.named_children()):
                if isinstance(linear, nn.Linear):
                    setattr(part, name, make(linear.weight.detach()))
    # A tied head shares the embedding's memory, which is read row by row and so rests in 16 bits.
    head = Linear16(kept.resting, sixteen) if tied else make(model.lm_head.weight.detach())
    model.set_submodule("lm_head", head)
    for norm in model.modules():
        if isinstance(getattr(norm, "weight", None), nn.Parameter):
            norm.float()
    return model.requires_grad_(False)


def kernel_works(precision: str, device: torch.device | str) -> bool:
    """Whether PyTorch multiplies int8 or int4 weights on `device`, by trying it on a small matrix."""
    if torch.device(device).type == "cpu":
        return True
    weight = torch.linspace(-1, 1, 128 * 128, device=device).sin().view(128, 128)
    try:
        linear = Linear8(weight) if precision == "int8" else Linear4(weight, GROUP_SIZES[0])
        parts = torch.cat((linear.rows(0, 64).multiply(weight), linear.rows(64, 128).multiply(weight)), dim=-1)
        one = linear.multiply(weight[:1])  # few rows take another way than many
        wanted = weight @ weight.T
        return bool((parts - wanted).norm() < 0.1 * wanted.norm() and (one - wanted[:1]).norm() < 0.1 * one.norm())
    except RuntimeError:  # NotImplementedError is one
        return False


def is_kept(model: LiteLlama) -> bool:
    """Whether the model's matrices rest in a smaller form."""
    return isinstance(model.lm_head, KeptLinear)


def _join(part: nn.Module, names: tuple[str, ...], make: Callable[[Tensor], KeptLinear]) -> None:
    """Let matrices with the same input rest in one piece, `part.joined`, and each of them as some of its rows: a new
    token then costs one product instead of several, and the memory is the same."""
    weights = [getattr(part, name).weight.detach() for name in names]
    if any(len(weight) % ROWS_OF_A_BLOCK for weight in weights):
        return
    joined = make(torch.cat(weights))
    start = 0
    for name, weight in zip(names, weights, strict=True):
        setattr(part, name, joined.rows(start, start + len(weight)))
        start += len(weight)
    part.joined = joined


def resting_bytes(model: LiteLlama) -> int:
    """Bytes of the weights as they rest, each counted once: rows of a joined matrix share its memory."""
    weights = [*model.parameters(), *(buffer for name, buffer in model.named_buffers() if not name.endswith("rotary"))]
    storages = {weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes() for weight in weights}
    return sum(storages.values())


class KeptEmbedding(nn.Module):
    """An embedding that rests in 16 bits and gives float32."""

    resting: Tensor

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("resting", _cast(weight, dtype))

    @property
    def weight(self) -> Tensor:
        return self.resting.float()

    def forward(self, input_ids: Tensor) -> Tensor:
        return F.embedding(input_ids, self.resting).float()


class KeptLinear(nn.Module):
    """y = x W^T for a matrix W (out, in) that rests in a smaller form. x and y are float32."""

    resting: Tensor

    def __init__(self, out_features: int, in_features: int) -> None:
        super().__init__()
        self.out_features, self.in_features = out_features, in_features

    @property
    def weight(self) -> Tensor:
        """W in float32, made anew each time."""
        raise NotImplementedError

    def multiply(self, x: Tensor) -> Tensor:
        """x (N, in) -> (N, out), the quickest way for this number of rows."""
        raise NotImplementedError

    def rows(self, start: int, end: int) -> KeptLinear:
        """Rows `start` to `end` of W as a matrix of its own that shares its memory, but for a few scales."""
        part = copy.copy(self)
        part._buffers = dict(self._buffers)
        part.out_features = end - start
        part.resting = self.resting[start:end]
        return part

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and torch.is_grad_enabled():
            product: Tensor = _Differentiable.apply(x, self)
            return product
        return self.multiply(x.reshape(-1, self.in_features)).view(*x.shape[:-1], self.out_features)


class _Differentiable(torch.autograd.Function):
    """The product by W in float32, and its gradient for x. W itself, made for the moment, is not kept for later."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: KeptLinear) -> Tensor:
        ctx.linear = linear
        return F.linear(x, linear.weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.linear.weight, None


class Linear16(KeptLinear):
    """16 bits: float16 or bfloat16."""

    MOST_ROWS = 3  # in float16 each row reads the matrix anew; above, turning it first is quicker

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        super().__init__(*weight.shape)
        self.register_buffer("resting", _cast(weight, dtype))

    @property
    def weight(self) -> Tensor:
        return self.resting.float()

    def multiply(self, x: Tensor) -> Tensor:
        if self.resting.dtype == torch.bfloat16 or self.resting.is_cuda or len(x) <= self.MOST_ROWS:
            return F.linear(x.to(self.resting.dtype), self.resting).float()
        return _multiply_in_pieces(x, self.resting)


class Linear8(KeptLinear):
    """8 bits with a scale per output."""

    MOST_ROWS = 8

    scale: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__(*weight.shape)
        wide = weight.float()
        # The kernel wants bfloat16; rounded first, so that the whole numbers fit the scale that is really used.
        scale = (wide.abs().amax(-1) / 127).clamp(min=1e-8).bfloat16()
        self.register_buffer("resting", (wide / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8))
        self.register_buffer("scale", scale)

    @property
    def weight(self) -> Tensor:
        return self.resting.float() * self.scale.float()[:, None]

    def multiply(self, x: Tensor) -> Tensor:
        if len(x) <= self.MOST_ROWS:
            return torch.ops.aten._weight_int8pack_mm(x.bfloat16(), self.resting, self.scale).float()
        return _multiply_in_pieces(x, self.resting) * self.scale.float()

    def rows(self, start: int, end: int) -> KeptLinear:
        part = super().rows(start, end)
        part.scale = self.scale[start:end]
        return part


class Linear4(KeptLinear):
    """4 bits with a scale and a lowest value per group of a row, in the order that PyTorch's kernel reads them."""

    scales: Tensor

    def __init__(self, weight: Tensor, group_size: int) -> None:
        super().__init__(*weight.shape)
        self.group_size = group_size
        groups = weight.float().view(self.out_features, -1, group_size)  # (out, groups, group_size)
        lowest, highest = groups.aminmax(dim=-1)
        scale = ((highest - lowest) / 15).clamp(min=1e-8).bfloat16()
        # The kernel counts from the middle: W = (q - 8) * scale + middle.
        middle = (lowest + 8 * scale.float()).bfloat16()
        whole = ((groups - middle.float()[..., None]) / scale.float()[..., None]).round().add(8).clamp(0, 15)
        resting = whole.to(torch.int32).view(self.out_features, -1)
        self.register_buffer("resting", _pack4(resting))
        self.register_buffer("scales", torch.stack((scale, middle), -1).transpose(0, 1).contiguous())

    @staticmethod
    def group_size_for(weight: Tensor) -> int | None:
        """The largest group that divides a row of `weight`; None if none does, or the kernel cannot take its rows."""
        if len(weight) % 16:
            return None
        return next((size for size in GROUP_SIZES if weight.shape[1] % size == 0), None)

    @property
    def weight(self) -> Tensor:
        return self.multiply(torch.eye(self.in_features, device=self.resting.device)).T.contiguous()

    def multiply(self, x: Tensor) -> Tensor:
        aten = torch.ops.aten
        product = aten._weight_int4pack_mm if x.is_cuda else aten._weight_int4pack_mm_for_cpu
        return product(x.bfloat16(), self.resting, self.group_size, self.scales).float()

    def rows(self, start: int, end: int) -> KeptLinear:
        part = super().rows(start, end)
        if self.resting.is_cuda:  # whose kernel stores 8 rows together
            part.resting = self.resting[start // 8 : end // 8]
        part.scales = self.scales[:, start:end].contiguous()  # (groups, out, 2)
        return part


def _pack4(whole: Tensor) -> Tensor:
    """Whole numbers of 0 to 15 (out, in), int32, in the order in which the device's kernel reads them."""
    if not whole.is_cuda:
        return torch.ops.aten._convert_weight_to_int4pack_for_cpu(whole, 1)
    pairs = (whole[:, ::2] << 4 | whole[:, 1::2]).to(torch.uint8)
    return torch.ops.aten._convert_weight_to_int4pack(pairs, 2)  # 2 tiles of 16 columns: a group of 32 fits


def _linear4_or_16(weight: Tensor) -> KeptLinear:
    group_size = Linear4.group_size_for(weight)
    return Linear16(weight, torch.float16) if group_size is None else Linear4(weight, group_size)


def _cast(weight: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype == torch.float16 and weight.dtype != dtype and weight.abs().max() > torch.finfo(dtype).max:
        raise ValueError(f"a weight is {weight.abs().max():.3g}, which float16 cannot hold; choose bfloat16")
    return weight.to(dtype)


def _multiply_in_pieces(x: Tensor, resting: Tensor) -> Tensor:
    """x (N, in) times `resting` (out, in), which is turned into bfloat16 a few rows at a time."""
    x = x.bfloat16()
    rows = max(1, PIECE // resting.shape[1])
    wide = torch.empty(min(rows, len(resting)), resting.shape[1], device=x.device)
    piece = torch.empty_like(wide, dtype=torch.bfloat16)
    result = torch.empty(len(x), len(resting), dtype=torch.bfloat16, device=x.device)
    for start in range(0, len(resting), rows):
        some = resting[start : start + rows]
        # By way of float32: PyTorch's direct conversion from float16 is four times as slow.
        torch.mm(x, piece[: len(some)].copy_(wide[: len(some)].copy_(some)).T, out=result[:, start : start + len(some)])
    return result.float()
