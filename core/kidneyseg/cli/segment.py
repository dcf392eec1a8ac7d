"""`kidneyseg segment`: a CT in, a mask and its sidecar out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.cli.settings_arguments import add_settings, auto_or_integer, settings_of
from kidneyseg.cli.terminal import BarProgress, lasting_imports, peak_mb, print_json

if TYPE_CHECKING:
    from kidneyseg.segmentation.pipeline import Result

_LARGEST_OFFSET = 65535  # of voxels of 16 bits
_STARTED = time.perf_counter()


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "segment",
        help="segment a CT",
        description="Segment kidneys (1) and kidney tumours (2) on a CT and write them as NIfTI, with a sidecar JSON.",
    )
    parser.add_argument("ct", type=Path, metavar="CT", help="a CT as .nii or .nii.gz, or a .hdr/.img pair")
    parser.add_argument("-o", "--output", type=Path, metavar="MASK", help="CT_mask.nii.gz beside the CT if not given")
    parser.add_argument("--no-overwrite", action="store_true", help="fail if the mask or its sidecar exists already")
    parser.add_argument(
        "--hu-offset",
        type=_hu_offset,
        default="auto",
        metavar="N",
        help="number to add to the file's values to get HU, 0 for none; auto recognises HU + 1024 and the like (auto)",
    )
    parser.add_argument("--timings", action="store_true", help="print the seconds of each stage and the peak memory")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when no kidney is found")
    parser.add_argument(
        "--backend", default="auto", metavar="NAME", help="auto, or sparseconvnet where it is installed"
    )
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Segment, export, report."""
    settings = settings_of(arguments)

    with lasting_imports():
        from kidneyseg.imaging.headers import header_path
        from kidneyseg.imaging.nifti import case_name
        from kidneyseg.imaging.readers import load
        from kidneyseg.imaging.streams import InputStream
        from kidneyseg.segmentation.export import check_export, export, sidecar
        from kidneyseg.segmentation.pipeline import Pipeline
        from kidneyseg.segmentation.provenance import Provenance

    imported = time.perf_counter()
    ct: Path = arguments.ct
    mask = arguments.output or ct.with_name(case_name(ct) + "_mask.nii.gz")
    with InputStream(header_path(ct)):  # a missing CT is reported first
        check_export(mask, ct, overwrite=not arguments.no_overwrite)
    bar = BarProgress()
    try:
        bar.update("reading", 0.0)
        volume = load(ct, **({} if arguments.hu_offset == "auto" else {"hu_offset": arguments.hu_offset}))
        read = time.perf_counter()
        pipeline = Pipeline(volume, device=arguments.device, models_dir=arguments.models, backend=arguments.backend)
        result = pipeline.run(settings, bar)
        computed = time.perf_counter()
    finally:
        bar.close()
    beside = export(result, volume, mask, overwrite=not arguments.no_overwrite)
    seconds = {"import": imported - _STARTED, "read": read - imported, **result.timings}
    seconds |= {"write": time.perf_counter() - computed, "total": time.perf_counter() - _STARTED}
    if arguments.json:
        made = sidecar(volume, result.findings, Provenance.of(result))
        report = made | {"mask": str(mask), "sidecar": str(beside), "peak_mb": peak_mb()}
        print_json(report | {"seconds": {stage: round(s, 3) for stage, s in seconds.items()}})
    else:
        _print_report(result, mask, seconds if arguments.timings else None)
    return 1 if arguments.strict and not result.mask.any() else 0


def _hu_offset(text: str) -> str | int:
    offset = auto_or_integer(text)
    if isinstance(offset, int) and abs(offset) > _LARGEST_OFFSET:
        raise argparse.ArgumentTypeError(f"a whole number from -{_LARGEST_OFFSET} to {_LARGEST_OFFSET}")
    return offset


def _print_report(result: Result, mask: Path, seconds: dict[str, float] | None) -> None:
    for note in result.notes:
        print(note)
    for kidney in result.findings.kidneys:
        print(f"{kidney.side or 'a'} kidney: {kidney.ml:.0f} mL, tumour on it: {kidney.tumour_ml:.1f} mL")
    for tumour in result.findings.tumours:
        sure = "" if tumour.confidence is None else f", {tumour.confidence.probability:.0%} sure"
        where = f"tumour on the {tumour.side or 'kidney'}"
        print(f"{where}: {tumour.ml:.1f} mL, longest diameter {tumour.longest_mm:.0f} mm{sure}")
    print(f"mask: {mask}")
    if seconds is not None:
        for stage, spent in seconds.items():
            print(f"  {stage:<10}{spent:8.2f} s")
        print(f"  peak memory {peak_mb()} MB")
