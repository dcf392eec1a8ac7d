"""The native CPU kernels in C++ (`_kernels.cpp` and the files beside it), called with plain buffers through ctypes.

Where the library was not built, `available()` is False and `reason()` says why. The kernels take float32 features and
weights, int64 keys and int32 tables on the CPU and use `torch.get_num_threads()` threads; results do not depend on how
many. A kernel map is turned once into a `Plan`, on which any number of convolutions and weight gradients run.

From the coordinates to the kernel maps torch's own parallel loops are avoided: after such a loop torch's threads spin
for some milliseconds on the cores that the kernels' threads need.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from ctypes import Array, c_int64
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from kidneyseg.sparse import memory
from kidneyseg.sparse._checks import (
    check_coords,
    check_features,
    check_index,
    check_keys,
    check_rows_of,
    check_size,
)
from kidneyseg.sparse._library import Output, available, instruction_set, library, limit_instruction_set, reason

__all__ = [
    "Plan",
    "Target",
    "available",
    "coarsen",
    "conv",
    "conv_into",
    "extent",
    "instruction_set",
    "limit_instruction_set",
    "neighbour_table",
    "pack",
    "reason",
    "supports",
    "weight_grad",
]


class _Packing(Protocol):
    """Cells along each axis, padding included; see `kernel_map.Packing`."""

    @property
    def x_size(self) -> int: ...
    @property
    def y_size(self) -> int: ...
    @property
    def z_size(self) -> int: ...


class Target(NamedTuple):
    """A destination of a convolution: gets `leaky_relu(y * scale + shift)`, or y itself if scale is None."""

    rows: Tensor  #: float32 (N, Cout), each row contiguous; may be columns of a wider buffer
    scale: Tensor | None = None  #: float32 (Cout,) or None
    shift: Tensor | None = None  #: float32 (Cout,), given with scale
    leak: float = 0.0  #: slope below zero


class Plan:
    """A kernel map in the order in which the native kernels process it.

    Attributes:
        rows: number of output rows, N.
        filter: number of offsets, K.
        inputs: number of rows that the input must have.
        instruction_set: the one it was made for and runs on.

    Raises:
        MemoryError: when memory runs out.
    """

    def __init__(self, handle: int | None, rows: int, filter_volume: int) -> None:
        memory.check(handle is None)
        self.handle, self.rows, self.filter = handle, rows, filter_volume
        self.inputs = int(library().kidneyseg_plan_inputs(handle))
        self.instruction_set = instruction_set()
        self._free = weakref.finalize(self, library().kidneyseg_free_plan, handle)

    @staticmethod
    def of_table(table: Tensor) -> Plan:
        """The plan of an int32 (N, K) table of input rows, -1 where there is none."""
        check_index(table, "table", 2)
        handle = library().kidneyseg_plan(table.data_ptr(), *table.shape, torch.get_num_threads())
        return Plan(handle, *table.shape)

    @staticmethod
    def of_neighbours(keys: Tensor, y_size: int, z_size: int, size: int = 3) -> Plan:
        """The plan of `neighbour_table`, which is never held as a whole."""
        check_keys(keys)
        check_size(size)
        threads = torch.get_num_threads()
        handle = library().kidneyseg_neighbour_plan(keys.data_ptr(), len(keys), y_size, z_size, size, threads)
        return Plan(handle, len(keys), size**3)

    @staticmethod
    def of_parents(parent: Tensor, slot: Tensor, filter_volume: int = 8) -> Plan:
        """The plan of output rows i that read parent[i] under the offset slot[i] < filter_volume; both int32 (N,).

        Raises:
            ValueError: for a negative parent or a slot that is not an offset.
        """
        check_index(parent, "parent", 1)
        check_index(slot, "slot", 1)
        if len(slot) != len(parent):
            raise ValueError(f"parent has {len(parent)} rows, but slot has {len(slot)}")
        handle = library().kidneyseg_parent_plan(
            parent.data_ptr(), slot.data_ptr(), len(parent), filter_volume, torch.get_num_threads()
        )
        plan = Plan(handle, len(parent), filter_volume)
        if plan.inputs < 0:
            raise ValueError(f"parents must be >= 0 and slots 0 to {filter_volume - 1}")
        return plan


def supports(x: Tensor) -> bool:
    """Whether the kernels were built and x is on the CPU and float32 (or int64, for keys)."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.int64) and available()


def conv(x: Tensor, plan: Plan, weight: Tensor) -> Tensor:
    """`out[i] = sum_k x[input of i under k] @ weight[k]` over the plan.

    Args:
        x: float32 (rows, Cin); may be columns of a wider buffer.
        weight: float32 (K, Cin, Cout), any strides.

    Returns:
        float32 (N, Cout).
    """
    out = memory.empty(plan.rows, weight.shape[2])
    conv_into(x, plan, weight, [Target(out)])
    return out


def conv_into(x: Tensor, plan: Plan, weight: Tensor, targets: Sequence[Target], start: Tensor | None = None) -> None:
    """`conv` plus `start` (N, Cout), if given, written to every target while the result is in the cache.

    No target may overlap x; `start` may be a target.
    """
    _check_conv(x, plan, weight, targets)
    if start is not None:
        check_rows_of(start, "start", plan.rows, weight.shape[2])
    failed = library().kidneyseg_conv(
        *(plan.handle, x.data_ptr(), _row_stride(x)),
        *(weight.data_ptr(), (c_int64 * 3)(*weight.stride()), weight.shape[1], weight.shape[2]),
        *((None, 0) if start is None else (start.data_ptr(), _row_stride(start))),
        *(_outputs(targets), len(targets), torch.get_num_threads()),
    )
    memory.check(failed)


def weight_grad(x: Tensor, plan: Plan, grad: Tensor) -> Tensor:
    """`out[k] = sum_i x[input of i under k]^T grad[i]` over the plan.

    Args:
        x: float32 (rows, Cin), contiguous.
        grad: float32 (N, Cout), contiguous.

    Returns:
        float32 (K, Cin, Cout).
    """
    for name, tensor in (("x", x), ("grad", grad)):
        check_features(tensor, name)
        if not tensor.is_contiguous():
            raise ValueError(f"{name} must be contiguous")
    _check_inputs(x, plan)
    if len(grad) != plan.rows:
        raise ValueError(f"the plan has {plan.rows} rows, but grad has {len(grad)}")
    out = x.new_empty(plan.filter, x.shape[1], grad.shape[1])
    failed = library().kidneyseg_weight_grad(
        *(plan.handle, x.data_ptr(), grad.data_ptr()),
        *(*out.shape[1:], out.data_ptr(), torch.get_num_threads()),
    )
    memory.check(failed)
    return out


def extent(coords: Tensor) -> tuple[list[int], list[int]]:
    """Smallest and largest value of each column of coords int64 (N, 3) or (N, 4), contiguous, N > 0."""
    check_coords(coords)
    rows, columns = coords.shape
    low, high = (c_int64 * columns)(), (c_int64 * columns)()
    library().kidneyseg_extent(coords.data_ptr(), rows, columns, low, high, torch.get_num_threads())
    return list(low), list(high)


def pack(coords: Tensor, packing: _Packing, padding: int = 2) -> tuple[Tensor, bool]:
    """`Packing.pack`, and whether the keys increase strictly.

    Args:
        coords: int64 (N, 3) or (N, 4), contiguous, N > 0.
        packing: of the keys.
        padding: empty cells on each side.
    """
    check_coords(coords)
    keys = torch.empty(len(coords), dtype=torch.int64)
    sizes = (c_int64 * 3)(packing.x_size, packing.y_size, packing.z_size)
    increasing = library().kidneyseg_pack(
        *(coords.data_ptr(), *coords.shape, sizes, padding, keys.data_ptr(), torch.get_num_threads())
    )
    return keys, bool(increasing)


def neighbour_table(keys: Tensor, y_size: int, z_size: int, size: int = 3) -> Tensor:
    """Submanifold neighbours int32 (N, size³), -1 where there is none; see `kernel_map.neighbour_table`."""
    check_keys(keys)
    check_size(size)
    table = torch.empty(len(keys), size**3, dtype=torch.int32)
    threads = torch.get_num_threads()
    library().kidneyseg_neighbour_table(keys.data_ptr(), len(keys), y_size, z_size, size, table.data_ptr(), threads)
    return table


def coarsen(keys: Tensor, fine: _Packing, coarse: _Packing, padding: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The next coarser level and the kernel map of filter 2, stride 2.

    Args:
        keys: int64 (N,), strictly increasing.
        fine: the packing of `keys`.
        coarse: the packing of the coarser level.
        padding: empty cells on each side.

    Returns:
        Coarse keys (Nc,), increasing; parent and slot int32 (N,); children int32 (Nc, 8), -1 where there is none.
    """
    check_keys(keys)
    # Sized for the worst case; pages that are never written take no memory.
    coarse_keys, children = torch.empty_like(keys), torch.empty(len(keys), 8, dtype=torch.int32)
    parent, slot = (torch.empty(len(keys), dtype=torch.int32) for _ in range(2))
    sizes = [(c_int64 * 3)(packing.x_size, packing.y_size, packing.z_size) for packing in (fine, coarse)]
    count = library().kidneyseg_coarsen(
        *(keys.data_ptr(), len(keys), *sizes, padding, coarse_keys.data_ptr()),
        *(parent.data_ptr(), slot.data_ptr(), children.data_ptr(), torch.get_num_threads()),
    )
    return _first_rows(coarse_keys, count), parent, slot, _first_rows(children, count)


def _first_rows(x: Tensor, rows: int) -> Tensor:
    """A copy of the first rows, which frees the memory of the rest; by numpy, on this thread alone."""
    return torch.from_numpy(x.numpy()[:rows].copy())


def _row_stride(x: Tensor) -> int:
    return x.stride(0) if len(x) > 1 else x.shape[1]


def _outputs(targets: Sequence[Target]) -> Array[Output]:
    pointers = [
        (t.scale.data_ptr(), t.shift.data_ptr()) if t.scale is not None and t.shift is not None else (None, None)
        for t in targets
    ]
    return (Output * len(targets))(
        *(Output(t.rows.data_ptr(), _row_stride(t.rows), *p, t.leak) for t, p in zip(targets, pointers, strict=True))
    )


def _check_inputs(x: Tensor, plan: Plan) -> None:
    if plan.inputs > len(x):
        raise ValueError(f"the plan reads {plan.inputs} rows, but x has only {len(x)}")


def _check_conv(x: Tensor, plan: Plan, weight: Tensor, targets: Sequence[Target]) -> None:
    check_features(x, "x")
    _check_inputs(x, plan)
    if weight.dtype != torch.float32 or weight.ndim != 3 or weight.device.type != "cpu":
        raise ValueError(f"weight must be float32 (K, Cin, Cout) on the CPU, not {weight.dtype} {tuple(weight.shape)}")
    if plan.filter != len(weight):
        raise ValueError(f"the plan has {plan.filter} offsets, but weight has {len(weight)}")
    if x.shape[1] != weight.shape[1]:
        raise ValueError(f"x has {x.shape[1]} channels, but weight takes {weight.shape[1]}")
    channels = weight.shape[2]
    for target in targets:
        check_rows_of(target.rows, "target", plan.rows, channels)
        if (target.scale is None) != (target.shift is None):
            raise ValueError("scale and shift must be given together")
        for vector in (target.scale, target.shift):
            if vector is not None and (
                vector.dtype != torch.float32 or vector.shape != (channels,) or not vector.is_contiguous()
            ):
                raise ValueError(f"scale and shift must be contiguous float32 ({channels},)")
