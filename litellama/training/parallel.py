"""One process or many: the few things a training has to ask when `torchrun` has started several of it.

Each step's batch is cut into as many shares as there are processes; gradients are summed, so many processes take the
steps that one would. "ddp" keeps the whole model in each process (Li et al. 2020); "fsdp" gives each a part of every
weight, gradient and moment, and a layer's weights are whole only while it works (ZeRO, Rajbhandari et al. 2020; torch's
FSDP2). Neither is made here: both are torch's own.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor

from litellama.model import LiteLlama

Spread = Literal["ddp", "fsdp"]
MINUTES_TO_WAIT = 10  # for one another, before a process that is gone ends the others


@dataclass(frozen=True)
class World:
    """This process's number among `size` that train together."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that speaks and writes for all."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all have come here."""
        if self.size > 1:
            dist.barrier()

    def gather(self, mine: Any) -> list[Any]:
        """What each process gave, in order, for all of them."""
        if self.size == 1:
            return [mine]
        told: list[Any] = [None] * self.size
        dist.all_gather_object(told, mine)
        return told

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """The sums over all processes."""
        return [sum(values) for values in zip(*self.gather(list(numbers)), strict=True)]


ALONE = World()


@contextmanager
def joined(device: str) -> Iterator[tuple[World, str]]:
    """Join the processes that `torchrun` started, if it did; gives the world and this process's own device.

    Gloo carries what CPUs say, NCCL what GPUs say. Leaving after an error ends this process's part at once, and
    torchrun the others.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE, device
        return
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    backend = "nccl" if device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, timeout=datetime.timedelta(minutes=MINUTES_TO_WAIT))
    try:
        yield World(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()


def shard(model: LiteLlama, world: World) -> None:
    """Leave this process its rows of every weight ("fsdp"); each layer is gathered when it works, and let go again."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(next(model.parameters()).device.type, (world.size,))
    # The outermost too lets go of what it gathered, so that between two steps every weight is in parts.
    for module in (*model.model.layers, model):
        fully_shard(module, mesh=mesh, reshard_after_forward=True)


def whole_model(model: LiteLlama, world: World) -> LiteLlama:
    """The model with all its weights in one process, on the CPU: itself, or gathered; all processes must ask."""
    if not any(isinstance(parameter, DTensor) for parameter in model.parameters()):
        return model.to("cpu")
    whole = LiteLlama(model.config)
    for mine, theirs in zip(whole.parameters(), model.parameters(), strict=True):
        assert isinstance(theirs, DTensor)
        full = theirs.full_tensor()
        with torch.no_grad():
            mine.copy_(full)
    return whole


def local_rows(tensor: Tensor) -> tuple[int, Tensor]:
    """This process's rows of a tensor, and the number of the first of them: (0, all) unless it is shared out."""
    if not isinstance(tensor, DTensor):
        return 0, tensor
    count, world = tensor.shape[0], tensor.device_mesh.size()
    each = -(-count // world)  # as torch.chunk cuts
    return min(count, each * tensor.device_mesh.get_local_rank()), tensor.to_local()


def is_shared_out(tensor: Tensor) -> bool:
    """Whether each process holds only some rows of it."""
    return isinstance(tensor, DTensor)


def as_number(tensor: Tensor) -> float:
    """A tensor's one value, also where it is the sum of what several processes hold."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).item()
