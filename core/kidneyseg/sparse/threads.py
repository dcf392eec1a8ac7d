"""How many threads the native kernels use; their results do not depend on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


@cache
def of_machine() -> int:
    """OMP_NUM_THREADS where it is a positive number, else the physical cores that this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",", maxsplit=1)[0].strip()
    return int(wanted) if wanted.isdecimal() and int(wanted) > 0 else cores()


def cores() -> int:
    """The physical cores that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    return len({_core_of(cpu) for cpu in os.sched_getaffinity(0)})


_current: Callable[[], int] = of_machine


def count() -> int:
    """The number of threads for the next kernel."""
    return _current()


def follow(other: Callable[[], int]) -> None:
    """Take the number from another library from now on; `bridge` names torch's where torch is in use."""
    global _current  # noqa: PLW0603 - one number for the process, as torch has it
    _current = other


def _core_of(cpu: int) -> str:
    """What the hyper-threads of one core have in common."""
    try:
        return Path(_TOPOLOGY.format(cpu)).read_text(encoding="ascii").strip()
    except OSError:
        return str(cpu)
