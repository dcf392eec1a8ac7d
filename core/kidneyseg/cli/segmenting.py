"""The work of `kidneyseg segment`; imported when that begins, since it imports the engine."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kidneyseg.cli.main import exit_code
from kidneyseg.cli.outputs import targets_of
from kidneyseg.cli.terminal import BarProgress, peak_mb, print_json
from kidneyseg.dicom_export.formats import Format, Targets, check_formats, check_series, export_formats
from kidneyseg.dicom_export.source import reference_for
from kidneyseg.errors import KidneySegError, SettingsError
from kidneyseg.imaging.dicom.frames import DicomGeometry
from kidneyseg.imaging.read_ahead import ReadAhead
from kidneyseg.imaging.readers import check_readable, load
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.export import sidecar
from kidneyseg.segmentation.pipeline import Pipeline, Result
from kidneyseg.segmentation.provenance import Provenance
from kidneyseg.settings import Settings

_WORDS = {
    Format.NIFTI: "mask",
    Format.SEG: "segmentation",
    Format.LABELMAP: "label map",
    Format.RTSTRUCT: "structures",
    Format.SR: "measurements",
    Format.IMAGES: "key image",
}


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
        arguments = self._arguments
        if arguments.dicom_reference is not None and self._several:
            raise SettingsError("--dicom-reference is of one CT; name one CT")
        formats = [Format(word) for word in arguments.format]
        targets = targets_of(arguments.cts, arguments.output, formats, arguments.series)
        cts = [ct for ct, files in targets.items() if self._can_write(ct, files)]
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
                    series = self._series_for(volume, targets[ct])
                    result = self._networks(volume).run(self._settings, part)
                    self._finish(result, volume, series, ct, targets[ct], bar)
                except KidneySegError as error:
                    self._fail(ct, error, bar)
                started = self._since = time.perf_counter()
                self._seconds = {}
        finally:
            bar.close()
        return self._code

    def _can_write(self, ct: Path, targets: Targets) -> bool:
        try:
            check_readable(ct)  # a missing CT is reported first
            check_formats(targets, ct, overwrite=not self._arguments.no_overwrite)
        except KidneySegError as error:
            self._fail(ct, error)
            return False
        return True

    def _series_for(self, volume: Volume, targets: Targets) -> DicomGeometry | None:
        """The series that DICOM objects will refer to, None without such; found out before the networks run."""
        if targets.keys() <= {Format.NIFTI}:
            return None
        reference = self._arguments.dicom_reference
        series = None if reference is None else reference_for(volume, load(reference))
        return check_series(volume, targets, series)

    def _networks(self, volume: Volume) -> Pipeline:
        if self._pipeline is None:
            how = self._arguments
            self._pipeline = Pipeline(volume, device=how.device, models_dir=how.models, backend=how.backend)
        else:
            self._pipeline = self._pipeline.for_volume(volume)
        return self._pipeline

    def _finish(
        self,
        result: Result,
        volume: Volume,
        series: DicomGeometry | None,
        ct: Path,
        targets: Targets,
        bar: BarProgress,
    ) -> None:
        """Write a mask in its formats and report it."""
        started = time.perf_counter()
        made = Provenance.of(result)
        written = export_formats(
            result.mask,
            volume,
            targets,
            findings=result.findings,
            provenance=made,
            geometry=series,
            overwrite=not self._arguments.no_overwrite,
        )
        ended = time.perf_counter()
        seconds = self._seconds | result.timings | {"write": ended - started, "total": ended - self._since}
        bar.close()
        if self._arguments.json:
            mask = targets.get(Format.NIFTI)
            files = {str(kind): [str(path) for path in paths] for kind, paths in written.files.items()}
            report = sidecar(volume, result.findings, made) | {"mask": None if mask is None else str(mask)}
            report |= {"files": files, "sidecar": str(written.sidecar), "peak_mb": peak_mb()}
            self._print_json(report | {"seconds": {stage: round(s, 3) for stage, s in seconds.items()}}, ct)
        else:
            if self._several:
                print(f"{ct}:")
            _print_report(result, written.files, seconds if self._arguments.timings else None)
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


def _print_report(result: Result, files: Mapping[Format, Sequence[Path]], seconds: dict[str, float] | None) -> None:
    for note in result.notes:
        print(note)
    for kidney in result.findings.kidneys:
        print(f"{kidney.side or 'a'} kidney: {kidney.ml:.0f} mL, tumour on it: {kidney.tumour_ml:.1f} mL")
    for tumour in result.findings.tumours:
        sure = "" if tumour.confidence is None else f", {tumour.confidence.probability:.0%} sure"
        where = f"tumour on the {tumour.side or 'kidney'}"
        print(f"{where}: {tumour.ml:.1f} mL, longest diameter {tumour.longest_mm:.0f} mm{sure}")
    for kind, paths in files.items():
        for path in paths:
            print(f"{_WORDS[kind]}: {path}", flush=True)
    if seconds is not None:
        for stage, spent in seconds.items():
            print(f"  {stage:<10}{spent:8.2f} s")
        print(f"  peak memory {peak_mb()} MB", flush=True)
