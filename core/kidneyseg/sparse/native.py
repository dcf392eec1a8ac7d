"""The native CPU kernels in C++ (`_kernels.cpp` and the files beside it), called with plain buffers through ctypes.

Where the library was not built, `available()` is False and `reason()` says why. The kernels take numpy arrays, float32
features and weights, int64 keys and int32 tables, and use `threads.count()` threads; results do not depend on how many.
A kernel map is turned once into a `Plan`, on which any number of convolutions and weight gradients run. Nothing here
needs torch; `bridge` makes arrays of tensors without copying them.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from ctypes import Array, c_int64
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Floats, Indices
from kidneyseg.sparse import memory, threads
from kidneyseg.sparse._checks import (
    check_coords,
    check_features,
    check_index,
    check_keys,
    check_rows_of,
    check_size,
)
from kidneyseg.sparse._library import Output, available, instruction_set, library, limit_instruction_set, reason
from kidneyseg.sparse.memory import address

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
    "parent_table",
    "reason",
    "weight_grad",
]


Table = NDArray[np.int32]


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

    rows: Floats  #: float32 (N, Cout), each row contiguous; may be columns of a wider buffer
    scale: Floats | None = None  #: float32 (Cout,) or None
    shift: Floats | None = None  #: float32 (Cout,), given with scale
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
    def of_table(table: Table) -> Plan:
        """The plan of an int32 (N, K) table of input rows, -1 where there is none."""
        check_index(table, "table", 2)
        handle = library().kidneyseg_plan(address(table), *table.shape, threads.count())
        return Plan(handle, *table.shape)

    @staticmethod
    def of_neighbours(keys: Indices, y_size: int, z_size: int, size: int = 3) -> Plan:
        """The plan of `neighbour_table`, which is never held as a whole."""
        check_keys(keys)
        check_size(size)
        handle = library().kidneyseg_neighbour_plan(address(keys), len(keys), y_size, z_size, size, threads.count())
        return Plan(handle, len(keys), size**3)

    @staticmethod
    def of_parents(parent: Table, slot: Table, filter_volume: int = 8) -> Plan:
        """The plan of output rows i that read parent[i] under the offset slot[i] < filter_volume; both int32 (N,).

        Raises:
            ValueError: for a negative parent or a slot that is not an offset.
        """
        check_index(parent, "parent", 1)
        check_index(slot, "slot", 1)
        if len(slot) != len(parent):
            raise ValueError(f"parent has {len(parent)} rows, but slot has {len(slot)}")
        handle = library().kidneyseg_parent_plan(
            address(parent), address(slot), len(parent), filter_volume, threads.count()
        )
        plan = Plan(handle, len(parent), filter_volume)
        if plan.inputs < 0:
            raise ValueError(f"parents must be >= 0 and slots 0 to {filter_volume - 1}")
        return plan


def conv(x: Floats, plan: Plan, weight: Floats) -> Floats:
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


def conv_into(
    x: Floats,
    plan: Plan,
    weight: Floats,
    targets: Sequence[Target],
    start: Floats | None = None,
    *,
    mirrored: bool = False,
) -> None:
    """`conv` plus `start` (N, Cout), if given, written to every target while the result is in the cache.

    No target may overlap x; `start` may be a target. `mirrored`: what the same convolution gives on the mirror image of
    the sites along the first coordinate, up to filters of 3 bit for bit; see `Level.mirrored`.
    """
    _check_conv(x, plan, weight, targets)
    if start is not None:
        check_rows_of(start, "start", plan.rows, weight.shape[2])
    failed = library().kidneyseg_conv(
        *(plan.handle, address(x), _row_stride(x)),
        *(address(weight), (c_int64 * 3)(*(stride // 4 for stride in weight.strides)), *weight.shape[1:]),
        *((None, 0) if start is None else (address(start), _row_stride(start))),
        *(_outputs(targets), len(targets), mirrored, threads.count()),
    )
    memory.check(failed)


def weight_grad(x: Floats, plan: Plan, grad: Floats) -> Floats:
    """`out[k] = sum_i x[input of i under k]^T grad[i]` over the plan.

    Args:
        x: float32 (rows, Cin), contiguous.
        grad: float32 (N, Cout), contiguous.

    Returns:
        float32 (K, Cin, Cout).
    """
    for name, features in (("x", x), ("grad", grad)):
        check_features(features, name)
        if not features.flags.c_contiguous:
            raise ValueError(f"{name} must be contiguous")
    _check_inputs(x, plan)
    if len(grad) != plan.rows:
        raise ValueError(f"the plan has {plan.rows} rows, but grad has {len(grad)}")
    out = np.empty((plan.filter, x.shape[1], grad.shape[1]), np.float32)
    failed = library().kidneyseg_weight_grad(
        *(plan.handle, address(x), address(grad)),
        *(*out.shape[1:], address(out), threads.count()),
    )
    memory.check(failed)
    return out


def extent(coords: Indices) -> tuple[list[int], list[int]]:
    """Smallest and largest value of each column of coords int64 (N, 3) or (N, 4), contiguous, N > 0."""
    check_coords(coords)
    rows, columns = coords.shape
    low, high = (c_int64 * columns)(), (c_int64 * columns)()
    library().kidneyseg_extent(address(coords), rows, columns, low, high, threads.count())
    return list(low), list(high)


def pack(coords: Indices, packing: _Packing, padding: int = 2) -> tuple[Indices, bool]:
    """`Packing.pack`, and whether the keys increase strictly.

    Args:
        coords: int64 (N, 3) or (N, 4), contiguous, N > 0.
        packing: of the keys.
        padding: empty cells on each side.
    """
    check_coords(coords)
    keys = np.empty(len(coords), np.int64)
    sizes = (c_int64 * 3)(packing.x_size, packing.y_size, packing.z_size)
    increasing = library().kidneyseg_pack(
        *(address(coords), *coords.shape, sizes, padding, address(keys), threads.count())
    )
    return keys, bool(increasing)


def neighbour_table(keys: Indices, y_size: int, z_size: int, size: int = 3) -> Table:
    """Submanifold neighbours int32 (N, size³), -1 where there is none; see `torch_maps.neighbour_table`."""
    check_keys(keys)
    check_size(size)
    table = np.empty((len(keys), size**3), np.int32)
    library().kidneyseg_neighbour_table(address(keys), len(keys), y_size, z_size, size, address(table), threads.count())
    return table


def coarsen(keys: Indices, fine: _Packing, coarse: _Packing, padding: int = 2) -> tuple[Indices, Table, Table, Table]:
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
    coarse_keys, children = np.empty_like(keys), np.empty((len(keys), 8), np.int32)
    parent, slot = (np.empty(len(keys), np.int32) for _ in range(2))
    sizes = [(c_int64 * 3)(packing.x_size, packing.y_size, packing.z_size) for packing in (fine, coarse)]
    count = library().kidneyseg_coarsen(
        *(address(keys), len(keys), *sizes, padding, address(coarse_keys)),
        *(address(parent), address(slot), address(children), threads.count()),
    )
    # Copies, which free the memory of the rest.
    return coarse_keys[:count].copy(), parent, slot, children[:count].copy()


def parent_table(parent: Table, slot: Table) -> Table:
    """The table int32 (N, 8) of output rows that read parent[i] under the offset slot[i]; both int32 (N,)."""
    table = np.full((len(parent), 8), -1, np.int32)
    np.put_along_axis(table, slot[:, None], parent[:, None], axis=1)
    return table


def _row_stride(x: Floats) -> int:
    return x.strides[0] // 4 if len(x) > 1 else int(x.shape[1])


def _outputs(targets: Sequence[Target]) -> Array[Output]:
    pointers = [
        (address(t.scale), address(t.shift)) if t.scale is not None and t.shift is not None else (None, None)
        for t in targets
    ]
    return (Output * len(targets))(
        *(Output(address(t.rows), _row_stride(t.rows), *p, t.leak) for t, p in zip(targets, pointers, strict=True))
    )


def _check_inputs(x: Floats, plan: Plan) -> None:
    if plan.inputs > len(x):
        raise ValueError(f"the plan reads {plan.inputs} rows, but x has only {len(x)}")


def _check_conv(x: Floats, plan: Plan, weight: Floats, targets: Sequence[Target]) -> None:
    check_features(x, "x")
    _check_inputs(x, plan)
    if weight.dtype != np.float32 or weight.ndim != 3:
        raise ValueError(f"weight must be float32 (K, Cin, Cout), not {weight.dtype} {weight.shape}")
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
                vector.dtype != np.float32 or vector.shape != (channels,) or not vector.flags.c_contiguous
            ):
                raise ValueError(f"scale and shift must be contiguous float32 ({channels},)")
