# ruff: noqa: PLC0415 - imports inside functions: the point of this file, see above
"""Everything the window asks of the engine, as functions that import it only when they are called.

torch and scikit-learn take seconds to import: they must not stand between a user and the first paint. Tests put
functions of their own in place of these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kidneyseg.imaging.volume import Volume
    from kidneyseg.progress import Progress


def _load(path: Path) -> Volume:
    from kidneyseg.imaging.readers import load

    return load(path)


def _sample() -> Path:
    from kidneyseg.phantom.sample import sample_case

    return sample_case()


def _pipeline(volume: Volume, device: str) -> Any:
    from kidneyseg.segmentation.pipeline import Pipeline

    return Pipeline(volume, device=device)


def _export(result: Any, volume: Volume, path: Path) -> None:
    from kidneyseg.segmentation.export import export

    export(result, volume, path)


def _scene(result: Any, volume: Volume, progress: Progress) -> Any:
    from kidneyseg_gui.scene import build_scene

    return build_scene(result, volume, progress)


def _warm_up() -> None:
    import kidneyseg.segmentation.export
    import kidneyseg.segmentation.pipeline  # noqa: F401 - both imported for the time it takes


@dataclass(frozen=True)
class Services:
    """What the working thread calls; see the functions above for what each promises."""

    load: Callable[[Path], Any] = _load
    sample: Callable[[], Path] = _sample
    pipeline: Callable[[Any, str], Any] = _pipeline
    export: Callable[[Any, Any, Path], None] = _export
    scene: Callable[[Any, Any, Any], Any] = _scene
    warm_up: Callable[[], None] = _warm_up
