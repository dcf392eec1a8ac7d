"""The native CPU kernels, `_kernels.cpp` and its neighbours: built with the package and called through plain buffers.

The functions are those of `functional` and `rulebook` of the same names, for float32 (features, weights), int64 (keys)
and int32 (tables) tensors on the CPU. They use `torch.get_num_threads()` threads, and their results do not depend on
how many. Where no compiler built the library, `available()` is False and `reason()` says why.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_float, c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

_MAX_ROWS = 2**31 - 1
_NO_MEMORY = "not enough memory for a sparse convolution; use a coarser lattice or fewer points"
_INTERFACE = 1  # as in _kernels.cpp
_INSTRUCTION_SETS = ("baseline", "avx2", "avx512")


class _Grid(Protocol):
    """Cells along each axis, padding included: `rulebook.Packing`."""

    @property
    def x_size(self) -> int: ...
    @property
    def y_size(self) -> int: ...
    @property
    def z_size(self) -> int: ...


class Target(NamedTuple):
    """Where a fused convolution writes: `leaky_relu(y * scale + shift)`, or y itself where scale is None.

    Attributes:
        rows: float32 (N, Cout), each row contiguous; may be some columns of a wider buffer.
        scale: float32 (Cout,) or None. shift: float32 (Cout,), given with scale.
        leak: slope below zero.
    """

    rows: Tensor
    scale: Tensor | None = None
    shift: Tensor | None = None
    leak: float = 0.0


class _Output(ctypes.Structure):
    _fields_ = (
        ("rows", c_void_p),
        ("stride", c_int64),
        ("scale", c_void_p),
        ("shift", c_void_p),
        ("leak", c_float),
    )


class _Plan:
    """A table as the kernels read it; made on its first use and kept on the tensor, as one table serves many layers."""

    def __init__(self, table: Tensor) -> None:
        library = _library()
        self.version = _version(table)
        self.instruction_set = instruction_set()
        self.handle = library.kidneyseg_plan(table.data_ptr(), *table.shape, torch.get_num_threads())
        if self.handle is None:
            raise MemoryError(_NO_MEMORY)
        self._free = weakref.finalize(self, library.kidneyseg_free_plan, self.handle)
        self.last_input = int(library.kidneyseg_plan_last_input(self.handle))


def available() -> bool:
    """Whether the library was built and loads."""
    return _load()[0] is not None


def reason() -> str:
    """Why it is not available; empty where it is."""
    return _load()[1]


def serves(x: Tensor) -> bool:
    """Whether the kernels can work on this tensor: built, on the CPU, float32 (or int64, for keys)."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.int64) and available()


def instruction_set() -> str:
    """The vector instructions in use: "avx512", "avx2" or "baseline"; the best that this processor has."""
    return str(_library().kidneyseg_instruction_set(-1).decode())


def limit_instruction_set(name: str) -> str:
    """Use no more than the named instruction set from now on, for tests; returns what is in use."""
    return str(_library().kidneyseg_instruction_set(_INSTRUCTION_SETS.index(name)).decode())


def gather_conv(x: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    """`out[i] = sum_k x[table[i, k]] @ weight[k]` over the entries that are not -1.

    Args:
        x: float32 (rows, Cin). table: int32 (N, K), rows of x. weight: float32 (K, Cin, Cout), any strides.

    Returns:
        float32 (N, Cout).
    """
    out = x.new_empty(len(table), weight.shape[2])
    gather_conv_into(x, table, weight, [Target(out)])
    return out


def gather_conv_into(x: Tensor, table: Tensor, weight: Tensor, targets: Sequence[Target]) -> None:
    """`gather_conv`, written to every target while it is in the cache; x may be some columns of a wider buffer."""
    _check_index(table, "table", 2)
    _check_conv(x, weight, len(table), targets)
    if table.shape[1] != len(weight):
        raise ValueError(f"table has {table.shape[1]} offsets, but weight has {len(weight)}")
    plan = _plan_of(table, len(x))
    _done(_library().kidneyseg_gather_conv(plan.handle, *_conv_arguments(x, weight, targets)))


def parent_conv(x: Tensor, parent: Tensor, slot: Tensor, weight: Tensor) -> Tensor:
    """`out[i] = x[parent[i]] @ weight[slot[i]]`.

    Args:
        x: float32 (rows, Cin). parent, slot: int32 (N,). weight: float32 (K, Cin, Cout), any strides.

    Returns:
        float32 (N, Cout).
    """
    out = x.new_empty(len(parent), weight.shape[2])
    parent_conv_into(x, parent, slot, weight, [Target(out)])
    return out


def parent_conv_into(x: Tensor, parent: Tensor, slot: Tensor, weight: Tensor, targets: Sequence[Target]) -> None:
    """`parent_conv`, written to every target while it is in the cache; x may be some columns of a wider buffer."""
    _check_index(parent, "parent", 1)
    _check_index(slot, "slot", 1)
    _check_conv(x, weight, len(parent), targets)
    if len(slot) != len(parent):
        raise ValueError(f"parent has {len(parent)} rows, but slot has {len(slot)}")
    _done(
        _library().kidneyseg_parent_conv(
            *(parent.data_ptr(), slot.data_ptr(), len(parent), len(weight)), *_conv_arguments(x, weight, targets)
        )
    )


def gather_weight_grad(x: Tensor, table: Tensor, grad: Tensor) -> Tensor:
    """`out[k] = sum_i x[table[i, k]]^T grad[i]` over the entries that are not -1.

    Args:
        x: float32 (rows, Cin), contiguous. table: int32 (N, K). grad: float32 (N, Cout), contiguous.

    Returns:
        float32 (K, Cin, Cout).
    """
    _check_index(table, "table", 2)
    for name, tensor in (("x", x), ("grad", grad)):
        _check_features(tensor, name)
        if not tensor.is_contiguous():
            raise ValueError(f"{name} must be contiguous")
    if len(grad) != len(table):
        raise ValueError(f"table has {len(table)} rows, but grad has {len(grad)}")
    plan, threads = _plan_of(table, len(x)), torch.get_num_threads()
    out = x.new_empty(table.shape[1], x.shape[1], grad.shape[1])
    _done(
        _library().kidneyseg_weight_grad(
            plan.handle, x.data_ptr(), grad.data_ptr(), *out.shape[1:], out.data_ptr(), threads
        )
    )
    return out


def affine_into(x: Tensor, target: Target) -> None:
    """Write x (N, C), which may be some columns of a wider buffer, to the target: a BatchNorm with its leaky ReLU."""
    _check_features(x, "x")
    _check_target(target, len(x), x.shape[1])
    _done(
        _library().kidneyseg_affine(x.data_ptr(), _row_stride(x), *x.shape, _outputs([target]), torch.get_num_threads())
    )


def neighbour_table(keys: Tensor, y_size: int, z_size: int, size: int = 3) -> Tensor:
    """Submanifold neighbours int32 (N, size³) of sites with strictly increasing keys; size 1, 3 or 5."""
    _check_keys(keys)
    table = torch.empty(len(keys), size**3, dtype=torch.int32)
    failed = _library().kidneyseg_neighbour_table(
        keys.data_ptr(), len(keys), y_size, z_size, size, table.data_ptr(), torch.get_num_threads()
    )
    if failed:
        raise ValueError(f"a submanifold filter must be 1, 3 or 5 wide, not {size}")
    return table


def coarsen(keys: Tensor, fine: _Grid, coarse: _Grid, padding: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The level above of a filter 2, stride 2 map.

    Args:
        keys: int64 (N,), strictly increasing, packed as in `rulebook.Packing`.
        fine, coarse: the packings of the two levels, padding included. padding: empty cells at each side.

    Returns:
        Coarse keys (Nc,), increasing; parent and slot int32 (N,); children int32 (Nc, 8), -1 where there is none.
    """
    _check_keys(keys)
    # Room for the worst case; what is not written takes no memory.
    coarse_keys, children = torch.empty_like(keys), torch.empty(len(keys), 8, dtype=torch.int32)
    parent, slot = (torch.empty(len(keys), dtype=torch.int32) for _ in range(2))
    sizes = [(c_int64 * 3)(grid.x_size, grid.y_size, grid.z_size) for grid in (fine, coarse)]
    count = _library().kidneyseg_coarsen(
        keys.data_ptr(),
        len(keys),
        *sizes,
        padding,
        coarse_keys.data_ptr(),
        parent.data_ptr(),
        slot.data_ptr(),
        children.data_ptr(),
        torch.get_num_threads(),
    )
    return coarse_keys[:count].clone(), parent, slot, children[:count].clone()


@cache
def _load() -> tuple[ctypes.CDLL | None, str]:
    files = sorted(p for p in Path(__file__).parent.glob("_kernels*") if p.suffix in (".so", ".pyd", ".dylib"))
    if not files:
        return None, "the native kernels were not built; reinstall kidneyseg where there is a C++ compiler"
    try:
        library = ctypes.CDLL(str(files[0]))
        if library.kidneyseg_interface() != _INTERFACE:
            return None, f"the native kernels in {files[0].name} are of another version; reinstall kidneyseg"
        library.kidneyseg_instruction_set.argtypes = [c_int]
        library.kidneyseg_instruction_set.restype = c_char_p
        library.kidneyseg_plan.argtypes = [c_void_p, c_int64, c_int, c_int]
        library.kidneyseg_plan.restype = c_void_p
        library.kidneyseg_free_plan.argtypes = [c_void_p]
        library.kidneyseg_free_plan.restype = None
        library.kidneyseg_plan_last_input.argtypes = [c_void_p]
        library.kidneyseg_plan_last_input.restype = c_int64
        conv: list[Any] = [
            c_void_p,
            c_int64,
            c_void_p,
            POINTER(c_int64),
            c_int64,
            c_int64,
            POINTER(_Output),
            c_int,
            c_int,
        ]
        library.kidneyseg_gather_conv.argtypes = [c_void_p, *conv]
        library.kidneyseg_parent_conv.argtypes = [c_void_p, c_void_p, c_int64, c_int, *conv]
        library.kidneyseg_weight_grad.argtypes = [*(c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_void_p, c_int)]
        library.kidneyseg_affine.argtypes = [c_void_p, c_int64, c_int64, c_int64, POINTER(_Output), c_int]
        library.kidneyseg_neighbour_table.argtypes = [c_void_p, c_int64, c_int64, c_int64, c_int, c_void_p, c_int]
        library.kidneyseg_coarsen.argtypes = [
            *(c_void_p, c_int64, POINTER(c_int64), POINTER(c_int64), c_int64),
            *(c_void_p, c_void_p, c_void_p, c_void_p, c_int),
        ]
        library.kidneyseg_coarsen.restype = c_int64
    except (OSError, AttributeError) as error:
        return None, f"the native kernels in {files[0].name} do not load ({error}); reinstall kidneyseg"
    return library, ""


def _library() -> ctypes.CDLL:
    library, why = _load()
    if library is None:
        raise RuntimeError(why)
    return library


def _done(failed: int) -> None:
    if failed:
        raise MemoryError(_NO_MEMORY)


def _version(table: Tensor) -> int:
    """Changes where a table is written to; tensors of inference mode do not count, and are not written to either."""
    return 0 if table.is_inference() else table._version


def _plan_of(table: Tensor, rows: int) -> _Plan:
    plan: _Plan | None = getattr(table, "_kidneyseg_plan", None)
    if plan is None or (plan.version, plan.instruction_set) != (_version(table), instruction_set()):
        plan = _Plan(table)
        table._kidneyseg_plan = plan  # type: ignore[attr-defined]
    if plan.last_input >= rows:
        raise ValueError(f"table points at row {plan.last_input}, but x has only {rows}")
    return plan


def _row_stride(x: Tensor) -> int:
    return x.stride(0) if len(x) > 1 else x.shape[1]


def _outputs(targets: Sequence[Target]) -> ctypes.Array[_Output]:
    pointer = [
        (t.scale.data_ptr(), t.shift.data_ptr()) if t.scale is not None and t.shift is not None else (None, None)
        for t in targets
    ]
    return (_Output * len(targets))(
        *(_Output(t.rows.data_ptr(), _row_stride(t.rows), *p, t.leak) for t, p in zip(targets, pointer, strict=True))
    )


def _conv_arguments(x: Tensor, weight: Tensor, targets: Sequence[Target]) -> tuple[object, ...]:
    strides = (c_int64 * 3)(*weight.stride())
    return (
        *(x.data_ptr(), _row_stride(x), weight.data_ptr(), strides, weight.shape[1], weight.shape[2]),
        *(_outputs(targets), len(targets), torch.get_num_threads()),
    )


def _check_rows(rows: int) -> None:
    if rows > _MAX_ROWS:
        raise ValueError(f"{rows} sites are more than the {_MAX_ROWS} that one run can hold; split the input")


def _check_features(x: Tensor, name: str) -> None:
    _check_rows(len(x))
    if x.dtype != torch.float32 or x.device.type != "cpu" or x.ndim != 2:
        raise ValueError(f"{name} must be a float32 matrix on the CPU, not {x.dtype} {tuple(x.shape)} on {x.device}")
    if x.shape[1] > 1 and len(x) and x.stride(1) != 1:
        raise ValueError(f"{name} must have contiguous rows, not strides {x.stride()}")


def _check_index(index: Tensor, name: str, dimensions: int) -> None:
    _check_rows(len(index))
    if index.dtype != torch.int32 or index.device.type != "cpu" or index.ndim != dimensions:
        raise ValueError(f"{name} must be int32 on the CPU, not {index.dtype} {tuple(index.shape)} on {index.device}")
    if not index.is_contiguous():
        raise ValueError(f"{name} must be contiguous")


def _check_keys(keys: Tensor) -> None:
    _check_rows(len(keys))
    if keys.dtype != torch.int64 or keys.device.type != "cpu" or keys.ndim != 1 or not keys.is_contiguous():
        raise ValueError(f"keys must be int64 (N,) on the CPU, not {keys.dtype} {tuple(keys.shape)} on {keys.device}")


def _check_target(target: Target, rows: int, channels: int) -> None:
    _check_features(target.rows, "target")
    if target.rows.shape != (rows, channels):
        raise ValueError(f"target must be ({rows}, {channels}), not {tuple(target.rows.shape)}")
    if (target.scale is None) != (target.shift is None):
        raise ValueError("scale and shift must be given together")
    for vector in (target.scale, target.shift):
        if vector is not None and (
            vector.dtype != torch.float32 or vector.shape != (channels,) or not vector.is_contiguous()
        ):
            raise ValueError(f"scale and shift must be contiguous float32 ({channels},)")


def _check_conv(x: Tensor, weight: Tensor, rows: int, targets: Sequence[Target]) -> None:
    _check_features(x, "x")
    if weight.dtype != torch.float32 or weight.ndim != 3 or weight.device.type != "cpu":
        raise ValueError(f"weight must be float32 (K, Cin, Cout) on the CPU, not {weight.dtype} {tuple(weight.shape)}")
    if x.shape[1] != weight.shape[1]:
        raise ValueError(f"x has {x.shape[1]} channels, but weight takes {weight.shape[1]}")
    for target in targets:
        _check_target(target, rows, weight.shape[2])
