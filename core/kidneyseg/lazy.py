"""Imports that wait until they are needed, and cost less: scipy, nibabel and torch take longer than a CT."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

_importing = threading.Lock()
# How long a thread that imports keeps the interpreter from one that reads a CT meanwhile; 5 ms by default.
_SWITCH_S = 1e-4
_UNUSED_BY_SCIPY = {"f2py", "testing"}  # of numpy's modules that are imported when they are named


def names_of(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`, which import each public name when it is first used.

    Args:
        package: its `__name__`.
        modules: the module within the package that has each name.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted({*vars(sys.modules[package]), *modules})


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in the body, one thread at a time, without what nothing here uses, while other threads go on.

    scipy copies all that numpy lists as public, which would import numpy's Fortran wrapper and its testing tools.
    """
    with _importing:
        switch = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        import numpy as np  # noqa: PLC0415 - `import kidneyseg` imports this module

        listed = {name: getattr(np, name) for name in ("__all__", "__numpy_submodules__") if hasattr(np, name)}
        for name, public in listed.items():
            setattr(np, name, type(public)(one for one in public if one not in _UNUSED_BY_SCIPY))
        try:
            yield
        finally:
            for name, public in listed.items():
                setattr(np, name, public)
            sys.setswitchinterval(switch)
