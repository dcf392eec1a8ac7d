# ruff: noqa: PLC0415 - functions import what they call, so that importing this module stays quick
"""Everything the window needs of the engine, as functions that import it only when they are called.

torch and scikit-learn take seconds to import, which must not delay the first paint. Tests replace these functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from kidneyseg.imaging.volume import Volume
    from kidneyseg.progress import Progress
    from kidneyseg.segmentation import pipeline
    from kidneyseg_gui.protocols import Pipeline, Result
    from kidneyseg_gui.scene import Scene


def _load(path: Path) -> Volume:
    from kidneyseg.errors import InputError
    from kidneyseg.imaging.labels import looks_like_labels
    from kidneyseg.imaging.readers import load

    volume = load(path)
    if not volume.calibrated and looks_like_labels(volume.hu):
        raise InputError(f"{path.name} is a label map, not a CT. Open its CT first, then open the mask over it.")
    return volume


def _sample() -> Path:
    from kidneyseg.phantom.sample import sample_case

    return sample_case()


def _pipeline(volume: Volume, device: str) -> Pipeline:
    from kidneyseg.segmentation.pipeline import Pipeline

    return Pipeline(volume, device=device)


def _export(result: Result, volume: Volume, path: Path) -> None:
    from kidneyseg.segmentation.export import export

    export(cast("pipeline.Result", result), volume, path)  # it came from `_pipeline`


def _check_export(path: Path, ct: Path | None) -> Path:
    from kidneyseg.segmentation.export import check_export

    return check_export(path, ct)


def _scene(result: Result, volume: Volume, progress: Progress) -> Scene:
    from kidneyseg_gui.scene import build_scene

    return build_scene(result, volume, progress)


def _warm_up() -> bool:
    # Importing them in advance means that the first segmentation does not wait for it.
    import torch

    import kidneyseg.segmentation.export
    import kidneyseg.segmentation.pipeline  # noqa: F401

    return torch.cuda.is_available()


@dataclass(frozen=True)
class Services:
    """What the working thread calls, and `check_export`; see the functions above for what each returns."""

    load: Callable[[Path], Volume] = _load
    sample: Callable[[], Path] = _sample
    pipeline: Callable[[Volume, str], Pipeline] = _pipeline
    export: Callable[[Result, Volume, Path], None] = _export
    check_export: Callable[[Path, Path | None], Path] = _check_export
    scene: Callable[[Result, Volume, Progress], Scene] = _scene
    warm_up: Callable[[], bool] = _warm_up  # whether there is a CUDA graphics card
