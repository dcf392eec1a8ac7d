"""An engine for window tests: takes time, reports progress, can be cancelled, and labels by threshold."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kidneyseg.errors import InputError, OutputError
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.progress import Progress
from kidneyseg.settings import Settings
from kidneyseg_gui.services import Services

STAGES = ("sample", "stage 1", "stage 2", "clusters", "fill", "findings")


def make_volume(
    shape: tuple[int, int, int] = (48, 40, 24), spacing: tuple[float, float, float] = (2.0, 2.0, 5.0), **more: Any
) -> Volume:
    """Air, a body of 40 HU, two kidneys of 150 HU and a tumour of 90 HU in the patient's right one."""
    x, y, z = np.ogrid[: shape[0], : shape[1], : shape[2]]
    hu = np.full(shape, -1000, np.int16, order="F")
    hu[((x / shape[0] - 0.5) / 0.46) ** 2 + ((y / shape[1] - 0.5) / 0.42) ** 2 + 0 * z < 1] = 40
    for centre in (0.28, 0.72):
        hu[
            ((x / shape[0] - centre) / 0.1) ** 2
            + ((y / shape[1] - 0.4) / 0.13) ** 2
            + ((z / shape[2] - 0.5) / 0.36) ** 2
            < 1
        ] = 150
    hu[
        ((x / shape[0] - 0.72) / 0.05) ** 2 + ((y / shape[1] - 0.45) / 0.06) ** 2 + ((z / shape[2] - 0.6) / 0.15) ** 2
        < 1
    ] = 90
    affine = np.diag([*spacing, 1.0])
    return Volume(hu=hu, spacing_mm=spacing, affine=affine, **{"name": "made", **more})


@dataclass(frozen=True)
class FakeFinding:
    side: str
    ml: float
    longest_mm: float = 0.0
    centre_voxel: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class FakeFindings:
    kidneys: tuple[FakeFinding, ...]
    tumours: tuple[FakeFinding, ...]


@dataclass(frozen=True)
class FakeResult:
    mask: np.ndarray
    sampled: PointCloud
    stage2: PointCloud
    objects: PointCloud
    findings: FakeFindings
    timings: dict[str, float]
    notes: tuple[str, ...]
    settings: Settings
    model_ids: tuple[str, ...] = ("fake",)
    device: str = "cpu"


class FakePipeline:
    """`seconds` is how long the networks take; what follows them takes a tenth of that."""

    def __init__(
        self,
        volume: Volume,
        *,
        device: str = "auto",
        seconds: float = 0.0,
        deaf: bool = False,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.volume, self.device, self.seconds, self.deaf, self.notes = volume, device, seconds, deaf, notes
        self.network_runs = 0
        self.runs: list[Settings] = []
        self._network_key: Any = None

    def run(self, settings: Settings, progress: Progress | None = None) -> FakeResult:
        progress = progress or Progress()
        self.runs.append(settings)
        key = settings.network_part
        cached = key == self._network_key
        if not cached:
            self.network_runs += 1
            self._wait(progress, self.seconds)
            self._network_key = key
        self._wait(progress, self.seconds / 10, start=0.9)
        return self._result(settings, cached)

    def _wait(self, progress: Progress, seconds: float, start: float = 0.0) -> None:
        began = time.monotonic()
        while (spent := time.monotonic() - began) < seconds:
            if not self.deaf:
                fraction = start + (0.9 - start) * spent / seconds
                progress.update(STAGES[min(int(fraction * 4), 5)], fraction)
            np.sort(np.random.default_rng(0).random(20_000))
            time.sleep(0.005)

    def _result(self, settings: Settings, cached: bool) -> FakeResult:
        hu = self.volume.hu
        mask = np.zeros(hu.shape, np.uint8, order="F")
        mask[hu > 120] = 1
        mask[(hu > 80) & (hu <= 120)] = 2
        if settings.fill.algorithm == "hull":
            mask[:, :, : hu.shape[2] // 2] = 0
        step = max(1, hu.shape[0] // 100)
        coarse_hu, coarse = (a[::step, ::step] for a in (hu, mask))
        labels = coarse[coarse_hu > -200]
        index = np.argwhere(coarse_hu > -200).astype(np.int32)
        x, y, z = self.volume.spacing_mm
        lattice = Lattice((x * step, y * step, z), coarse.shape)
        sampled = PointCloud(lattice, index, coarse_hu[tuple(index.T)], np.minimum(labels, 1))
        stage2 = replace(sampled, labels=labels)
        objects = stage2.select(labels > 0)
        half = hu.shape[0] // 2
        ml = self.volume.voxel_ml
        kidneys = tuple(
            FakeFinding(side, float((part > 0).sum() * ml))
            for side, part in (("right", mask[half:]), ("left", mask[:half]))
        )
        where = np.argwhere(mask == 2)
        tumours = (FakeFinding("right", len(where) * ml, 21.0, tuple(where.mean(axis=0))),) if len(where) else ()
        timings = dict.fromkeys(STAGES, 0.0 if cached else self.seconds)
        return FakeResult(mask, sampled, stage2, objects, FakeFindings(kidneys, tumours), timings, self.notes, settings)


class FakeEngine:
    """Makes services onto fakes and remembers what went through them."""

    def __init__(self, *, seconds: float = 0.0, deaf: bool = False, notes: tuple[str, ...] = ()) -> None:
        self.seconds, self.deaf, self.notes = seconds, deaf, notes
        self.pipelines: list[FakePipeline] = []
        self.exported: list[Path] = []
        self.volumes: dict[str, Volume] = {}

    def services(self, **more: Any) -> Services:
        given = {"load": self.load, "sample": self.sample, "pipeline": self.pipeline, "export": self.export}
        return Services(**{**given, "warm_up": lambda: None, **more})

    def load(self, path: Path) -> Volume:
        if path.read_bytes()[:3] == b"bad":
            raise InputError(f"{path.name} is not a NIfTI file; choose a .nii or .nii.gz file.")
        volume = self.volumes.get(path.name, make_volume())
        return replace(volume, name=path.name.removesuffix(".gz").removesuffix(".nii"), path=path)

    def sample(self) -> Path:
        raise AssertionError("this test opens no sample case")

    def pipeline(self, volume: Volume, device: str) -> FakePipeline:
        self.pipelines.append(
            FakePipeline(volume, device=device, seconds=self.seconds, deaf=self.deaf, notes=self.notes)
        )
        return self.pipelines[-1]

    def export(self, _result: Any, _volume: Volume, path: Path) -> None:
        if not path.parent.is_dir():
            raise OutputError(f"{path.parent} is no folder; choose another place for the mask.")
        path.write_bytes(b"mask")
        self.exported.append(path)
