"""Data-parallel training: several processes train one network, each with its shard of every batch.

The loss, the norms' statistics and the gradients are sums over the points of all ranks, so that a step equals that of
one process with the whole batch, up to rounding. `torchrun` starts the processes.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function

from kidneyseg.errors import SettingsError
from kidneyseg.sparse.autograd import applied
from kidneyseg.sparse.layers import BatchNormReLU, SparseTensor

T = TypeVar("T")

# Ranks wait for each other while one of them validates or prepares cases.
_TIMEOUT = timedelta(hours=4)


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; by default the only one."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and validates."""
        return self.rank == 0

    def shard(self, batch: int) -> range:
        """The positions of a batch that are drawn here. Raises SettingsError when the batch is too small to share."""
        if batch < self.count:
            raise SettingsError(
                f"{self.count} processes cannot share a batch of {batch}; start fewer, or give --batch {self.count}"
            )
        return range(self.rank, batch, self.count)

    def total(self, sums: Tensor) -> Tensor:
        """Sums over all ranks; the gradient is that of this rank's own part, as `sum_gradients` adds the others'."""
        return sums if self.count == 1 else applied(_Sum, sums, False)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all ranks."""
        if self.count == 1:
            return
        parameters = list(parameters)
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([grad.flatten() for grad in grads])
        dist.all_reduce(flat)
        start = 0
        for parameter in parameters:
            parameter.grad = flat[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        if self.count == 1:
            return flag
        raised = torch.tensor(int(flag))
        dist.all_reduce(raised)
        return bool(raised)

    def from_first(self, value: T) -> T:
        """The first rank's value, on every rank."""
        if self.count == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started, if it did (it sets WORLD_SIZE)."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    # The optimiser imports this module. Imported while a group exists, its default arguments would keep that group, and
    # a thread of the group that frees a tensor while the interpreter exits would abort the process.
    importlib.import_module("torch.distributed.nn.functional")
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


class _Sum(Function):
    """The sum over ranks; with `both_ways`, the backward pass sums the gradients over ranks as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, both_ways: bool) -> Tensor:
        ctx.both_ways = both_ways
        total = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad = grads[0]
        if ctx.both_ways:
            grad = grad.clone(memory_format=torch.contiguous_format)
            dist.all_reduce(grad)
        return grad, None


class SyncBatchNormReLU(BatchNormReLU):
    """`BatchNormReLU` with the batch statistics, and their gradients, of all ranks' rows together."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, C) -> (N, C); every rank must call it, even with N = 0."""
        if not self.training:
            return super().forward(x)
        features = x.features.float()
        sums = _summed(torch.cat([features.sum(0), features.new_full((1,), len(features))]))
        count = sums[-1].detach().clamp(min=1)
        mean = sums[:-1] / count
        centred = features - mean
        # Not E[x²] - mean²: that is inaccurate where the variance is small compared with the mean.
        variance = _summed((centred * centred).sum(0)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean.detach(), self.momentum)
            if count > 1:
                self.running_var.lerp_(variance.detach() * count / (count - 1), self.momentum)
        y = centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias
        return x.with_features(nn.functional.leaky_relu(y, self.leak).to(x.features.dtype))


def _summed(x: Tensor) -> Tensor:
    return applied(_Sum, x, True)


def synchronise_norms(network: nn.Module) -> None:
    """Replace every BatchNormReLU of a network by a SyncBatchNormReLU with the same parameters and buffers."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is BatchNormReLU:
                sync = SyncBatchNormReLU(len(child.weight), leak=child.leak, eps=child.eps, momentum=child.momentum)
                sync.weight, sync.bias = child.weight, child.bias
                sync.running_mean, sync.running_var = child.running_mean, child.running_var
                setattr(parent, name, sync.train(child.training))
