"""`kidneyseg segment`: CTs in, a mask and its sidecar for each out."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

from kidneyseg.cli.settings_arguments import add_settings, auto_or_integer, settings_of
from kidneyseg.cli.terminal import lasting_imports

_LARGEST_OFFSET = 65535  # of voxels of 16 bits
#: the words of `dicom_export.formats.Format`
FORMATS = ("nifti", "seg", "labelmap", "rtstruct", "sr", "images")
_STARTED = time.perf_counter()


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "segment",
        help="segment CTs",
        description="Segment kidneys (1), kidney tumours (2) and, by preset default, cysts (3) on CTs and write them as"
        " NIfTI or DICOM, each with a sidecar JSON. A CT that fails is reported and the others go on; the exit"
        " code is that of the first failure.",
    )
    parser.add_argument(
        "cts",
        nargs="+",
        type=Path,
        metavar="CT",
        help="a CT as .nii, .nii.gz or .hdr/.img, or a DICOM study: a folder, a zip or one of its files",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="MASK|DIR",
        help="mask of one CT (.nii.gz, or .dcm for DICOM SEG), or a folder; beside the CTs if not given",
    )
    parser.add_argument(
        "--format",
        type=formats_of,
        action="extend",
        default=[],
        metavar="F,F",
        help=f"what to write: {', '.join(FORMATS)} (by the output's name, else nifti)",
    )
    parser.add_argument(
        "--dicom-reference",
        type=Path,
        metavar="STUDY",
        help="of a CT that was converted from DICOM, the series that DICOM output refers to",
    )
    parser.add_argument(
        "--series",
        metavar="N",
        help="of a DICOM study, the series to segment: its number in `kidneyseg info STUDY`, or its UID (the proposed)",
    )
    parser.add_argument("--no-overwrite", action="store_true", help="fail if the mask or its sidecar exists already")
    parser.add_argument(
        "--hu-offset",
        type=_hu_offset,
        default="auto",
        metavar="N",
        help="number to add to the file's values to get HU, 0 for none; auto recognises HU + 1024 and the like (auto)",
    )
    parser.add_argument("--timings", action="store_true", help="print the seconds of each stage and the peak memory")
    parser.add_argument("--json", action="store_true", help="print the result as JSON; of several CTs, a line for each")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when no kidney is found")
    parser.add_argument(
        "--backend", default="auto", metavar="NAME", help="auto, or sparseconvnet where it is installed"
    )
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Segment, export, report."""
    settings = settings_of(arguments)
    options = {} if arguments.hu_offset == "auto" else {"hu_offset": arguments.hu_offset}
    if arguments.series is not None:
        options["series"] = arguments.series

    with lasting_imports():
        from kidneyseg.imaging.read_ahead import ReadAhead
        from kidneyseg.imaging.readers import load

    with ReadAhead(partial(load, **options)) as reading:
        reading.begin(arguments.cts[0])  # while the rest of the engine is imported, which takes about as long
        with lasting_imports():
            from kidneyseg.cli.segmenting import Segmenting

        return Segmenting(arguments, settings, reading, since=_STARTED).run()


def formats_of(text: str) -> list[str]:
    """The type of --format: words of FORMATS, with commas between them."""
    words = [word.strip().lower() for word in text.split(",")]
    unknown = [word for word in words if word not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(FORMATS)}")
    return words


def _hu_offset(text: str) -> str | int:
    offset = auto_or_integer(text)
    if isinstance(offset, int) and abs(offset) > _LARGEST_OFFSET:
        raise argparse.ArgumentTypeError(f"a whole number from -{_LARGEST_OFFSET} to {_LARGEST_OFFSET}")
    return offset
