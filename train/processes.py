"""One training in several processes, as torchrun starts them; alone it is a group of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from train.errors import TrainError


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """This process's place among those that train together."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True in the one process that logs, tests and saves."""
        return self.rank == 0

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the processes in every backward pass."""
        return DistributedDataParallel(module, broadcast_buffers=False) if self.size > 1 else module

    def share(self, batch: Tensor) -> Tensor:
        """This process's samples of a whole batch: neighbours stay together."""
        return batch.chunk(self.size)[self.rank]

    def any(self, flag: bool) -> bool:
        """True in all processes when true in one, so that all leave the loop at the same step."""
        if self.size == 1:
            return flag
        count = torch.tensor(int(flag), device=self.device)
        dist.all_reduce(count)
        return bool(count)


@contextmanager
def joined(device: str, batch: int, together: int = 1) -> Iterator[Group]:
    """Join the processes that torchrun started, with nccl on cuda and gloo on cpu.

    Raises TrainError: no such device, or a batch that cannot be shared out evenly, in neighbours that stay together.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainError("device: expected an NVIDIA GPU for cuda, PyTorch finds none; choose --device cpu")
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    if batch % (size * together):
        raise TrainError(f"batch: expected a multiple of {size * together} with {size} processes, got {batch}")
    where = torch.device("cuda", local) if device == "cuda" else torch.device("cpu")
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if size == 1:
        yield Group(rank=0, size=1, device=where)
        return
    dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield Group(rank=dist.get_rank(), size=size, device=where)
    finally:
        dist.destroy_process_group()
