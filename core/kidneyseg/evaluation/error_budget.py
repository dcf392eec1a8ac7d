"""Where Dice is lost: what the grid, sampling, each network and DBSCAN cost, end to end on the CT's own voxels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.evaluation.end_to_end import CaseVariant, Segmenting, Variants, patients
from kidneyseg.evaluation.scores import AS_IS, UNUSABLE, Failure, failed
from kidneyseg.imaging.volume import Volume
from kidneyseg.metrics import bounding_box, confusion, dice, kits19_dice
from kidneyseg.points.cloud import KIDNEY, TISSUE, TUMOUR, Lattice, PointCloud
from kidneyseg.points.clusters import cluster_cloud
from kidneyseg.points.fill import fill_closing, fill_hull
from kidneyseg.points.resample import lattice_for, resample_labels
from kidneyseg.segmentation.method import method
from kidneyseg.segmentation.pipeline import Pipeline, Result
from kidneyseg.settings import Settings

# In the order in which they cost: each column holds the Dice that is left when all steps after it do no harm.
STEPS = ("grid and fill", "sampling", "missed by stage 1", "stage 2", "false finds", "DBSCAN")
CLASSES = ("kidney", "tumour")

_CYST = 3
# Around the labels: the fill interpolates between neighbouring cells.
_MARGIN_CELLS = 2


@dataclass(frozen=True)
class ClassBudget:
    """One class ("kidney" with its tumours, or "tumour") of one case, step by step; every value 0 ... 1.

    Attributes:
        sampled: share of the true voxels whose cell stage 1 was shown.
        stage1_dice: of stage 1's labels at its points. None for tumours, which it does not know.
        stage1_recall: the same points' recall.
        stage1_precision: the same points' precision.
        reached: share of the true voxels whose cell stage 2 was shown.
        stage2_dice: of stage 2's labels at its points.
        kept_dice: the same after DBSCAN and the choice of kidneys.
        left: Dice on the CT's own voxels that is left after each of STEPS; the last is the program's own.
    """

    sampled: float
    stage1_dice: float | None
    stage1_recall: float | None
    stage1_precision: float | None
    reached: float
    stage2_dice: float
    kept_dice: float
    left: tuple[float, ...]


@dataclass(frozen=True)
class CaseBudget:
    """A case step by step; no entry for a class that the truth does not hold.

    `stage1_points` (2 x 2) and `stage2_points` (3 x 3) are confusions, rows true, at the points that each network was
    shown: the paper's point IoU is theirs, over all cases added up.
    """

    name: str
    classes: dict[str, ClassBudget]
    stage1_points: tuple[tuple[int, ...], ...]
    stage2_points: tuple[tuple[int, ...], ...]
    case: str = ""
    group: str = AS_IS

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def measure_error_budget(
    cases: Sequence[CaseFiles], how: Segmenting, variants: Variants | None = None
) -> Iterator[CaseBudget | Failure]:
    """Segment every version of every CT in this process and measure each step.

    Args:
        cases: labelled CTs.
        how: settings and networks.
        variants: which versions of the CTs; None takes each as it is.
    """
    for case in cases:
        try:
            for patient in patients(case, variants or Variants()):
                pipeline = Pipeline(patient.volume, device=how.device, models_dir=how.models)
                yield replace(error_budget_of(pipeline.run(how.settings), patient), case=case.name)
        except UNUSABLE as error:
            yield failed(error, case.name, case.name)


def error_budget_of(result: Result, patient: CaseVariant) -> CaseBudget:
    """Measure each step of a segmentation of `patient.volume`."""
    volume, settings = patient.volume, result.settings
    truth = np.where(patient.truth == _CYST, np.uint8(KIDNEY), patient.truth)
    sampled = _with_truth(result.sampled, truth, volume)
    refined = _with_truth(result.stage2, truth, volume)
    ideal = _were_stage1_perfect(sampled, truth, volume, result)
    clouds = (
        _every_cell(truth, volume, result.stage2.lattice),
        ideal,
        refined,
        result.stage2.select(_held(ideal, result.stage2.index)),
        result.stage2,
    )
    scores = [kits19_dice(_filled(cloud, volume, settings), truth) for cloud in clouds]
    scores.append(kits19_dice(result.mask, truth))
    kept = np.where(_held(result.objects, result.stage2.index), _labels(result.stage2), TISSUE)
    found: dict[str, ClassBudget] = {}
    for name, is_class in _classes(truth).items():
        true1, pred1 = is_class(_labels(sampled)), is_class(_labels(result.sampled))
        true2, pred2 = is_class(_labels(refined)), is_class(_labels(result.stage2))
        where = np.argwhere(is_class(truth))
        known = name == "kidney"  # stage 1 knows no tumours
        found[name] = ClassBudget(
            sampled=_recall(result.sampled, where, volume),
            stage1_dice=_dice(pred1, true1) if known else None,
            stage1_recall=_share(true1, pred1) if known else None,
            stage1_precision=_share(pred1, true1) if known else None,
            reached=_recall(result.stage2, where, volume),
            stage2_dice=_dice(pred2, true2),
            kept_dice=_dice(is_class(kept), true2),
            left=tuple(score[name] for score in scores),
        )
    return CaseBudget(
        patient.name,
        found,
        _table(np.minimum(_labels(result.sampled), KIDNEY), np.minimum(_labels(sampled), KIDNEY), 2),
        _table(_labels(result.stage2), _labels(refined), 3),
        group=patient.group,
    )


def _classes(truth: NDArray[np.uint8]) -> dict[str, Callable[[NDArray[np.uint8]], NDArray[np.bool_]]]:
    """How to tell each class that the truth holds."""
    kinds: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.bool_]]] = {"kidney": lambda labels: labels > TISSUE}
    if (truth == TUMOUR).any():
        kinds["tumour"] = lambda labels: labels == TUMOUR
    return kinds


def _every_cell(truth: NDArray[np.uint8], volume: Volume, lattice: Lattice) -> PointCloud:
    """True labels on all cells of the lattice around the kidneys: nothing is lost but by the grid and the fill."""
    spacing, step = volume.spacing_mm, lattice.step_mm
    ends = [
        (int(side.start * mm / cell) - _MARGIN_CELLS, int(np.ceil(side.stop * mm / cell)) + _MARGIN_CELLS)
        for side, mm, cell in zip(bounding_box(truth != TISSUE), spacing, step, strict=True)
    ]
    (x0, x1), (y0, y1), (z0, z1) = ends
    crop = lattice_for(volume, step, box=((x0, y0, z0), (x1, y1, z1)))
    index = np.argwhere(np.ones(crop.shape, bool)).astype(np.int32) + _corner(crop)
    return _with_truth(PointCloud(lattice, index, np.zeros(len(index), np.int16)), truth, volume)


def _were_stage1_perfect(sampled: PointCloud, truth: NDArray[np.uint8], volume: Volume, result: Result) -> PointCloud:
    """True labels on the points that stage 2 would be shown, had stage 1 labelled its own without a mistake."""
    settings = result.settings
    perfect = replace(sampled, labels=np.minimum(_labels(sampled), KIDNEY))
    points = method(settings.method).stage2_points(perfect, volume, settings, result.stage2.lattice)
    return _with_truth(points, truth, volume)


def _with_truth(cloud: PointCloud, truth: NDArray[np.uint8], volume: Volume) -> PointCloud:
    """The cloud with true labels, and with probabilities of 0 and 1 that say the same."""
    labels = np.zeros(len(cloud), np.uint8)
    if len(cloud):
        low, high = cloud.index.min(0), cloud.index.max(0) + 1
        box = ((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))
        crop = lattice_for(volume, cloud.lattice.step_mm, box=box)
        labels = resample_labels(truth, volume.spacing_mm, crop)[tuple((cloud.index - low).T)]
    return replace(cloud, labels=labels, probability=np.eye(3, dtype=np.float16)[labels])


def _filled(cloud: PointCloud, volume: Volume, settings: Settings) -> NDArray[np.uint8]:
    """The mask of a labelled cloud without dropping a point."""
    if settings.fill.algorithm == "closing":
        return fill_closing(cloud.select(_labels(cloud) != TISSUE), volume, settings.fill, context=cloud)
    # Hulls need objects: with one sample a point is never an outlier.
    per_class = method(settings.method).per_class
    return fill_hull(*cluster_cloud(cloud, settings.clusters.eps_mm, 1, per_class=per_class), volume)


def _recall(cloud: PointCloud, where: NDArray[np.integer], volume: Volume) -> float:
    """The share of the voxels `where` (N, 3) whose centre lies in a cell of the cloud."""
    cells = np.empty_like(where)
    for axis in range(3):
        centre = (where[:, axis] + 0.5) * volume.spacing_mm[axis]
        cells[:, axis] = np.clip(cloud.lattice.cells_of(centre, axis), 0, cloud.lattice.shape[axis] - 1)
    return float(_held(cloud, cells).mean()) if len(cells) else 1.0


def _held(cloud: PointCloud, cells: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which of the cells (N, 3) are in the cloud."""
    there = np.zeros(cloud.lattice.shape, bool)
    there[tuple(cloud.index.T)] = True
    held: NDArray[np.bool_] = there[tuple(cells.T)]
    return held


def _corner(lattice: Lattice) -> NDArray[np.int32]:
    """The index, on the whole lattice, of a crop's first cell."""
    return np.rint(np.asarray(lattice.origin_mm) / lattice.step_mm).astype(np.int32)


def _labels(cloud: PointCloud) -> NDArray[np.uint8]:
    return np.zeros(len(cloud), np.uint8) if cloud.labels is None else cloud.labels


def _dice(pred: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Dice over points; 0 where there is no point at all."""
    return dice(pred, true) if len(true) else 0.0


def _share(of: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float:
    return float(inside[of].mean()) if of.any() else 0.0


def _table(pred: NDArray[np.uint8], true: NDArray[np.uint8], classes: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in row) for row in confusion(pred, true, classes))
