"""From a Volume to a mask, every intermediate kept, so that a changed setting re-runs only what depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from kidneyseg.findings import Findings, measure
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import AS_STORED, KIDNEY, PointCloud
from kidneyseg.points.clusters import cluster_cloud
from kidneyseg.points.fill import fill_closing, fill_hull
from kidneyseg.points.objects import cut_thin_bridges, keep_kidneys, remove_small_tumours
from kidneyseg.points.sampling import sample_bands, sample_body
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks, stage1, stage2
from kidneyseg.settings import Settings
from kidneyseg.sparse import memory
from kidneyseg.sparse.backends import check_engine

STAGES = ("sample", "stage 1", "stage 2", "clusters", "fill", "findings")
# Where each stage begins in the whole run's progress, from the default preset's share of the time.
_BEGINS = {"sample": 0.0, "stage 1": 0.05, "stage 2": 0.40, "clusters": 0.90, "fill": 0.93, "findings": 0.99}

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Result:
    """A mask and all that led to it.

    Attributes:
        mask: uint8 (X, Y, Z): 0, 1 kidney, 2 tumour, on the volume's voxels.
        sampled: stage 1's points with its labels, TISSUE and KIDNEY.
        refined: stage 2's points with its labels, TISSUE, KIDNEY and TUMOUR.
        objects: the kidney and tumour points that were kept after DBSCAN.
        findings: what the mask says.
        timings: seconds per stage of `STAGES`; 0.0 where the stage was remembered from an earlier run.
        notes: plain sentences for the user.
        settings: what produced it.
        model_ids: the networks that were used, stage 1's first.
        device: where the networks ran, "cpu" or "cuda".
        engine: what ran them; see `sparse.engines`.
    """

    mask: NDArray[np.uint8]
    sampled: PointCloud
    refined: PointCloud
    objects: PointCloud
    findings: Findings
    timings: dict[str, float]
    notes: tuple[str, ...]
    settings: Settings
    model_ids: tuple[str, ...]
    device: str
    engine: str = "auto"


class Pipeline:
    """Segments one volume, as often as settings change; remembers the latest outcome of each stage.

    Not to be run from two threads at once.

    Raises:
        ResourceError: for a device or an engine (see `sparse.engines`) that is not there.
    """

    def __init__(
        self, volume: Volume, *, device: str = "auto", models_dir: Path | None = None, engine: str = "auto"
    ) -> None:
        self.volume = volume
        self.engine = check_engine(engine)
        self.device = networks.pick_device(device)
        self._models_dir = models_dir
        self._loaded: dict[str, networks.Networks] = {}
        self._kept: dict[str, tuple[Hashable, Any]] = {}
        self._notes: dict[str, tuple[str, ...]] = {}

    def is_cached(self, settings: Settings) -> dict[str, bool]:
        """For each stage, whether `run` would take it from memory."""
        keys = _keys(settings)
        return {stage: stage in self._kept and self._kept[stage][0] == keys[stage] for stage in STAGES}

    def run(self, settings: Settings, progress: Progress | None = None) -> Result:
        """Segment the volume.

        Args:
            settings: a preset or a change of one.
            progress: told the stage and the fraction of the whole run; may cancel, which leaves what was finished.

        Raises:
            Cancelled: when `progress` asks for it.
            ModelError: when a network is missing or damaged.
            ResourceError: when memory does not suffice.
        """
        run = _Run(self, settings, progress or Progress())
        samples = run.stage("sample", self._sample)
        found = run.stage("stage 1", partial(self._find, samples))
        refined = run.stage("stage 2", partial(self._refine, found))
        objects, ids = run.stage("clusters", partial(self._cluster, refined))
        mask = run.stage("fill", partial(self._fill, objects, ids, refined))
        findings = run.stage(
            "findings",
            lambda *_: measure(mask, self.volume, oriented=all(cloud.orientation == AS_STORED for cloud in found)),
        )
        run.progress.update("findings", 1.0)
        return Result(
            mask=mask,
            sampled=stage1.unite(found),
            refined=refined,
            objects=objects,
            findings=findings,
            timings=run.timings,
            notes=self._all_notes(found, findings),
            settings=settings,
            model_ids=tuple(model.id for model in self._networks(settings).all),
            device=self.device.type,
            engine=self.engine,
        )

    def _sample(self, settings: Settings, progress: Progress, _: networks.Note) -> list[PointCloud]:
        if settings.sampling.grid_mm is None:
            return sample_bands(self.volume, settings.sampling, progress=progress)
        return [sample_body(self.volume, settings.sampling, progress=progress)]

    def _find(
        self, samples: list[PointCloud], settings: Settings, progress: Progress, note: networks.Note
    ) -> list[PointCloud]:
        model = self._networks(settings).stage1
        if settings.sampling.grid_mm is not None:
            return [stage1.find_kidneys(samples[0], model, self.device, progress, note)]
        return [
            stage1.label_band(band, self.volume, model, self.device, progress.part(*_share(i, samples)), note)
            for i, band in enumerate(samples)
        ]

    def _refine(
        self, found: list[PointCloud], settings: Settings, progress: Progress, note: networks.Note
    ) -> PointCloud:
        loaded = self._networks(settings)
        if settings.refine.grid_mm is not None:
            lowest = min((int(cloud.hu.min()) for cloud in found if len(cloud)), default=0)
            lowest -= round(settings.refine.below_stage1_hu)
            return stage2.separate_tumour(
                stage1.unite(found), self.volume, settings.refine, lowest, loaded.stage2, self.device, progress, note
            )
        finds = [cloud.select(cast("NDArray[np.uint8]", cloud.labels) == KIDNEY) for cloud in found]
        return stage1.unite(
            [
                stage1.label_band(find, self.volume, loaded.stage2, self.device, progress.part(*_share(i, finds)), note)
                for i, find in enumerate(finds)
            ]
        )

    def _cluster(
        self, refined: PointCloud, settings: Settings, progress: Progress, _: networks.Note
    ) -> tuple[PointCloud, NDArray[np.int32]]:
        memory.release()  # the networks are done
        if settings.preset == "paper":
            return cluster_cloud(refined, settings.clusters, per_class=True, progress=progress)
        objects, ids = keep_kidneys(*cluster_cloud(refined, settings.clusters, progress=progress))
        objects, ids = cut_thin_bridges(objects, ids)
        return remove_small_tumours(objects), ids

    def _fill(
        self,
        objects: PointCloud,
        ids: NDArray[np.int32],
        refined: PointCloud,
        settings: Settings,
        progress: Progress,
        _: networks.Note,
    ) -> NDArray[np.uint8]:
        if settings.fill.method == "hull":
            return fill_hull(objects, ids, self.volume, progress=progress)
        return fill_closing(objects, self.volume, settings.fill, context=refined, progress=progress)

    def _networks(self, settings: Settings) -> networks.Networks:
        name = settings.preset
        if name not in self._loaded:
            self._loaded[name] = networks.load_networks(name, self._models_dir, self.engine)
        return self._loaded[name]

    def _all_notes(self, found: list[PointCloud], findings: Findings) -> tuple[str, ...]:
        notes = list(dict.fromkeys(note for stage in STAGES for note in self._notes.get(stage, ())))
        notes[:0] = self.volume.notes
        if not self.volume.calibrated:
            notes.insert(0, "The image does not seem to be in HU; expect a poor segmentation.")
        if not sum(len(cloud) for cloud in found):
            notes.append("There was nothing to sample: the image shows no patient.")
        return (*notes, *findings.sentences())


class _Run:
    """One run of a pipeline: takes each stage from memory or computes it, times it, keeps it."""

    def __init__(self, pipeline: Pipeline, settings: Settings, progress: Progress) -> None:
        self.progress = progress
        self.timings: dict[str, float] = {}
        self._pipeline, self._settings, self._keys = pipeline, settings, _keys(settings)

    def stage(self, name: str, compute: Callable[[Settings, Progress, networks.Note], _T]) -> _T:
        kept = self._pipeline._kept
        begin = _BEGINS[name]
        end = min((b for b in _BEGINS.values() if b > begin), default=1.0)
        self.progress.update(name, begin)
        if name in kept and kept[name][0] == self._keys[name]:
            self.timings[name] = 0.0
            return cast("_T", kept[name][1])
        started = time.perf_counter()
        notes: list[str] = []
        value = compute(self._settings, _Named(self.progress, name, begin, end), notes.append)
        kept[name] = (self._keys[name], value)
        self._pipeline._notes[name] = tuple(notes)
        self.timings[name] = time.perf_counter() - started
        return value


class _Named(Progress):
    """Reports whatever a stage says under the stage's own name, as a part of the whole run."""

    def __init__(self, whole: Progress, name: str, begin: float, end: float) -> None:
        self._whole, self._name, self._begin, self._end = whole, name, begin, end

    @property
    def cancelled(self) -> bool:
        return self._whole.cancelled

    def show(self, stage: str, fraction: float) -> None:
        self._whole.show(self._name, self._begin + fraction * (self._end - self._begin))


def _keys(settings: Settings) -> dict[str, Hashable]:
    """What each stage's outcome depends on; a later stage depends on all that came before."""
    keys: dict[str, Hashable] = {"sample": settings.sampling}
    keys["stage 1"] = (settings.preset, keys["sample"])
    keys["stage 2"] = (settings.refine, keys["stage 1"])
    keys["clusters"] = (settings.clusters, keys["stage 2"])
    keys["fill"] = (settings.fill, keys["clusters"])
    keys["findings"] = keys["fill"]
    return keys


def _share(i: int, of: list[PointCloud]) -> tuple[float, float]:
    return i / len(of), (i + 1) / len(of)
