"""The work of `kidneyseg segment`; imported when that begins, since it imports the engine."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kidneyseg.cli.main import exit_code
from kidneyseg.cli.terminal import BarProgress, peak_mb, print_json
from kidneyseg.errors import KidneySegError, SettingsError
from kidneyseg.files import make_folder
from kidneyseg.imaging.nifti import case_name
from kidneyseg.imaging.read_ahead import ReadAhead
from kidneyseg.imaging.readers import check_readable
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.export import check_export, export, sidecar
from kidneyseg.segmentation.pipeline import Pipeline, Result
from kidneyseg.segmentation.provenance import Provenance
from kidneyseg.settings import Settings


def masks_of(cts: Sequence[Path], output: Path | None) -> dict[Path, Path]:
    """The path of each CT's mask; CTs of one name from several folders get their folder's name, too.

    Args:
        cts: paths.
        output: the mask of a single CT, or a folder, which is made if it is missing; None: beside the CTs.

    Raises:
        SettingsError: two CTs would have one mask.
        OutputError: the folder cannot be made.
    """
    if len(cts) == 1 and output is not None and not output.is_dir():
        return {cts[0]: output}
    if output is not None:
        if output.name.lower().endswith((".nii", ".nii.gz")):
            raise SettingsError(f"of several CTs the output is a folder, and {output} is a mask's name")
        make_folder(output)
    names = Counter(case_name(ct) for ct in cts)
    masks = {}
    for ct in cts:
        name, folder = f"{case_name(ct)}_mask.nii.gz", output or (ct.resolve() if ct.is_dir() else ct).parent
        masks[ct] = folder / (f"{ct.resolve().parent.name}_{name}" if output and names[case_name(ct)] > 1 else name)
    for mask, times in Counter(masks[ct] for ct in cts).items():
        if times > 1:
            raise SettingsError(f"two of the CTs would be written to {mask}; name each CT once, and differently")
    return masks


class Segmenting:
    """Segments CTs one after another, with one load of the networks. Reports are printed as each is done."""

    def __init__(self, arguments: argparse.Namespace, settings: Settings, reading: ReadAhead, since: float) -> None:
        """Prepare; `reading` may have begun with the first CT, `since` is when the process began."""
        self._arguments, self._settings, self._reading = arguments, settings, reading
        self._several = len(arguments.cts) > 1
        self._since, self._seconds = since, {"import": time.perf_counter() - since}
        self._code = 0
        self._pipeline: Pipeline | None = None

    def run(self) -> int:
        """Segment all CTs. Returns the exit code of the first failure, else 0."""
        masks = masks_of(self._arguments.cts, self._arguments.output)
        cts = [ct for ct, mask in masks.items() if self._can_write(ct, mask)]
        bar = BarProgress()
        try:
            bar.update("reading", 0.0)
            started = time.perf_counter()
            for number, (ct, volume) in enumerate(self._reading.each(cts), start=1):
                self._seconds["read"] = time.perf_counter() - started
                part = bar.part((number - 1) / len(cts), number / len(cts)) if self._several else bar
                try:
                    if isinstance(volume, KidneySegError):
                        raise volume
                    result = self._networks(volume).run(self._settings, part)
                    self._finish(result, volume, ct, masks[ct], bar)
                except KidneySegError as error:
                    self._fail(ct, error, bar)
                started = self._since = time.perf_counter()
                self._seconds = {}
        finally:
            bar.close()
        return self._code

    def _can_write(self, ct: Path, mask: Path) -> bool:
        try:
            check_readable(ct)  # a missing CT is reported first
            check_export(mask, ct, overwrite=not self._arguments.no_overwrite)
        except KidneySegError as error:
            self._fail(ct, error)
            return False
        return True

    def _networks(self, volume: Volume) -> Pipeline:
        if self._pipeline is None:
            how = self._arguments
            self._pipeline = Pipeline(volume, device=how.device, models_dir=how.models, backend=how.backend)
        else:
            self._pipeline = self._pipeline.for_volume(volume)
        return self._pipeline

    def _finish(self, result: Result, volume: Volume, ct: Path, mask: Path, bar: BarProgress) -> None:
        """Write a mask and report it."""
        started = time.perf_counter()
        beside = export(result, volume, mask, overwrite=not self._arguments.no_overwrite)
        ended = time.perf_counter()
        seconds = self._seconds | result.timings | {"write": ended - started, "total": ended - self._since}
        bar.close()
        if self._arguments.json:
            made = sidecar(volume, result.findings, Provenance.of(result))
            report = made | {"mask": str(mask), "sidecar": str(beside), "peak_mb": peak_mb()}
            self._print_json(report | {"seconds": {stage: round(s, 3) for stage, s in seconds.items()}}, ct)
        else:
            if self._several:
                print(f"{ct}:")
            _print_report(result, mask, seconds if self._arguments.timings else None)
        if self._arguments.strict and not result.mask.any():
            self._code = self._code or 1

    def _fail(self, ct: Path, error: KidneySegError, bar: BarProgress | None = None) -> None:
        self._code = self._code or exit_code(error)
        if bar is not None:
            bar.close()
        print(f"kidneyseg: {ct}: {error}" if self._several else f"kidneyseg: {error}", file=sys.stderr, flush=True)
        if self._several and self._arguments.json:
            self._print_json({"error": str(error)}, ct)

    def _print_json(self, report: dict[str, Any], ct: Path) -> None:
        if self._several:
            print(json.dumps({"ct": str(ct)} | report), flush=True)
        else:
            print_json(report)


def _print_report(result: Result, mask: Path, seconds: dict[str, float] | None) -> None:
    for note in result.notes:
        print(note)
    for kidney in result.findings.kidneys:
        print(f"{kidney.side or 'a'} kidney: {kidney.ml:.0f} mL, tumour on it: {kidney.tumour_ml:.1f} mL")
    for tumour in result.findings.tumours:
        sure = "" if tumour.confidence is None else f", {tumour.confidence.probability:.0%} sure"
        where = f"tumour on the {tumour.side or 'kidney'}"
        print(f"{where}: {tumour.ml:.1f} mL, longest diameter {tumour.longest_mm:.0f} mm{sure}")
    print(f"mask: {mask}", flush=True)
    if seconds is not None:
        for stage, spent in seconds.items():
            print(f"  {stage:<10}{spent:8.2f} s")
        print(f"  peak memory {peak_mb()} MB", flush=True)
