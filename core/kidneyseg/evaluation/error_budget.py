"""Error budget: the Dice that each component of the method costs, measured end to end on the CT's own voxels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kidneyseg.arrays import Labels, Mask, bounding_box
from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import InputError
from kidneyseg.evaluation.end_to_end import SegmentationSpec
from kidneyseg.evaluation.reach import coverage, is_in
from kidneyseg.evaluation.scores import AS_IS, UNUSABLE, Failure, failed
from kidneyseg.evaluation.variants import CaseVariant, Variants, case_variants
from kidneyseg.imaging.labels import KIDNEY, TISSUE, TUMOUR, without_cysts
from kidneyseg.imaging.volume import Volume
from kidneyseg.metrics import confusion, dice, kits19_dice
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.clusters import cluster_cloud
from kidneyseg.points.fill import fill_closing, fill_hull
from kidneyseg.points.resample import lattice_for, resample_labels
from kidneyseg.segmentation.method import method
from kidneyseg.segmentation.pipeline import Pipeline, Result
from kidneyseg.settings import Settings

# In the order in which they act; docs/how-to/evaluation.md says which labelled points stand for each of them.
ERROR_SOURCES = ("grid and fill", "sampling", "missed by stage 1", "stage 2", "false detections", "DBSCAN")
CLASSES: dict[str, Callable[[Labels], Mask]] = {
    "kidney": lambda labels: labels > TISSUE,
    "tumour": lambda labels: labels == TUMOUR,
}

# The fill interpolates between neighbouring cells, so some tissue around the labels is needed.
_MARGIN_CELLS = 2


@dataclass(frozen=True)
class ClassBudget:
    """The error budget of one class ("kidney" with its tumours, or "tumour") of one case; every value 0 ... 1."""

    stage1_coverage: float  #: share of the true voxels whose cell was an input of stage 1
    stage1_dice: float | None  #: of stage 1's labels at its points. None for tumours, which stage 1 does not label.
    stage1_recall: float | None  #: of the same points
    stage1_precision: float | None  #: of the same points
    stage2_coverage: float  #: share of the true voxels whose cell was an input of stage 2
    stage2_dice: float  #: of stage 2's labels at its points
    clustered_dice: float  #: the same after DBSCAN and the choice of kidneys
    #: Dice on the CT's own voxels after each of ERROR_SOURCES; the last is the program's own
    remaining_dice: tuple[float, ...]


@dataclass(frozen=True)
class CaseBudget:
    """The error budget of a case; `classes` has no entry for a class that the labels do not hold.

    `stage1_confusion` (2 x 2) and `stage2_confusion` (3 x 3), rows true, are over the input points of each network.
    The paper's point IoU follows from their sums over all cases.
    """

    name: str
    classes: dict[str, ClassBudget]
    stage1_confusion: tuple[tuple[int, ...], ...]
    stage2_confusion: tuple[tuple[int, ...], ...]
    case: str = ""
    group: str = AS_IS

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> CaseBudget:
        """The inverse of `dataclasses.asdict`, also by way of JSON."""
        classes = {
            name: ClassBudget(**{**one, "remaining_dice": tuple(one["remaining_dice"])})
            for name, one in values["classes"].items()
        }
        tables = {name: tuple(map(tuple, values[name])) for name in ("stage1_confusion", "stage2_confusion")}
        return CaseBudget(**{**values, **tables, "classes": classes})


def measure_error_budget(
    cases: Sequence[CaseFiles], spec: SegmentationSpec, variants: Variants | None = None
) -> Iterator[CaseBudget | Failure]:
    """Segment every version of every CT in this process and measure its error budget.

    Args:
        cases: labelled CTs.
        spec: settings, networks and device.
        variants: the versions of the CTs; None takes the originals.
    """
    for case in cases:
        try:
            for variant in case_variants(case, variants or Variants()):
                pipeline = Pipeline(variant.volume, device=spec.device, models_dir=spec.models)
                yield replace(error_budget_of(pipeline.run(spec.settings), variant), case=case.name)
        except UNUSABLE as error:
            yield failed(error, case.name, case.name)


def error_budget_of(result: Result, variant: CaseVariant) -> CaseBudget:
    """Measure the error budget of a segmentation of `variant.volume`. Raises InputError without labelled kidneys."""
    volume, settings = variant.volume, result.settings
    truth = without_cysts(variant.truth)
    labelled = bounding_box(truth)
    if labelled is None:
        raise InputError(f"the labels of {variant.name} hold no kidney, so there is no Dice to lose")
    true1, true2 = (_with_truth(cloud, truth, volume) for cloud in (result.sampled, result.stage2))
    perfect_stage1 = replace(true1, labels=np.minimum(_labels(true1), KIDNEY))
    ideal = method(settings.method).stage2_points(perfect_stage1, volume, settings, result.stage2.lattice)
    ideal = _with_truth(ideal, truth, volume)
    clouds = (
        _with_truth(_cells_around(labelled, volume, result.stage2.lattice), truth, volume),
        ideal,
        true2,
        result.stage2.select(is_in(ideal, result.stage2.index)),
        result.stage2,
    )
    scores = [kits19_dice(_filled(cloud, volume, settings), truth) for cloud in clouds]
    scores.append(kits19_dice(result.mask, truth))
    classes = {
        name: _class_budget(name, result, (true1, true2), truth, volume, tuple(score[name] for score in scores))
        for name, is_class in CLASSES.items()
        if is_class(truth).any()
    }
    assert result.sampled.probability is not None
    # The more probable class, not the labels: these say which points stage 1 keeps for stage 2.
    stage1_labels, stage1_truth = result.sampled.probability.argmax(1), np.minimum(_labels(true1), KIDNEY)
    return CaseBudget(
        variant.name,
        classes,
        tuple(map(tuple, confusion(stage1_labels, stage1_truth, 2).tolist())),
        tuple(map(tuple, confusion(without_cysts(_labels(result.stage2)), _labels(true2), 3).tolist())),
        group=variant.group,
    )


def _class_budget(
    name: str,
    result: Result,
    true: tuple[PointCloud, PointCloud],
    truth: Labels,
    volume: Volume,
    remaining_dice: tuple[float, ...],
) -> ClassBudget:
    """The budget of a class; `true` holds the points of stage 1 and stage 2 with their true labels."""
    is_class = CLASSES[name]
    clustered = np.where(is_in(result.objects, result.stage2.index), _labels(result.stage2), TISSUE)
    true1, true2 = (is_class(_labels(cloud)) for cloud in true)
    pred1, pred2 = (is_class(_labels(cloud)) for cloud in (result.sampled, result.stage2))
    voxels = np.argwhere(is_class(truth))
    in_stage1 = name == "kidney"
    return ClassBudget(
        stage1_coverage=coverage(result.sampled, voxels, volume),
        stage1_dice=_dice(pred1, true1) if in_stage1 else None,
        stage1_recall=_share(true1, pred1) if in_stage1 else None,
        stage1_precision=_share(pred1, true1) if in_stage1 else None,
        stage2_coverage=coverage(result.stage2, voxels, volume),
        stage2_dice=_dice(pred2, true2),
        clustered_dice=_dice(is_class(clustered), true2),
        remaining_dice=remaining_dice,
    )


def _filled(cloud: PointCloud, volume: Volume, settings: Settings) -> Labels:
    """The mask of a labelled cloud; no point is dropped as an outlier."""
    if settings.fill.algorithm == "closing":
        return fill_closing(cloud.select(_labels(cloud) != TISSUE), volume, settings.fill, context=cloud)
    # Hulls need clusters; with one sample no point is an outlier.
    per_class = method(settings.method).per_class
    return fill_hull(*cluster_cloud(cloud, settings.clusters.eps_mm, 1, per_class=per_class), volume)


def _with_truth(cloud: PointCloud, truth: Labels, volume: Volume) -> PointCloud:
    """The cloud with true labels, and with the probabilities 0 and 1 that correspond to them."""
    labels = np.zeros(len(cloud), np.uint8)
    if cloud.lattice.step_mm == volume.spacing_mm:  # the cells are the voxels
        labels = truth[tuple(cloud.index.T)]
    elif len(cloud):
        low, high = cloud.index.min(0), cloud.index.max(0) + 1
        crop = lattice_for(volume, cloud.lattice.step_mm, (low, high))
        labels = resample_labels(truth, volume.spacing_mm, crop)[tuple((cloud.index - low).T)]
    return replace(cloud, labels=labels, probability=np.eye(3, dtype=np.float16)[labels])


def _cells_around(labelled: tuple[slice, ...], volume: Volume, lattice: Lattice) -> PointCloud:
    """All cells of the volume's lattice around the labels: only the grid and the fill lose anything there."""
    scale = np.asarray(volume.spacing_mm) / lattice.step_mm
    low = np.floor([side.start for side in labelled] * scale).astype(int) - _MARGIN_CELLS
    high = np.ceil([side.stop for side in labelled] * scale).astype(int) + _MARGIN_CELLS
    crop = lattice_for(volume, lattice.step_mm, (low, high))
    return PointCloud.of_cells(lattice, np.indices(crop.shape, np.int32).reshape(3, -1).T + crop.first_cell)


def _labels(cloud: PointCloud) -> Labels:
    return np.zeros(len(cloud), np.uint8) if cloud.labels is None else cloud.labels


def _dice(pred: Mask, true: Mask) -> float:
    """Dice over points; 0 where there are none."""
    return dice(pred, true) if len(true) else 0.0


def _share(of: Mask, inside: Mask) -> float:
    return float(inside[of].mean()) if of.any() else 0.0
