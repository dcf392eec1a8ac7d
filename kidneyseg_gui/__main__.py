# ruff: noqa: PLC0415 - `--help` and `--version` must work without Qt and its libraries, so functions import it
"""The command `kidneyseg-gui [CT] [--mask MASK]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kidneyseg.version import __version__


def make_parser() -> argparse.ArgumentParser:
    """The parser of the arguments, from which the man page is made, too."""
    parser = argparse.ArgumentParser(
        prog="kidneyseg-gui",
        description="Open the KidneySeg window. Research use only, not a medical device.",
        epilog="Without a CT the window opens a synthetic sample case. The environment variable KIDNEYSEG_3D chooses"
        " how the 3-D view is drawn: pyvistaqt (the default with a graphics card) or offscreen (the default without).",
    )
    parser.add_argument("ct", nargs="?", type=Path, metavar="CT", help="a CT to open: .nii, .nii.gz or a DICOM study")
    parser.add_argument("--mask", type=Path, metavar="MASK", help="a mask of this CT, to be shown and corrected")
    parser.add_argument("--version", action="version", version=f"KidneySeg {__version__}")
    return parser


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if arguments.mask is not None and arguments.ct is None:
        parser.error("--mask needs the CT that the mask lies on: kidneyseg-gui CT --mask MASK")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Show the window until it is closed. Returns the exit status."""
    arguments = _parse(argv)
    from kidneyseg_gui.preflight import obstacle  # after parsing: --help needs no display

    if (why := obstacle()) is not None:
        print(f"kidneyseg-gui: {why}", file=sys.stderr)
        return 1
    from kidneyseg_gui.application import run

    return run(arguments.ct, arguments.mask)


if __name__ == "__main__":
    sys.exit(main())
