# ruff: noqa: PLC0415 - the command must not pay for importing the window, nor the window for the command
"""The one executable of the installed program: `kidneyseg`, or `kidneyseg-gui` where it is started by that name."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


class _RestOfPython:
    """Finds modules of Python's own packages of which the program has others only, e.g. unittest.mock."""

    def __init__(self, library: Path) -> None:
        self._library = library

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module in the folder of its package; None where it is not there."""
        package = self._library.joinpath(*fullname.split(".")[:-1])
        return PathFinder.find_spec(fullname, [str(package)]) if path is not None and package.is_dir() else None


def add_gpu_build(program: Path) -> None:
    """Let torch be imported where kidneyseg-cuda lies beside the program, with what it needs of Python's own library.

    They come last: everything that the program has itself stays its own.
    """
    folder = program / "cuda"
    if folder.is_dir():
        sys.path += [str(folder / name) for name in ("packages", "python", "python/lib-dynload")]
        sys.meta_path.append(_RestOfPython(folder / "python"))


def start() -> int:
    """Run the program that was asked for. Returns the exit status."""
    # The libraries in here are for this program, not for a browser or file manager that it opens. The loader has read
    # the variable by now.
    os.environ.pop("LD_LIBRARY_PATH", None)
    if (before := os.environ.pop("LD_LIBRARY_PATH_ORIG", None)) is not None:
        os.environ["LD_LIBRARY_PATH"] = before
    # When the program starts itself, its loader must set the variable again.
    os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
    add_gpu_build(Path(sys.executable).resolve().parent)
    # How `kidneyseg evaluate` starts `kidneyseg segment`, and how both programs start what decodes DICOM.
    if as_module := sys.argv[1:3] == ["-m", "kidneyseg"]:
        del sys.argv[1:3]
    if Path(sys.argv[0]).name == "kidneyseg-gui" and not as_module:
        from kidneyseg_gui.__main__ import main as window

        return window()
    from kidneyseg.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(start())
