"""The sparse operations with their gradients, on the native kernels where these support the tensors, else in torch.

Two kernels do all the arithmetic: `conv` sums weighted input rows, `weight_grad` correlates inputs with output
gradients. The gradient of a convolution to its input is a convolution on the transposed kernel map. Neither kernel
scatters, so that results are bit-identical from run to run, also on CUDA.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from kidneyseg.sparse import batch_norm, bridge, memory, native
from kidneyseg.sparse.autograd import applied
from kidneyseg.sparse.kernel_map import Downsampling, KernelMap, ParentMap

# Floats of gathered input per tile; about the size of an L2 cache, and large enough to keep a GPU busy.
_TILE_FLOATS = {"cpu": 1 << 19, "cuda": 1 << 25}


def submanifold_conv(x: Tensor, weight: Tensor, neighbours: KernelMap[Any]) -> Tensor:
    """Convolution whose output sites are its input sites.

    Args:
        x: (N, Cin).
        weight: (K, Cin, Cout), offsets in the order of `kernel_map`.
        neighbours: `Level.neighbours` with K offsets.

    Returns:
        (N, Cout).
    """
    return applied(_Conv, x, weight, neighbours, None)


def strided_conv(x: Tensor, weight: Tensor, down: Downsampling[Any]) -> Tensor:
    """Convolution of filter 2, stride 2: x (fine sites, Cin), weight (8, Cin, Cout) -> (coarse sites, Cout)."""
    return applied(_Conv, x, weight, down.children, down.parents)


def transposed_conv(x: Tensor, weight: Tensor, down: Downsampling[Any]) -> Tensor:
    """Its transpose: x (coarse sites, Cin), weight (8, Cin, Cout) -> (fine sites, Cout)."""
    return applied(_Conv, x, weight, down.parents, down.children)


def batch_norm_relu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    training: bool,
    momentum: float,
    eps: float,
    leak: float,
) -> Tensor:
    """BatchNorm over the rows of x (N, C), then leaky ReLU of slope `leak`.

    The biased variance normalises and the unbiased one goes into `running_var`, as in SparseConvNet and torch. A single
    row has no variance: it normalises to `bias` and leaves `running_var` alone.
    """
    if len(x) > 1 and bridge.supports(x):
        mean, variance = running_mean, running_var
        if training:
            x = x.contiguous()
            mean, variance = batch_norm.statistics(x.detach())
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean), momentum)
                running_var.lerp_((variance * (len(x) / (len(x) - 1))).to(running_var), momentum)
        return batch_norm.norm_relu(x, weight, bias, mean, variance, eps=eps, leak=leak, of_batch=training)
    if training and len(x) == 1:
        with torch.no_grad():
            running_mean.lerp_(x[0].detach(), momentum)
        y = (x - x.mean(0)) * weight + bias
    elif len(x) == 0:
        y = x * weight
    else:
        y = torch.nn.functional.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    if leak:
        return torch.nn.functional.leaky_relu(y, leak)
    return y.relu_() if not y.requires_grad else y.relu()


def join(left: Tensor, right: Tensor) -> Tensor:
    """Concatenate features: (N, A) and (N, B) -> (N, A + B)."""
    if not (bridge.supports(left) and bridge.supports(right)):
        return torch.cat([left, right], dim=1)
    return applied(_Join, left, right)


class _Join(Function):
    """torch's `cat` into a pooled buffer, with gradients whose rows are contiguous."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.middle = left.shape[1]
        out = bridge.tensor_of(memory.empty(len(left), ctx.middle + right.shape[1]))
        out[:, : ctx.middle] = left
        out[:, ctx.middle :] = right
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        parts = grads[0][:, : ctx.middle], grads[0][:, ctx.middle :]
        return tuple(bridge.tensor_of(memory.empty(*part.shape)).copy_(part) for part in parts)


class _Conv(Function):
    """`conv` on a kernel map; its gradient uses the transposed map. None: the same map with a flipped filter."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, forward_map: KernelMap[Any], backward_map: KernelMap[Any] | None
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.forward_map, ctx.backward_map = forward_map, backward_map
        return conv(x, forward_map, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad, transposed = grads[0].contiguous(), weight.transpose(1, 2)
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0] and ctx.backward_map is None:
            # The neighbour relation is symmetric: offset k seen from the other site is offset K-1-k.
            grad_x = conv(grad, ctx.forward_map, transposed.flip(0))
        elif ctx.needs_input_grad[0]:
            grad_x = conv(grad, ctx.backward_map, transposed)
        if ctx.needs_input_grad[1]:
            grad_weight = weight_grad(x, ctx.forward_map, grad)
        return grad_x, grad_weight, None, None


def conv(x: Tensor, kernel_map: KernelMap[Any], weight: Tensor) -> Tensor:
    """`out[i] = sum_k x[kernel_map.table[i, k]] @ weight[k]` over the entries that are not -1: (N, Cout)."""
    x = x.contiguous()
    if bridge.supports(x):
        return bridge.tensor_of(native.conv(bridge.array_of(x), kernel_map.plan, bridge.array_of(weight)))
    if isinstance(kernel_map, ParentMap):
        all_slots = torch.einsum("ic,kcd->ikd", x, weight).flatten(0, 1)
        parent, slot = bridge.tensor_of(kernel_map.parent), bridge.tensor_of(kernel_map.slot)
        return all_slots.index_select(0, parent * len(weight) + slot)
    table = bridge.tensor_of(kernel_map.table)
    out = x.new_empty(len(table), weight.shape[2])
    matrix = weight.flatten(0, 1)
    for rows, columns in _im2col(x, table):
        torch.mm(columns, matrix, out=out[rows])
    return out


def weight_grad(x: Tensor, kernel_map: KernelMap[Any], grad: Tensor) -> Tensor:
    """`out[k] = sum_i x[kernel_map.table[i, k]]^T grad[i]` over the entries that are not -1: (K, Cin, Cout)."""
    x, grad = x.contiguous(), grad.contiguous()
    if bridge.supports(x):
        return bridge.tensor_of(native.weight_grad(bridge.array_of(x), kernel_map.plan, bridge.array_of(grad)))
    if isinstance(kernel_map, ParentMap):
        return weight_grad(grad, kernel_map.children, x).transpose(1, 2)
    table = bridge.tensor_of(kernel_map.table)
    total = x.new_zeros(table.shape[1] * x.shape[1], grad.shape[1])
    for rows, columns in _im2col(x, table):
        total.addmm_(columns.t(), grad[rows])
    return total.view(table.shape[1], x.shape[1], grad.shape[1])


def _im2col(x: Tensor, table: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Tiles of output rows with their gathered inputs (rows, K * Cin); absent neighbours are zeros."""
    padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
    width = table.shape[1] * x.shape[1]
    step = max(64, _TILE_FLOATS.get(x.device.type, 1 << 19) // max(width, 1))
    for start in range(0, len(table), step):
        rows = slice(start, start + step)
        index = table[rows].flatten()
        index = torch.where(index < 0, len(x), index)
        yield rows, padded.index_select(0, index).view(-1, width)
