"""Fakes for window tests: services, a pipeline that takes time, reports progress and labels by threshold, a 3-D view.

mypy checks them against `kidneyseg_gui.protocols`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import QLabel, QWidget

from kidneyseg.errors import InputError, LabelMapError, OutputError
from kidneyseg.findings import Findings, KidneyFinding, TumourFinding
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.progress import Progress
from kidneyseg.segmentation.export import FileStamp, stamp
from kidneyseg.segmentation.provenance import Provenance
from kidneyseg.settings import Settings
from kidneyseg_gui.services import Services

if TYPE_CHECKING:
    from kidneyseg_gui.deck import Sheet
    from kidneyseg_gui.outcomes import Saving
    from kidneyseg_gui.protocols import Result
    from kidneyseg_gui.scene import Scene
    from kidneyseg_gui.slices import Colour

STAGES = ("sample", "stage 1", "stage 2", "clusters", "fill", "findings")


def make_volume(
    shape: tuple[int, int, int] = (48, 40, 24), spacing: tuple[float, float, float] = (2.0, 2.0, 5.0), **more: Any
) -> Volume:
    """Air, a body of 40 HU, two kidneys of 150 HU and a tumour of 90 HU in the patient's right one."""
    hu = np.full(shape, -1000, np.int16, order="F")
    for value, centre, radii in (
        (40, (0.5, 0.5, 0.5), (0.46, 0.42, np.inf)),
        (150, (0.28, 0.4, 0.5), (0.1, 0.13, 0.36)),
        (150, (0.72, 0.4, 0.5), (0.1, 0.13, 0.36)),
        (90, (0.72, 0.45, 0.6), (0.05, 0.06, 0.15)),
    ):
        axes = np.ogrid[: shape[0], : shape[1], : shape[2]]
        distance = sum(((at / n - c) / r) ** 2 for at, n, c, r in zip(axes, shape, centre, radii, strict=True))
        hu[np.asarray(distance) < 1] = value
    affine = np.diag([*spacing, 1.0])
    return Volume(hu=hu, spacing_mm=spacing, affine=affine, **{"name": "made", **more})


@dataclass(frozen=True, eq=False)
class FakeResult:
    mask: NDArray[np.uint8]
    sampled: PointCloud
    stage2: PointCloud
    objects: PointCloud
    findings: Findings
    timings: dict[str, float]
    notes: tuple[str, ...]
    settings: Settings


class FakePipeline:
    """`seconds` is how long the networks take; the stages after them take a tenth of that."""

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
        cached = settings.network_part == self._network_key
        if not cached:
            self.network_runs += 1
            self._wait(progress, self.seconds)
            self._network_key = settings.network_part
        self._wait(progress, self.seconds / 10, start=0.9)
        return self._result(settings)

    def _wait(self, progress: Progress, seconds: float, start: float = 0.0) -> None:
        began = time.monotonic()
        while (spent := time.monotonic() - began) < seconds:
            if not self.deaf:
                fraction = start + (0.9 - start) * spent / seconds
                progress.update(STAGES[min(int(fraction * 4), 5)], fraction)
            np.sort(np.random.default_rng(0).random(20_000))
            time.sleep(0.005)

    def _result(self, settings: Settings) -> FakeResult:
        hu = self.volume.hu
        mask = np.zeros(hu.shape, np.uint8, order="F")
        mask[hu > 120] = KIDNEY
        mask[(hu > 80) & (hu <= 120)] = TUMOUR
        if settings.fill.algorithm == "hull":
            mask[:, :, : hu.shape[2] // 2] = 0
        step = max(1, hu.shape[0] // 100)
        coarse_hu, coarse = hu[::step, ::step], mask[::step, ::step]
        labels = coarse[coarse_hu > -200]
        index = np.argwhere(coarse_hu > -200).astype(np.int32)
        x, y, z = self.volume.spacing_mm
        lattice = Lattice((x * step, y * step, z), (coarse.shape[0], coarse.shape[1], coarse.shape[2]))
        sampled = PointCloud(lattice, index, coarse_hu[tuple(index.T)], np.minimum(labels, KIDNEY))
        stage2 = replace(sampled, labels=labels)
        findings = findings_of(mask, self.volume)
        timings = dict.fromkeys(STAGES, self.seconds)
        objects = stage2.select(labels > 0)
        notes = (*self.volume.notes, *self.notes)
        return FakeResult(mask, sampled, stage2, objects, findings, timings, notes, settings)


def findings_of(mask: NDArray[np.uint8], volume: Volume) -> Findings:
    left, right = np.array_split(mask, 2)
    ml = [float((part > 0).sum() * volume.voxel_ml) for part in (right, left)]
    tumour_ml = float((mask == TUMOUR).sum() * volume.voxel_ml)
    kidneys = (KidneyFinding("right", ml[0], tumour_ml, (34, 12, 12)), KidneyFinding("left", ml[1], 0.0, (13, 16, 12)))
    tumours = (TumourFinding("right", tumour_ml, 21.0, (34, 18, 14)),) if tumour_ml else ()
    return Findings(kidneys, tumours, sum(ml), tumour_ml)


def provenance_of(result: Result) -> Provenance:
    """What a sidecar would say of a fake result."""
    return Provenance(settings=result.settings)


class FakeServices:
    """Makes services from fakes and remembers what went through them."""

    def __init__(self, *, seconds: float = 0.0, deaf: bool = False, notes: tuple[str, ...] = ()) -> None:
        self.seconds, self.deaf, self.notes = seconds, deaf, notes
        self.pipelines: list[FakePipeline] = []
        self.exported: list[Path] = []
        self.export_seconds = 0.0
        self.cuda = False
        self.volumes: dict[str, Volume] = {}
        self.label_maps: set[str] = set()

    def services(self) -> Services:
        return Services(
            load=self.load,
            sample=self.sample,
            pipeline=self.pipeline,
            provenance=provenance_of,
            measure=lambda labels, _marks, _result, volume: findings_of(labels, volume),
            export=self.export,
            warm_up=lambda: self.cuda,
        )

    def load(self, path: Path, _hu_offset: int | None = None) -> Volume:
        if path.read_bytes()[:3] == b"bad":
            raise InputError(f"{path.name} is not a NIfTI file; choose a .nii or .nii.gz file.")
        if path.name in self.label_maps:
            raise LabelMapError(f"{path.name} is a label map, not a CT.")
        volume = self.volumes.get(path.name, make_volume())
        return replace(volume, name=path.name.removesuffix(".gz").removesuffix(".nii"), path=path)

    def sample(self) -> Path:
        raise AssertionError("this test opens no sample case")

    def pipeline(self, volume: Volume, device: str) -> FakePipeline:
        self.pipelines.append(
            FakePipeline(volume, device=device, seconds=self.seconds, deaf=self.deaf, notes=self.notes)
        )
        return self.pipelines[-1]

    def export(self, _saving: Saving, _volume: Volume, path: Path) -> FileStamp:
        if not path.parent.is_dir():
            raise OutputError(f"{path.parent} is no folder; choose another place for the mask.")
        time.sleep(self.export_seconds)
        path.write_bytes(b"mask")
        self.exported.append(path)
        return stamp(path)


class FakeCloud:
    """A 3-D view that draws nothing and remembers what it was given."""

    def __init__(self) -> None:
        self.widget: QWidget = QLabel("3D")
        self.shown: tuple[Scene | None, str, dict[int, Colour]] = (None, "", {})
        self.crosshair: tuple[float, float, float] | None = None
        self.box: tuple[float, float, float] | None = None
        self.deck: tuple[Sheet, ...] = ()
        self.resets = 0

    def show_scene(self, scene: Scene | None, shown: str, colours: dict[int, Colour]) -> None:
        self.shown = (scene, shown, colours)

    def show_deck(self, sheets: tuple[Sheet, ...]) -> None:
        self.deck, self.shown = sheets, (None, "deck", {})

    def set_crosshair(self, at_mm: tuple[float, float, float] | None) -> None:
        self.crosshair = at_mm

    def set_box(self, size_mm: tuple[float, float, float]) -> None:
        self.box = size_mm

    def reset_camera(self) -> None:
        self.resets += 1

    def close(self) -> None:
        pass
