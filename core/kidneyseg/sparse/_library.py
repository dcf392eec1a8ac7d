"""Finds and loads the shared library of native kernels and declares its C functions."""

from __future__ import annotations

import ctypes
import logging
from ctypes import POINTER, c_char_p, c_float, c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

_INTERFACE = 5  # as in _kernels.cpp
_INSTRUCTION_SETS = ("baseline", "avx2", "avx512")


class Output(ctypes.Structure):
    """`Output` in _kernels.h."""

    _fields_ = (
        ("rows", c_void_p),
        ("stride", c_int64),
        ("scale", c_void_p),
        ("shift", c_void_p),
        ("leak", c_float),
    )


class Norm(ctypes.Structure):
    """`Norm` in _kernels.h."""

    _fields_ = (
        *((name, c_void_p) for name in ("scale", "shift", "mean", "grad_slope", "grad_offset")),
        ("leak", c_float),
    )


# Name, result, arguments.
_FUNCTIONS: list[tuple[str, Any, list[Any]]] = [
    ("instruction_set", c_char_p, [c_int]),
    ("plan", c_void_p, [c_void_p, c_int64, c_int, c_int]),
    ("neighbour_plan", c_void_p, [c_void_p, c_int64, c_int64, c_int64, c_int, c_int]),
    ("parent_plan", c_void_p, [c_void_p, c_void_p, c_int64, c_int, c_int]),
    ("plan_inputs", c_int64, [c_void_p]),
    ("free_plan", None, [c_void_p]),
    (
        "conv",
        c_int,
        [
            *(c_void_p, c_void_p, c_int64, c_void_p, POINTER(c_int64), c_int64, c_int64),
            *(c_void_p, c_int64, POINTER(Output), c_int, c_int, c_int),
        ],
    ),
    ("weight_grad", c_int, [c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_void_p, c_int]),
    ("norm_statistics", c_int, [c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_int]),
    ("norm_forward", c_int, [c_void_p, c_int64, c_int64, POINTER(Norm), c_void_p, c_int]),
    ("norm_sums", c_int, [c_void_p, c_void_p, c_int64, c_int64, POINTER(Norm), c_void_p, c_void_p, c_int]),
    ("norm_backward", c_int, [c_void_p, c_void_p, c_int64, c_int64, POINTER(Norm), c_void_p, c_int]),
    ("neighbour_table", None, [c_void_p, c_int64, c_int64, c_int64, c_int, c_void_p, c_int]),
    ("extent", None, [c_void_p, c_int64, c_int, POINTER(c_int64), POINTER(c_int64), c_int]),
    ("pack", c_int, [c_void_p, c_int64, c_int, POINTER(c_int64), c_int64, c_void_p, c_int]),
    (
        "coarsen",
        c_int64,
        [
            *(c_void_p, c_int64, POINTER(c_int64), POINTER(c_int64), c_int64),
            *(c_void_p, c_void_p, c_void_p, c_void_p, c_int),
        ],
    ),
]


def available() -> bool:
    """Whether the library was built and can be loaded."""
    return _load()[0] is not None


def reason() -> str:
    """Why the library is not available; empty if it is."""
    return _load()[1]


def library() -> ctypes.CDLL:
    """The loaded library. Raises RuntimeError with the reason if there is none."""
    loaded, why = _load()
    if loaded is None:
        raise RuntimeError(why)
    return loaded


def instruction_set() -> str:
    """The vector instructions in use: "avx512", "avx2" or "baseline"; by default the best of this processor."""
    return str(library().kidneyseg_instruction_set(-1).decode())


def limit_instruction_set(name: str) -> str:
    """Use at most the named instruction set from now on, for tests and benchmarks; returns the one in use."""
    return str(library().kidneyseg_instruction_set(_INSTRUCTION_SETS.index(name)).decode())


@cache
def _load() -> tuple[ctypes.CDLL | None, str]:
    loaded, why = _find()
    if loaded is None:
        log.warning("%s. Until then the slower torch kernels are used.", why)
    return loaded, why


def _find() -> tuple[ctypes.CDLL | None, str]:
    files = sorted(Path(__file__).parent.glob("_kernels*.so"))
    if not files:
        return None, "the native kernels were not built; reinstall kidneyseg where there is a C++ compiler"
    try:
        loaded = ctypes.CDLL(str(files[0]))
        if loaded.kidneyseg_interface() != _INTERFACE:
            return None, f"the native kernels in {files[0].name} belong to another version; reinstall kidneyseg"
        for name, result, arguments in _FUNCTIONS:
            function = getattr(loaded, f"kidneyseg_{name}")
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        return None, f"the native kernels in {files[0].name} do not load ({error}); reinstall kidneyseg"
    return loaded, ""
