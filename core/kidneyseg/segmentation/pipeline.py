"""Runs a method on a volume and keeps every intermediate, so that a changed setting re-runs only what depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from kidneyseg.findings import Findings, measure
from kidneyseg.imaging.volume import UNCALIBRATED, Volume
from kidneyseg.points.cloud import AS_STORED, PointCloud
from kidneyseg.progress import Progress
from kidneyseg.segmentation.method import Context, Method, method, unite
from kidneyseg.segmentation.networks import Networks, load_networks, pick_device
from kidneyseg.settings import Settings
from kidneyseg.sparse import memory
from kidneyseg.sparse.backends import check_backend

STAGES = ("sample", "stage 1", "stage 2", "clusters", "fill", "findings")
# Where each stage begins in the whole run's progress, from the default method's share of the time.
_BEGINS = {"sample": 0.0, "stage 1": 0.05, "stage 2": 0.40, "clusters": 0.90, "fill": 0.93, "findings": 0.99}

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Result:
    """A mask and how it came about.

    Attributes:
        mask: uint8 (X, Y, Z): 0, 1 kidney, 2 tumour, on the volume's voxels.
        sampled: stage 1's points with its labels, TISSUE and KIDNEY.
        stage2: stage 2's points with its labels, TISSUE, KIDNEY and TUMOUR.
        objects: the kidney and tumour points that were kept after DBSCAN.
        findings: measurements on the mask.
        timings: seconds per stage of `STAGES`; 0.0 where the stage was kept from an earlier run.
        notes: plain sentences for the user.
        settings: what produced it; `settings.method` names the method and its networks.
        model_ids: the networks that were used, stage 1's first.
        device: where the networks ran, "cpu" or "cuda".
        backend: the library that ran them; see `sparse.backends`.
    """

    mask: NDArray[np.uint8]
    sampled: PointCloud
    stage2: PointCloud
    objects: PointCloud
    findings: Findings
    timings: dict[str, float]
    notes: tuple[str, ...]
    settings: Settings
    model_ids: tuple[str, ...]
    device: str
    backend: str = "auto"


@dataclass(frozen=True)
class _Kept:
    """The latest outcome of a stage: what it depended on, its value, and the notes that it gave."""

    key: Hashable
    value: Any
    notes: tuple[str, ...]


class Pipeline:
    """Segments one volume, as often as settings change; keeps the latest outcome of each stage.

    Not to be run from two threads at once.

    Raises:
        ResourceError: for a device or a backend (see `sparse.backends`) that is not available.
    """

    def __init__(
        self, volume: Volume, *, device: str = "auto", models_dir: Path | None = None, backend: str = "auto"
    ) -> None:
        self.volume = volume
        self.backend = check_backend(backend)
        self.device = pick_device(device)
        self._models_dir = models_dir
        self._loaded: dict[str, Networks] = {}
        self._kept: dict[str, _Kept] = {}

    def run(self, settings: Settings, progress: Progress | None = None) -> Result:
        """Segment the volume.

        Args:
            settings: of any method; networks and settings of two methods are never mixed.
            progress: receives the stage and the fraction of the whole run; a cancel keeps the finished stages.

        Raises:
            Cancelled: when `progress` is cancelled.
            ModelError: when a network is missing, damaged or does not fit the method.
            ResourceError: when memory does not suffice.
        """
        run = _Run(self, settings, progress or Progress())
        by = run.method
        samples = run.stage("sample", by.sample)
        detections = run.stage("stage 1", lambda context: by.stage1(context, samples))
        stage2 = run.stage("stage 2", lambda context: by.stage2(context, detections))
        memory.release()  # of the networks, which are done
        objects = run.stage("clusters", lambda context: by.cluster(context, stage2))
        mask = run.stage("fill", lambda context: by.fill(context, objects, stage2))
        oriented = all(cloud.orientation == AS_STORED for cloud in detections)
        findings = run.stage("findings", lambda _: measure(mask, self.volume, oriented=oriented))
        run.progress.update("findings", 1.0)
        return Result(
            mask=mask,
            sampled=unite(detections),
            stage2=stage2,
            objects=objects[0],
            findings=findings,
            timings=run.timings,
            notes=self._notes(samples, findings),
            settings=settings,
            model_ids=tuple(model.id for model in self.networks_of(settings.method).all),
            device=self.device.type,
            backend=self.backend,
        )

    def networks_of(self, name: str) -> Networks:
        """A method's networks, loaded once. Raises ModelError when they are missing, damaged or do not fit it."""
        if name not in self._loaded:
            loaded = load_networks(name, self._models_dir, self.backend)
            method(name).check(loaded)
            self._loaded[name] = loaded
        return self._loaded[name]

    def _notes(self, samples: list[PointCloud], findings: Findings) -> tuple[str, ...]:
        notes = list(dict.fromkeys(note for stage in STAGES for note in self._kept[stage].notes))
        notes[:0] = self.volume.notes
        if not self.volume.calibrated:
            notes.insert(0, UNCALIBRATED)
        if not any(len(cloud) for cloud in samples):
            notes.append("There was nothing to sample: the image shows no patient.")
        return (*notes, *findings.sentences())


class _Run:
    """One run of a pipeline: takes each stage's outcome from the pipeline, or computes, times and keeps it."""

    def __init__(self, pipeline: Pipeline, settings: Settings, progress: Progress) -> None:
        self.method: Method = method(settings.method)
        self.progress = progress
        self.timings: dict[str, float] = {}
        self._pipeline, self._settings = pipeline, settings
        self._key: Hashable = settings.method

    def stage(self, name: str, compute: Callable[[Context], _T]) -> _T:
        """The outcome of the next stage."""
        begin = _BEGINS[name]
        end = min((b for b in _BEGINS.values() if b > begin), default=1.0)
        self.progress.update(name, begin)
        self._key = (self._key, *(getattr(self._settings, group) for group in self.method.reads.get(name, ())))
        kept = self._pipeline._kept.get(name)
        if kept is not None and kept.key == self._key:
            self.timings[name] = 0.0
            return cast("_T", kept.value)
        started = time.perf_counter()
        notes: list[str] = []
        context = Context(
            self._pipeline.volume,
            self._settings,
            self._pipeline.networks_of(self._settings.method),
            self._pipeline.device,
            _Named(self.progress, name, begin, end),
            notes.append,
        )
        value = compute(context)
        self._pipeline._kept[name] = _Kept(self._key, value, tuple(notes))
        self.timings[name] = time.perf_counter() - started
        return value


class _Named(Progress):
    """Reports all that a stage reports under the stage's own name, as a part of the whole run."""

    def __init__(self, whole: Progress, name: str, begin: float, end: float) -> None:
        self._whole, self._name, self._begin, self._end = whole, name, begin, end

    @property
    def cancelled(self) -> bool:
        return self._whole.cancelled

    def show(self, stage: str, fraction: float) -> None:
        self._whole.show(self._name, self._begin + fraction * (self._end - self._begin))
