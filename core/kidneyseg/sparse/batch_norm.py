"""BatchNorm with its leaky ReLU as one operation on the native kernels.

Sums are computed in a fixed order: results are bit-identical for any number of threads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from kidneyseg.sparse import bridge, memory
from kidneyseg.sparse._library import Norm, library
from kidneyseg.sparse.autograd import applied


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance float64 (C,) of the columns of a contiguous float32 (N, C) on the CPU; N at least 1."""
    mean, variance = x.new_empty(2, x.shape[1], dtype=torch.float64)
    _run("statistics", x, *x.shape, mean, variance)
    return mean, variance


def norm_relu(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *, eps: float, leak: float, of_batch: bool
) -> Tensor:
    """`leaky_relu((x - mean) / sqrt(variance + eps) * weight + bias)` with gradients to x, weight and bias.

    Args:
        x: float32 (N, C) on the CPU.
        weight: float32 (C,).
        bias: float32 (C,).
        mean: (C,).
        variance: (C,).
        eps: added to the variance.
        leak: slope below zero.
        of_batch: whether mean and variance are statistics of x, so that x gets a gradient through them as well.
    """
    return applied(_NormReLU, x, weight, bias, mean, variance, eps, leak, of_batch)


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
        of_batch: bool,
    ) -> Tensor:
        x, mean = x.contiguous(), mean.float()
        inverse = torch.rsqrt(variance + eps).float()
        scale = weight * inverse
        shift = bias - mean * scale
        y = bridge.tensor_of(memory.empty(*x.shape))
        _run("forward", x, *x.shape, _norm(leak, scale, shift), y)
        ctx.save_for_backward(x, mean, inverse, scale, shift)
        ctx.leak, ctx.of_batch = leak, of_batch
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inverse, scale, shift = ctx.saved_tensors
        grad = grads[0].contiguous()
        total, moment = mean.new_empty(2, len(mean), dtype=torch.float64)
        _run("sums", x, grad, *x.shape, _norm(ctx.leak, scale, shift, mean), total, moment)
        slope = offset = torch.zeros_like(scale)
        if ctx.of_batch:
            slope = (-scale * inverse.square() * moment / len(x)).float()
            offset = (-scale * total / len(x) - slope * mean).float()
        grad_x = bridge.tensor_of(memory.empty(*x.shape))
        _run("backward", x, grad, *x.shape, _norm(ctx.leak, scale, shift, mean, slope, offset), grad_x)
        return grad_x, (moment * inverse).float(), total.float(), None, None, None, None, None


def _norm(leak: float, *vectors: Tensor) -> Norm:
    """The first fields of a `Norm`; the tensors must outlive it."""
    return Norm(*(vector.data_ptr() for vector in vectors), leak=leak)


def _run(name: str, *arguments: Tensor | Norm | int) -> None:
    """Call a kernel of _norms.cpp. Tensors must be contiguous."""
    plain = (value.data_ptr() if isinstance(value, Tensor) else value for value in arguments)
    memory.check(getattr(library(), f"kidneyseg_norm_{name}")(*plain, torch.get_num_threads()))
