"""Runs a method on a volume and caches each stage, so that a changed setting re-runs only what depends on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from kidneyseg.findings import Findings, measure
from kidneyseg.imaging.readers import load
from kidneyseg.imaging.volume import UNCALIBRATED, Volume
from kidneyseg.points.cloud import AS_STORED, PointCloud
from kidneyseg.progress import Progress
from kidneyseg.segmentation.confidence import with_confidence
from kidneyseg.segmentation.devices import pick_device
from kidneyseg.segmentation.method import Context, Method, method, unite
from kidneyseg.segmentation.networks import Networks, load_networks
from kidneyseg.segmentation.notes import removed_by_clustering
from kidneyseg.settings import Settings, preset
from kidneyseg.sparse import memory
from kidneyseg.sparse.backends import check_backend

STAGES = ("sample", "stage 1", "stage 2", "clusters", "fill", "findings")
# Where each stage begins in the whole run's progress, from the default method's share of the time.
_BEGINS = {"sample": 0.0, "stage 1": 0.05, "stage 2": 0.40, "clusters": 0.90, "fill": 0.93, "findings": 0.99}

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Result:
    """A mask and how it was made."""

    mask: NDArray[np.uint8]  #: uint8 (X, Y, Z): 0, 1 kidney, 2 tumour, on the volume's voxels
    sampled: PointCloud  #: stage 1's points with its labels, TISSUE and KIDNEY
    stage2: PointCloud  #: stage 2's points with its labels, TISSUE, KIDNEY, TUMOUR and CYST
    objects: PointCloud  #: the kidney and tumour points that were kept after DBSCAN
    findings: Findings  #: measurements on the mask
    #: seconds that each stage of `STAGES` took when it was computed, in this run or in an earlier one
    timings: dict[str, float]
    notes: tuple[str, ...]  #: plain sentences for the user
    settings: Settings  #: of the run; `settings.method` names the method and its networks
    model_ids: tuple[str, ...]  #: of the networks, stage 1's first
    device: str  #: where the networks ran, "cpu" or "cuda"
    backend: str = "auto"  #: the library that ran them; see `sparse.backends`


@dataclass(frozen=True)
class _Kept:
    """The latest output of a stage: what it depended on, its value, its notes and how long it took."""

    key: Hashable
    value: Any
    notes: tuple[str, ...]
    seconds: float


class Pipeline:
    """Segments one volume, with any settings; caches the latest output of each stage.

    Not thread-safe. The device "auto" is resolved here; see `devices`.

    Raises:
        ResourceError: for a device or a backend (see `sparse.backends`) that is not available.
    """

    _segmented_before: ClassVar[bool] = False  # whether this process has segmented a CT, so that another one follows

    def __init__(
        self, volume: Volume, *, device: str = "auto", models_dir: Path | None = None, backend: str = "auto"
    ) -> None:
        self.volume = volume
        self.backend = check_backend(backend)
        self.device = pick_device(device, first=not Pipeline._segmented_before)
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
        method = run.method
        samples = run.stage("sample", method.sample)
        detections = run.stage("stage 1", lambda context: method.stage1(context, samples))
        stage2 = run.stage("stage 2", lambda context: method.stage2(context, detections))
        memory.release()  # the networks' buffers
        objects = run.stage("clusters", lambda context: method.cluster(context, stage2))
        mask = run.stage("fill", lambda context: method.fill(context, objects, stage2))
        oriented = all(cloud.orientation == AS_STORED for cloud in detections)

        def measured(_: Context) -> Findings:
            found = measure(mask, self.volume, oriented=oriented)
            return with_confidence(found, mask, stage2, self.volume, settings.method)

        findings = run.stage("findings", measured)
        run.progress.update("findings", 1.0)
        Pipeline._segmented_before = True
        return Result(
            mask=mask,
            sampled=unite(detections),
            stage2=stage2,
            objects=objects[0],
            findings=findings,
            timings=run.timings,
            notes=self._notes(samples, findings, removed_by_clustering(stage2, objects[0], settings)),
            settings=settings,
            model_ids=tuple(model.id for model in self.networks_of(settings.method).all),
            device=self.device.split(":", maxsplit=1)[0],
            backend=self.backend,
        )

    def for_volume(self, volume: Volume) -> Pipeline:
        """A pipeline for another CT, on the same device and with the networks that are loaded already."""
        other = Pipeline(volume, device=str(self.device), models_dir=self._models_dir, backend=self.backend)
        other._loaded = self._loaded
        return other

    def networks_of(self, name: str) -> Networks:
        """A method's networks, loaded once. Raises ModelError when they are missing, damaged or do not fit it."""
        if name not in self._loaded:
            loaded = load_networks(name, self._models_dir, self.backend)
            method(name).check(loaded)
            self._loaded[name] = loaded
        return self._loaded[name]

    def _notes(self, samples: list[PointCloud], findings: Findings, removed: str) -> tuple[str, ...]:
        notes = list(dict.fromkeys(note for stage in STAGES for note in self._kept[stage].notes))
        notes[:0] = self.volume.notes
        if not self.volume.calibrated:
            notes.insert(0, UNCALIBRATED)
        if not any(len(cloud) for cloud in samples):
            notes.append("There was nothing to sample: the image shows no patient.")
        return (*notes, *((removed,) if removed and not findings.kidneys else findings.sentences()))


def segment(
    ct: Volume | str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    device: str = "auto",
    models: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Segment the kidneys and kidney tumours on one CT.

    To try several settings on the same CT, use a `Pipeline`: it re-runs only the stages that a changed setting affects.

    Args:
        ct: a Volume, or the path of a file that `load` can read.
        settings: `preset("default")` if None.
        device: "auto" (CUDA where that is faster, else CPU; see `devices`), "cpu" or "cuda".
        models: a folder with networks of your own; the bundled ones if None.
        progress: receives the stage and the fraction done, and may cancel; see `kidneyseg.progress`.

    Returns:
        The result; `result.mask` is uint8 (X, Y, Z) in RAS order: 0 background, 1 kidney, 2 tumour.

    Raises:
        InputError: the file cannot be used as a CT.
        SettingsError: a setting is out of range.
        ModelError: a network is missing or damaged.
        ResourceError: the device is not available, or there is too little memory.
        Cancelled: `progress` was cancelled.
    """
    volume = ct if isinstance(ct, Volume) else load(ct)
    pipeline = Pipeline(volume, device=device, models_dir=None if models is None else Path(models))
    return pipeline.run(settings or preset("default"), progress)


class _Run:
    """One run of a pipeline: takes each stage's output from the cache, or computes, times and caches it."""

    def __init__(self, pipeline: Pipeline, settings: Settings, progress: Progress) -> None:
        self.method: Method = method(settings.method)
        self.progress = progress
        self.timings: dict[str, float] = {}
        self._pipeline, self._settings = pipeline, settings
        self._key: Hashable = settings.method

    def stage(self, name: str, compute: Callable[[Context], _T]) -> _T:
        """The output of the next stage."""
        begin = _BEGINS[name]
        end = min((b for b in _BEGINS.values() if b > begin), default=1.0)
        self.progress.update(name, begin)
        self._key = (self._key, *(getattr(self._settings, group) for group in self.method.reads.get(name, ())))
        kept = self._pipeline._kept.get(name)
        if kept is not None and kept.key == self._key:
            self.timings[name] = kept.seconds
            return cast("_T", kept.value)
        started = time.perf_counter()
        notes: list[str] = []
        context = Context(
            self._pipeline.volume,
            self._settings,
            self._pipeline.networks_of(self._settings.method),
            self._pipeline.device,
            self.progress.part(begin, end, name),
            notes.append,
        )
        value = compute(context)
        self.timings[name] = seconds = time.perf_counter() - started
        self._pipeline._kept[name] = _Kept(self._key, value, tuple(notes), seconds)
        return value
