"""How much memory training takes, known before anything is allocated.

    >>> memory = memory_per_device(preset("litellama-460m"), rows=8, length=1024)
    >>> memory.weights, memory.optimizer
    (1846743040, 3693486080)

Weights, gradients and moments are arithmetic. What the way back needs of the way there is counted: the model's own code
runs on tensors that have shapes but no memory behind them, and the bytes that autograd saves are added up.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from litellama.config import ModelConfig
from litellama.footprint.arithmetic import Device, multiplied_weights
from litellama.model import LiteLlama

FLOAT32, BFLOAT16 = 4, 2
"""Bytes of a number."""

LOGIT_BYTES = 4 * FLOAT32
"""For each logit, where memory is fullest: itself, its log-probability, and the gradients of both."""

SPARE = 0.1
"""The share of a GPU's memory that is left for the driver and for the gaps between tensors."""


@dataclass(frozen=True)
class MemoryByPart:
    """Bytes that each GPU holds at a step's fullest moment, when the way back begins.

    `copies`: the matrices in the precision they are multiplied in (the whole parts at hand, where GPUs share them).
    `activations`: what the layers save for the way back. `logits`: those of all tokens, with their gradients.
    """

    weights: int
    gradients: int
    optimizer: int
    copies: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.copies + self.activations + self.logits


def memory_per_device(
    config: ModelConfig,
    rows: int,
    length: int,
    *,
    optimizer: Literal["adamw", "muon"] = "adamw",
    bfloat16: bool = True,
    checkpointing: bool = False,
    devices: int = 1,
) -> MemoryByPart:
    """What training on `rows` x `length` tokens at once takes of each of `devices` GPUs, masters being float32.

    More than one share weights, gradients and moments evenly (FSDP, Zhao et al. 2023). With `checkpointing` a layer
    keeps its input alone and is computed a second time on the way back (Chen et al. 2016); the sum is then more than is
    ever held, as the logits are gone when the first layer comes back. Raises `ValueError`.
    """
    for name, value in (("rows", rows), ("length", length), ("devices", devices)):
        if value < 1:
            raise ValueError(f"{name} is {value}; a whole number of at least 1 was expected")
    if optimizer not in ("adamw", "muon"):
        raise ValueError(f"optimizer is {optimizer!r}; 'adamw' or 'muon' was expected")
    return MemoryByPart(
        weights=-(-FLOAT32 * config.num_parameters // devices),
        gradients=-(-FLOAT32 * config.num_parameters // devices),
        optimizer=-(-FLOAT32 * _moments(config, optimizer) // devices),
        copies=_copies(config, bfloat16, devices),
        activations=_activations(config, rows, length, bfloat16, checkpointing),
        logits=LOGIT_BYTES * rows * length * config.vocab_size,
    )


def largest_rows(
    config: ModelConfig, device: Device, length: int, *, checkpointing: bool = False, devices: int = 1
) -> int:
    """How many rows at once leave `SPARE` of the device's memory free, with AdamW and bfloat16; 0 if not one does."""
    one, two = (
        memory_per_device(config, rows, length, checkpointing=checkpointing, devices=devices).total for rows in (1, 2)
    )
    free = device.memory * (1 - SPARE) - one
    return 0 if free < 0 else 1 + int(free // (two - one))


def _moments(config: ModelConfig, optimizer: str) -> int:
    """AdamW has two for each parameter; Muon, which takes the layers' matrices, one."""
    parts = config.parameters_by_part
    once = parts["attention"] + parts["feed_forward"] if optimizer == "muon" else 0
    return 2 * config.num_parameters - once


def _copies(config: ModelConfig, bfloat16: bool, devices: int) -> int:
    """One GPU: autocast's copies of all that is multiplied. Several: embedding and head, the layer at work, the one
    fetched ahead and a layer's gradient are whole for a while."""
    if devices == 1:
        return BFLOAT16 * multiplied_weights(config) if bfloat16 else 0
    parts = config.parameters_by_part
    layer = (parts["attention"] + parts["feed_forward"]) // config.num_hidden_layers
    return (BFLOAT16 if bfloat16 else FLOAT32) * (3 * layer + parts["embedding"] + parts["head"])


def _activations(config: ModelConfig, rows: int, length: int, bfloat16: bool, checkpointing: bool) -> int:
    """A layer's bytes are what a second layer adds; those of the first are there beside the rest."""
    one, two = (
        saved_bytes(replace(config, num_hidden_layers=layers), rows, length, bfloat16) for layers in (1, 2)
    )  # fmt: skip
    layer = two - one
    if not checkpointing:
        return one + (config.num_hidden_layers - 1) * layer
    residual = FLOAT32 * rows * length * config.hidden_size  # a layer's input; autocast leaves it in float32
    return one + (config.num_hidden_layers - 1) * residual


@functools.cache
def saved_bytes(config: ModelConfig, rows: int, length: int, bfloat16: bool = True) -> int:
    """Bytes that a forward pass of `rows` x `length` tokens saves for the way back, without weights, their copies and
    the loss's log-probabilities, which have parts of their own.

    Nothing is allocated, whatever the widths. The attention is the fused one, plainly causal; the CPU's, which is asked
    here, saves what a GPU's does: queries, keys, values, their mix, and one float32 for each query.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode  # slow to load; as its documentation imports it

    with FakeTensorMode():
        kept = kept_for_backward(LiteLlama(config), rows, length, bfloat16)
    copies = BFLOAT16 * multiplied_weights(config) if bfloat16 else 0
    return kept - copies - FLOAT32 * rows * length * config.vocab_size


def kept_for_backward(model: LiteLlama, rows: int, length: int, bfloat16: bool) -> int:
    """Bytes of all that autograd saves in one forward pass to the loss, each piece of memory once, weights left out."""
    weights = {weight.untyped_storage()._cdata for weight in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address comes twice

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    ids = torch.zeros(rows, length, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            logits = model(ids).logits.float()
        F.cross_entropy(logits.flatten(0, 1), ids.flatten())
    return sum(storage.nbytes() for storage in kept.values())
