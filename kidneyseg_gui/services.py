# ruff: noqa: PLC0415 - functions import what they call, so that importing this module stays quick
"""Everything the window needs of the engine, as functions that import it only when they are called.

scipy and nibabel take a second to import, which must not delay the first paint. Tests replace these functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kidneyseg.errors import InputError, LabelMapError
from kidneyseg.lazy import quick_imports

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kidneyseg.editing.compare import Comparison
    from kidneyseg.editing.open_mask import OpenedMask
    from kidneyseg.findings import Findings
    from kidneyseg.imaging.volume import Volume
    from kidneyseg.progress import Progress
    from kidneyseg.segmentation import pipeline
    from kidneyseg.segmentation.export import FileStamp
    from kidneyseg.segmentation.provenance import Provenance
    from kidneyseg_gui.autosave import RecoveredCase
    from kidneyseg_gui.outcomes import FoundStudy, Saving
    from kidneyseg_gui.protocols import Pipeline, Result
    from kidneyseg_gui.scene import Scene

# Reads a CT; the number is added to its values, None finds out what is to be added.
Load = Callable[[Path, int | None], "Volume"]


def _load(path: Path, hu_offset: int | None = None) -> Volume:
    from kidneyseg.imaging.labels import looks_like_labels
    from kidneyseg.imaging.readers import load

    options: dict[str, Any] = {} if hu_offset is None else {"hu_offset": hu_offset}
    volume = load(path, **options)
    if not volume.calibrated and looks_like_labels(volume.hu):
        raise LabelMapError(f"{path.name} is a label map, not a CT. Open its CT first, then open the mask over it.")
    return volume


def _find_study(path: Path, progress: Progress) -> FoundStudy | None:
    from kidneyseg.imaging.dicom.previews import preview
    from kidneyseg.imaging.dicom.series import find_study
    from kidneyseg.imaging.readers import reads_dicom
    from kidneyseg_gui.outcomes import FoundStudy

    if not reads_dicom(path):
        return None
    study = find_study(path, progress)
    several = study.series if len(study.series) > 1 else ()  # else there is nothing to choose
    return FoundStudy(study, {one.id: preview(one, progress=progress) for one in several})


def _load_series(
    found: FoundStudy, series: str | None, path: Path, hu_offset: int | None, progress: Progress
) -> Volume:
    from kidneyseg.imaging.dicom.dicom_reader import load_chosen

    return load_chosen(found.study, series, path, hu_offset, progress)


def _sample() -> Path:
    from kidneyseg.phantom.sample import sample_case

    return sample_case()


def _pipeline(volume: Volume, device: str) -> Pipeline:
    from kidneyseg.segmentation.pipeline import Pipeline

    return Pipeline(volume, device=device)


def _export(saving: Saving, volume: Volume, path: Path) -> FileStamp:
    from kidneyseg.segmentation.export import export_mask, stamp

    mask = saving.mask.snapshot(with_marks=True)
    marks = saving.mask.marks if mask.marks is None else mask.marks
    export_mask(
        mask.labels,
        volume,
        path,
        findings=_measure(mask.labels, marks, saving.result, volume),
        provenance=saving.provenance,
        marks=marks,
        expected=saving.expected,
    )
    return stamp(path)


def _check_export(path: Path, ct: Path | None, expected: FileStamp | None) -> Path:
    from kidneyseg.segmentation.export import check_export

    return check_export(path, ct, expected=expected)


def _check_objects(kind: str, path: Path, ct: Path | None) -> list[Path]:
    from kidneyseg.dicom_export.formats import Format, check_formats

    return check_formats({Format(kind): path}, ct)


def _export_objects(saving: Saving, volume: Volume, kind: str, path: Path) -> list[Path]:
    from kidneyseg.dicom_export.formats import Format, export_formats

    mask = saving.mask.snapshot(with_marks=True)
    marks = saving.mask.marks if mask.marks is None else mask.marks
    findings = _measure(mask.labels, marks, saving.result, volume)
    made = export_formats(
        mask.labels,
        volume,
        {Format(kind): path},
        findings=findings,
        provenance=saving.provenance,
        marks=marks,
    )
    return [path for paths in made.files.values() for path in paths]


def _provenance(result: Result) -> Provenance:
    from kidneyseg.segmentation.provenance import Provenance

    return Provenance.of(cast("pipeline.Result", result))  # it came from `_pipeline`


def _recover(path: Path, load: Load) -> RecoveredCase:
    from kidneyseg.editing.recovery import read
    from kidneyseg_gui.autosave import RecoveredCase, origin_of

    recovered = read(path)
    if recovered.ct_path is None:
        raise InputError("The autosaved case does not say which CT it is of.")
    series = recovered.state.get("series")
    if isinstance(series, str):
        from kidneyseg.imaging.readers import load as load_any

        volume = load_any(recovered.ct_path, series=series, hu_offset=recovered.state.get("hu_offset"))
    else:
        volume = load(recovered.ct_path, None)
    offset = recovered.state.get("hu_offset")
    if isinstance(offset, int) and offset != volume.hu_offset:  # the user had it read as stored
        volume = load(recovered.ct_path, offset)
    origins = tuple(None if step.result is None else origin_of(step.result) for step in recovered.steps)
    return RecoveredCase(recovered, volume, recovered.restore(volume), origin_of(recovered.base.result), origins)


def _open_mask(path: Path, volume: Volume) -> OpenedMask:
    from kidneyseg.editing.open_mask import open_mask

    return open_mask(path, volume)


def _compare(ours: NDArray[np.uint8], other: NDArray[np.uint8], volume: Volume) -> Comparison:
    from kidneyseg.editing.compare import compare

    return compare(ours, other, volume)


def _measure(labels: NDArray[np.uint8], marks: NDArray[np.uint8], result: Result | None, volume: Volume) -> Findings:
    from kidneyseg.findings import measure
    from kidneyseg.findings.owners import ORIENTATION_WRONG

    if result is None:
        return measure(labels, volume)

    from kidneyseg.segmentation.confidence import with_confidence

    findings = measure(labels, volume, oriented=result.findings.side_unknown != ORIENTATION_WRONG)
    return with_confidence(findings, labels, result.stage2, volume, result.settings.method, marks)


def _scene(
    labels: NDArray[np.uint8], result: Result | None, previous: Scene | None, volume: Volume, progress: Progress
) -> Scene:
    from kidneyseg_gui.scene import build_scene

    return build_scene(labels, result, previous, volume, progress)


def _warm_up() -> bool:
    # Importing them in advance means that the first segmentation does not wait for it.
    with quick_imports():
        import kidneyseg.segmentation.export
        import kidneyseg.segmentation.pipeline  # noqa: F401 - only loads it, ahead of the first run
        from kidneyseg.segmentation.devices import has_gpu

    return has_gpu()


@dataclass(frozen=True)
class Services:
    """What the working threads call, and `check_export`; see the functions above for what each returns."""

    load: Load = _load
    find_study: Callable[[Path, Progress], FoundStudy | None] = _find_study  # None: it is no DICOM
    load_series: Callable[[FoundStudy, str | None, Path, int | None, Progress], Volume] = _load_series
    sample: Callable[[], Path] = _sample
    pipeline: Callable[[Volume, str], Pipeline] = _pipeline
    export: Callable[[Saving, Volume, Path], FileStamp] = _export
    check_export: Callable[[Path, Path | None, FileStamp | None], Path] = _check_export
    check_objects: Callable[[str, Path, Path | None], list[Path]] = _check_objects
    export_objects: Callable[[Saving, Volume, str, Path], list[Path]] = _export_objects
    provenance: Callable[[Result], Provenance] = _provenance
    recover: Callable[[Path, Load], RecoveredCase] = _recover
    open_mask: Callable[[Path, Volume], OpenedMask] = _open_mask
    compare: Callable[[NDArray[np.uint8], NDArray[np.uint8], Volume], Comparison] = _compare
    measure: Callable[[NDArray[np.uint8], NDArray[np.uint8], Result | None, Volume], Findings] = _measure
    scene: Callable[[NDArray[np.uint8], Result | None, Scene | None, Volume, Progress], Scene] = _scene
    warm_up: Callable[[], bool] = _warm_up  # whether there is a CUDA graphics card
