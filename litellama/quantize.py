"""Weights that rest in 16, 8 or 4 bits, for the same model code: what a token costs is mostly the reading of weights.

    16 bits   float16 or bfloat16, as most models are published
     8 bits   whole numbers of -127 to 127, and one scale per output: W = q * scale
     4 bits   whole numbers of 0 to 15, and per group of weights of a row a scale and a lowest value:
              W = q * scale + lowest

Only the matrices and the embedding rest so; norms, activations and the KV cache are float32. On a CPU the quickest way
through a matrix depends on the number of rows at once. One row (a new token) is bound by memory: the stored numbers
are multiplied as they are read. Many rows (a prompt) are bound by arithmetic: for them the matrix is turned, a piece at
a time, into bfloat16, which processors multiply fastest. Where a gradient is wanted, it is turned into float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from litellama.model import Block, LiteLlama

WHOLE_NUMBERS = ("int8", "int4")
SIXTEEN_BITS = ("bfloat16", "float16")
PRECISIONS = ("float32", *SIXTEEN_BITS, *WHOLE_NUMBERS)
GROUP_SIZES = (64, 32)  # of 4-bit weights: the first that divides a row
ROWS_OF_A_BLOCK = 64  # PyTorch's 4-bit kernel stores so many rows of a matrix together
SAME_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
PIECE = 2**20  # weights turned at once: they stay in the processor's cache until they are used


@dataclass(frozen=True)
class MatrixRows:
    """A matrix (out, in) that is read a few rows at a time, so that it need never stand in memory as floats.

    `read` gives rows (end - start, in) as floats; what is made of them lies on `device`. `whole` is the matrix itself
    where it is there already as the type it is given, such as a file's own pages; else None.
    """

    shape: tuple[int, int]
    read: Callable[[int, int], Tensor]
    whole: Callable[[torch.dtype], Tensor | None] = lambda dtype: None
    device: torch.device | str = "cpu"

    @staticmethod
    def of(weight: Tensor) -> MatrixRows:
        """The rows of a matrix in memory (out, in)."""
        return MatrixRows(
            (weight.shape[0], weight.shape[1]), lambda start, end: weight[start:end],
            lambda dtype: weight if weight.dtype == dtype else None, weight.device,
        )  # fmt: skip

    @staticmethod
    def stacked(parts: Sequence[MatrixRows]) -> MatrixRows:
        """Matrices (out_i, in), one below the other."""
        starts = [sum(part.shape[0] for part in parts[:number]) for number in range(len(parts) + 1)]

        def read(start: int, end: int) -> Tensor:
            pieces = [
                part.read(max(start - first, 0), min(end - first, part.shape[0]))
                for part, first in zip(parts, starts[:-1], strict=True)
                if start < first + part.shape[0] and end > first
            ]
            return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

        return MatrixRows((starts[-1], parts[0].shape[1]), read, device=parts[0].device)

    def pieces(self) -> Iterator[tuple[slice, Tensor]]:
        """All rows, some at a time: where they stand, and their numbers."""
        rows = max(1, PIECE // self.shape[1] // ROWS_OF_A_BLOCK) * ROWS_OF_A_BLOCK
        for start in range(0, self.shape[0], rows):
            end = min(start + rows, self.shape[0])
            yield slice(start, end), self.read(start, end)


def quantize_weights(model: LiteLlama, precision: str, rows: Callable[[str], MatrixRows] | None = None) -> LiteLlama:
    """Let `model`'s matrices and embedding rest in `precision`, one of `PRECISIONS`, from now on; returns it.

    It then answers and explains but can no longer be trained or saved. Matrix by matrix and a few rows at a time, so
    that both forms of the whole never stand in memory together; `rows` gives a matrix by its weight's name where the
    model does not hold it yet. Raises `ValueError` for weights that a float16 cannot hold, and for 8 or 4 bits
    on a device for which PyTorch has no such product.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; one of {', '.join(PRECISIONS)} was expected")
    if is_quantized(model):
        raise ValueError("this model's weights rest in a smaller form already; open it anew to choose another")
    if precision in WHOLE_NUMBERS and not kernel_works(precision, model.device):
        raise ValueError(
            f"PyTorch has no product with {precision} weights for {model.device}; choose 16 bits, or open it on the CPU"
        )
    if precision == "float32" and rows is None:
        return model.float()
    rows = rows or (lambda name: MatrixRows.of(model.get_parameter(name).detach()))
    tied = model.config.tie_word_embeddings
    sixteen = torch.bfloat16 if precision == "bfloat16" else torch.float16
    make: Callable[[MatrixRows], QuantizedLinear]
    make = {"int8": Linear8, "int4": _linear4_or_16}.get(precision, lambda matrix: Linear16(matrix, sixteen))
    kept = QuantizedEmbedding(rows("model.embed_tokens.weight"), sixteen)
    model.model.set_submodule("embed_tokens", kept)
    for number, layer in enumerate(model.model.layers):
        assert isinstance(layer, Block)
        parts = (("self_attn", layer.self_attn, SAME_INPUT[0]), ("mlp", layer.mlp, SAME_INPUT[1]))
        for where, part, together in parts:
            weights = {
                name: rows(f"model.layers.{number}.{where}.{name}.weight")
                for name, linear in part.named_children()
                if isinstance(linear, nn.Linear)
            }
            if precision in WHOLE_NUMBERS:
                _join(part, {name: weights[name] for name in together}, make)
            for name, matrix in weights.items():
                if isinstance(getattr(part, name), nn.Linear):
                    setattr(part, name, make(matrix))
    # A tied head shares the embedding's memory, which is read row by row and so rests in 16 bits.
    head = Linear16(kept.stored, sixteen) if tied else make(rows("lm_head.weight"))
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


def is_quantized(model: LiteLlama) -> bool:
    """Whether the model's matrices rest in a smaller form."""
    return isinstance(model.lm_head, QuantizedLinear)


def _join(part: nn.Module, weights: dict[str, MatrixRows], make: Callable[[MatrixRows], QuantizedLinear]) -> None:
    """Let matrices with the same input rest in one piece, `part.joined`, and each of them as some of its rows: a new
    token then costs one product instead of several, and the memory is the same."""
    if any(matrix.shape[0] % ROWS_OF_A_BLOCK for matrix in weights.values()):
        return
    joined = make(MatrixRows.stacked(list(weights.values())))
    start = 0
    for name, matrix in weights.items():
        setattr(part, name, joined.rows(start, start + matrix.shape[0]))
        start += matrix.shape[0]
    part.joined = joined


def stored_bytes(model: LiteLlama) -> int:
    """Bytes of the weights as they rest, each counted once: rows of a joined matrix share its memory."""
    weights = [*model.parameters(), *(buffer for name, buffer in model.named_buffers() if not name.endswith("rotary"))]
    storages = {weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes() for weight in weights}
    return sum(storages.values())


class QuantizedEmbedding(nn.Module):
    """An embedding that rests in 16 bits and gives float32."""

    stored: Tensor

    def __init__(self, matrix: Tensor | MatrixRows, dtype: torch.dtype) -> None:
        super().__init__()
        matrix = _rows_of(matrix)
        self.register_buffer("stored", _as(matrix, dtype))

    @property
    def weight(self) -> Tensor:
        return self.stored.float()

    def forward(self, input_ids: Tensor) -> Tensor:
        return F.embedding(input_ids, self.stored).float()


class QuantizedLinear(nn.Module):
    """y = x W^T for a matrix W (out, in) that rests in a smaller form. x and y are float32."""

    stored: Tensor

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

    def rows(self, start: int, end: int) -> QuantizedLinear:
        """Rows `start` to `end` of W as a matrix of its own that shares its memory, but for a few scales."""
        part = copy.copy(self)
        part._buffers = dict(self._buffers)
        part.out_features = end - start
        part.stored = self.stored[start:end]
        return part

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and torch.is_grad_enabled():
            product: Tensor = _Differentiable.apply(x, self)
            return product
        return self.multiply(x.reshape(-1, self.in_features)).view(*x.shape[:-1], self.out_features)


class _Differentiable(torch.autograd.Function):
    """The product by W in float32, and its gradient for x. W itself, made for the moment, is not kept for later."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: QuantizedLinear) -> Tensor:
        ctx.linear = linear
        return F.linear(x, linear.weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.linear.weight, None


class Linear16(QuantizedLinear):
    """16 bits: float16 or bfloat16."""

    MOST_ROWS = 3  # in float16 each row reads the matrix anew; above, turning it first is quicker

    def __init__(self, matrix: Tensor | MatrixRows, dtype: torch.dtype) -> None:
        matrix = _rows_of(matrix)
        super().__init__(*matrix.shape)
        self.register_buffer("stored", _as(matrix, dtype))

    @property
    def weight(self) -> Tensor:
        return self.stored.float()

    def multiply(self, x: Tensor) -> Tensor:
        if self.stored.dtype == torch.bfloat16 or self.stored.is_cuda or len(x) <= self.MOST_ROWS:
            return F.linear(x.to(self.stored.dtype), self.stored).float()
        return _multiply_in_pieces(x, self.stored)


class Linear8(QuantizedLinear):
    """8 bits with a scale per output."""

    MOST_ROWS = 8

    scale: Tensor

    def __init__(self, matrix: Tensor | MatrixRows) -> None:
        matrix = _rows_of(matrix)
        super().__init__(*matrix.shape)
        self.register_buffer("stored", torch.empty(matrix.shape, dtype=torch.int8, device=matrix.device))
        self.register_buffer("scale", torch.empty(self.out_features, dtype=torch.bfloat16, device=matrix.device))
        for here, weight in matrix.pieces():
            wide = weight.float()
            # The kernel wants bfloat16; rounded first, so that the whole numbers fit the scale that is really used.
            scale = (wide.abs().amax(-1) / 127).clamp(min=1e-8).bfloat16()
            self.stored[here] = (wide / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
            self.scale[here] = scale

    @property
    def weight(self) -> Tensor:
        return self.stored.float() * self.scale.float()[:, None]

    def multiply(self, x: Tensor) -> Tensor:
        if len(x) <= self.MOST_ROWS:
            return torch.ops.aten._weight_int8pack_mm(x.bfloat16(), self.stored, self.scale).float()
        return _multiply_in_pieces(x, self.stored) * self.scale.float()

    def rows(self, start: int, end: int) -> QuantizedLinear:
        part = super().rows(start, end)
        part.scale = self.scale[start:end]
        return part


class Linear4(QuantizedLinear):
    """4 bits with a scale and a lowest value per group of a row, in the order that PyTorch's kernel reads them."""

    scales: Tensor

    def __init__(self, matrix: Tensor | MatrixRows, group_size: int) -> None:
        matrix = _rows_of(matrix)
        super().__init__(*matrix.shape)
        self.group_size = group_size
        packed, scales = [], []
        for _, weight in matrix.pieces():
            groups = weight.float().view(len(weight), -1, group_size)  # (rows, groups, group_size)
            lowest, highest = groups.aminmax(dim=-1)
            scale = ((highest - lowest) / 15).clamp(min=1e-8).bfloat16()
            # The kernel counts from the middle: W = (q - 8) * scale + middle.
            middle = (lowest + 8 * scale.float()).bfloat16()
            whole = (groups - middle.float()[..., None]).div_(scale.float()[..., None]).round_().add_(8).clamp_(0, 15)
            packed.append(_pack4(whole.to(torch.int32).view(len(weight), -1)))
            scales.append(torch.stack((scale, middle), -1).transpose(0, 1))
        self.register_buffer("stored", torch.cat(packed))
        self.register_buffer("scales", torch.cat(scales, dim=1).contiguous())  # (groups, out, 2)

    @staticmethod
    def group_size_for(matrix: MatrixRows) -> int | None:
        """The largest group that divides a row of `matrix`; None if none does, or the kernel cannot take its rows."""
        out, size = matrix.shape
        return None if out % 16 else next((group for group in GROUP_SIZES if size % group == 0), None)

    @property
    def weight(self) -> Tensor:
        return self.multiply(torch.eye(self.in_features, device=self.stored.device)).T.contiguous()

    def multiply(self, x: Tensor) -> Tensor:
        aten = torch.ops.aten
        product = aten._weight_int4pack_mm if x.is_cuda else aten._weight_int4pack_mm_for_cpu
        return product(x.bfloat16(), self.stored, self.group_size, self.scales).float()

    def rows(self, start: int, end: int) -> QuantizedLinear:
        part = super().rows(start, end)
        if self.stored.is_cuda:  # whose kernel stores 8 rows together
            part.stored = self.stored[start // 8 : end // 8]
        part.scales = self.scales[:, start:end].contiguous()  # (groups, out, 2)
        return part


def _pack4(whole: Tensor) -> Tensor:
    """Whole numbers of 0 to 15 (out, in), int32, in the order in which the device's kernel reads them."""
    if not whole.is_cuda:
        return torch.ops.aten._convert_weight_to_int4pack_for_cpu(whole, 1)
    pairs = (whole[:, ::2] << 4 | whole[:, 1::2]).to(torch.uint8)
    return torch.ops.aten._convert_weight_to_int4pack(pairs, 2)  # 2 tiles of 16 columns: a group of 32 fits


def _linear4_or_16(matrix: MatrixRows) -> QuantizedLinear:
    group_size = Linear4.group_size_for(matrix)
    return Linear16(matrix, torch.float16) if group_size is None else Linear4(matrix, group_size)


def _rows_of(matrix: Tensor | MatrixRows) -> MatrixRows:
    return MatrixRows.of(matrix) if isinstance(matrix, Tensor) else matrix


def _as(matrix: MatrixRows, dtype: torch.dtype) -> Tensor:
    """The whole matrix as `dtype`, which is 16 bits: its own memory where it is stored so, otherwise a copy."""
    if (stored := matrix.whole(dtype)) is not None:
        return stored
    cast = torch.empty(matrix.shape, dtype=dtype, device=matrix.device)
    for here, weight in matrix.pieces():
        if dtype == torch.float16 and (largest := weight.abs().max()) > torch.finfo(dtype).max:
            raise ValueError(f"a weight is {largest:.3g}, which float16 cannot hold; choose bfloat16")
        cast[here] = weight
    return cast


def _multiply_in_pieces(x: Tensor, stored: Tensor) -> Tensor:
    """x (N, in) times `stored` (out, in), which is turned into bfloat16 a few rows at a time."""
    x = x.bfloat16()
    rows = max(1, PIECE // stored.shape[1])
    wide = torch.empty(min(rows, len(stored)), stored.shape[1], device=x.device)
    piece = torch.empty_like(wide, dtype=torch.bfloat16)
    result = torch.empty(len(x), len(stored), dtype=torch.bfloat16, device=x.device)
    for start in range(0, len(stored), rows):
        some = stored[start : start + rows]
        # By way of float32: PyTorch's direct conversion from float16 is four times as slow.
        torch.mm(x, piece[: len(some)].copy_(wide[: len(some)].copy_(some)).T, out=result[:, start : start + len(some)])
    return result.float()
