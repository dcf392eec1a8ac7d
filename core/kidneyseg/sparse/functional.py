"""The sparse operations with their gradients, over kernels that are native on the CPU where they were built.

Three kernels do all the arithmetic, each the other's gradient: `gather_conv` sums weighted neighbours, `parent_conv`
hands a coarse row down to its children, `weight_grad` correlates inputs with output gradients. None scatters, so there
is nothing to race on: results repeat bit for bit, on CUDA too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from kidneyseg.sparse import native
from kidneyseg.sparse.rulebook import Downsampling

# Floats of gathered input that one tile holds; about what an L2 cache keeps, and large enough to feed a GPU.
_TILE_FLOATS = {"cpu": 1 << 19, "cuda": 1 << 25}


def submanifold_conv(x: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """Convolution whose outputs are its input sites.

    Args:
        x: (N, Cin). weight: (K, Cin, Cout), offsets as in `rulebook`. table: int32 (N, K), `Level.neighbours`.

    Returns:
        (N, Cout).
    """
    return _Submanifold.apply(x, weight, table)  # type: ignore[no-any-return, no-untyped-call]


def strided_conv(x: Tensor, weight: Tensor, down: Downsampling) -> Tensor:
    """Convolution of filter 2, stride 2: x (fine sites, Cin), weight (8, Cin, Cout) -> (coarse sites, Cout)."""
    return _Strided.apply(x, weight, down)  # type: ignore[no-any-return, no-untyped-call]


def transposed_conv(x: Tensor, weight: Tensor, down: Downsampling) -> Tensor:
    """Its transpose: x (coarse sites, Cin), weight (8, Cin, Cout) -> (fine sites, Cout), the fine level's own rows."""
    return _Transposed.apply(x, weight, down)  # type: ignore[no-any-return, no-untyped-call]


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


class _Submanifold(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, table)
        return gather_conv(x, table, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, table = ctx.saved_tensors
        grad = grads[0].contiguous()
        # The neighbour relation is symmetric: offset k seen from the other side is offset K-1-k.
        to_x = gather_conv(grad, table, weight.flip(0).transpose(1, 2)) if ctx.needs_input_grad[0] else None
        to_weight = weight_grad(x, table, grad) if ctx.needs_input_grad[1] else None
        return to_x, to_weight, None


class _Strided(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, down: Downsampling) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.down = down
        return gather_conv(x, down.children, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad, down = grads[0].contiguous(), ctx.down
        to_x = parent_conv(grad, down.parent, down.slot, weight.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        to_weight = weight_grad(x, down.children, grad) if ctx.needs_input_grad[1] else None
        return to_x, to_weight, None


class _Transposed(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, down: Downsampling) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.down = down
        return parent_conv(x, down.parent, down.slot, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad, down = grads[0].contiguous(), ctx.down
        to_x = gather_conv(grad, down.children, weight.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        to_weight = weight_grad(grad, down.children, x).transpose(1, 2) if ctx.needs_input_grad[1] else None
        return to_x, to_weight, None


def gather_conv(x: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    """`out[i] = sum_k x[table[i, k]] @ weight[k]` over the entries that are not -1: (rows of table, Cout)."""
    x, weight = x.contiguous(), weight.contiguous()
    if native.serves(x):
        return native.gather_conv(x, table, weight)
    out = x.new_empty(len(table), weight.shape[2])
    for rows, columns in _im2col(x, table):
        torch.mm(columns, weight.flatten(0, 1), out=out[rows])
    return out


def parent_conv(x: Tensor, parent: Tensor, slot: Tensor, weight: Tensor) -> Tensor:
    """`out[i] = x[parent[i]] @ weight[slot[i]]`: (rows of parent, Cout)."""
    x, weight = x.contiguous(), weight.contiguous()
    if native.serves(x):
        return native.parent_conv(x, parent, slot, weight)
    all_slots = torch.einsum("ic,kcd->ikd", x, weight).flatten(0, 1)
    return all_slots.index_select(0, parent * len(weight) + slot)


def weight_grad(x: Tensor, table: Tensor, grad: Tensor) -> Tensor:
    """`out[k] = sum_i x[table[i, k]]^T grad[i]` over the entries that are not -1: (K, Cin, Cout)."""
    x, grad = x.contiguous(), grad.contiguous()
    if native.serves(x):
        return native.gather_weight_grad(x, table, grad)
    total = x.new_zeros(table.shape[1] * x.shape[1], grad.shape[1])
    for rows, columns in _im2col(x, table):
        total.addmm_(columns.t(), grad[rows])
    return total.view(table.shape[1], x.shape[1], grad.shape[1])


def _im2col(x: Tensor, table: Tensor) -> Any:
    """Tile after tile of output rows with their gathered inputs (rows, K·Cin); absent neighbours are zeros."""
    padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
    width = table.shape[1] * x.shape[1]
    step = max(64, _TILE_FLOATS.get(x.device.type, 1 << 19) // max(width, 1))
    for start in range(0, len(table), step):
        rows = slice(start, start + step)
        index = table[rows].flatten()
        index = torch.where(index < 0, len(x), index)
        yield rows, padded.index_select(0, index).view(-1, width)
