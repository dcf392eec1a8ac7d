"""BatchNorm with its leaky ReLU as one operation on the native kernels, which reads its rows less often than torch.

Sums are made in a fixed order: the results repeat bit for bit at any number of threads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from kidneyseg.sparse import memory
from kidneyseg.sparse._library import Norm, library
from kidneyseg.sparse.autograd import applied


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance float64 (C,) of the columns of a contiguous float32 (N, C) on the CPU; N at least 1."""
    mean, variance = x.new_empty(x.shape[1], dtype=torch.float64), x.new_empty(x.shape[1], dtype=torch.float64)
    _run("statistics", x, *x.shape, mean, variance)
    return mean, variance


def norm_relu(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *, eps: float, leak: float, own: bool
) -> Tensor:
    """`leaky_relu((x - mean) / sqrt(variance + eps) * weight + bias)` with gradients to x, weight and bias.

    Args:
        x: float32 (N, C) on the CPU. weight, bias: float32 (C,). mean, variance: (C,).
        leak: slope below zero.
        own: whether mean and variance are those of x, so that its gradient goes through them too.
    """
    return applied(_NormReLU, x, weight, bias, mean, variance, eps, leak, own)


class _NormReLU(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        leak: float,
        own: bool,
    ) -> Tensor:
        x, mean = x.contiguous(), mean.float()
        inverse = torch.rsqrt(variance + eps).float()
        scale = weight * inverse
        shift = bias - mean * scale
        y = memory.empty(*x.shape)
        _run("forward", x, *x.shape, _norm(leak, scale, shift), y)
        ctx.save_for_backward(x, mean, inverse, scale, shift)
        ctx.leak, ctx.own = leak, own
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inverse, scale, shift = ctx.saved_tensors
        grad = grads[0].contiguous()
        total, moment = mean.new_empty(len(mean), dtype=torch.float64), mean.new_empty(len(mean), dtype=torch.float64)
        _run("sums", x, grad, *x.shape, _norm(ctx.leak, scale, shift, mean), total, moment)
        by_x = by_one = torch.zeros_like(scale)
        if ctx.own:
            by_x = (-scale * inverse.square() * moment / len(x)).float()
            by_one = (-scale * total / len(x) - by_x * mean).float()
        to_x = memory.empty(*x.shape)
        _run("backward", x, grad, *x.shape, _norm(ctx.leak, scale, shift, mean, by_x, by_one), to_x)
        return to_x, (moment * inverse).float(), total.float(), None, None, None, None, None


def _norm(leak: float, *vectors: Tensor) -> Norm:
    """Scale, shift, mean, by_x and by_one, as many as are needed; the tensors must outlive it."""
    return Norm(*(vector.data_ptr() for vector in vectors), leak=leak)


def _run(name: str, *arguments: Tensor | Norm | int) -> None:
    """Call a kernel of _norms.cpp; every tensor must be contiguous."""
    plain = (value.data_ptr() if isinstance(value, Tensor) else value for value in arguments)
    if getattr(library(), f"kidneyseg_norm_{name}")(*plain, torch.get_num_threads()):
        raise MemoryError(memory.SHORTAGE)
