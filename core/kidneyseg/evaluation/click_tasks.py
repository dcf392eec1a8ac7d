"""What simulated clicks have to mend: missed tumours, withheld tumours, false tumours, and missing kidney poles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import Box, Floats, Labels, Mask, Rng, bounding_box
from kidneyseg.evaluation.variants import CaseVariant
from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg.metrics import dice
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.resample import nearest_values, voxel_lattice

# Kinds of tasks, in the order of the tables.
MISSED = "missed tumour"
WITHHELD = "withheld tumour"
FALSE_TUMOUR = "false tumour"
KIDNEY_POLE = "missing kidney pole"
KINDS = (MISSED, WITHHELD, FALSE_TUMOUR, KIDNEY_POLE)

# A lesion of at least 1 mL is a task; it counts as missed when its Dice is below .1.
_LEAST_ML, _MISSED_DICE = 1.0, 0.1
# Errors are judged up to this distance from a lesion, beyond which no click on its border reaches.
_REGION_MM = 25.0
# Length of a missing pole and radius of a false tumour, and how far around them errors are judged.
_POLE_MM, _POLE_MARGIN_MM = (20.0, 40.0), 15.0
_FALSE_RADIUS_MM, _FALSE_CLEAR_MM = (6.0, 12.0), 15.0
_CORNERS = np.ones((3, 3, 3), np.bool_)


class Region(NamedTuple):
    """Part of a CT: the voxels of `box` where `inside`, bool of its size, is set."""

    box: Box
    inside: Mask


@dataclass(frozen=True, eq=False)
class ClickTask:
    """An error of a mask that clicks are to mend."""

    kind: str  #: one of KINDS
    labels: Labels  #: uint8 (X, Y, Z), the mask with the error
    evidence: PointCloud  #: stage 2's cloud that goes with it
    region: Region  #: where clicks are made and Dice is measured
    classes: tuple[int, ...]  #: the labels whose Dice is measured
    ml: float  #: volume of the lesion, of the false tumour or of the missing pole

    def chosen(self, labels: Labels) -> Mask:
        """The voxels of the region that have one of the classes: bool of the region's box."""
        chosen: Mask = np.isin(labels[self.region.box], self.classes) & self.region.inside
        return chosen


def click_tasks(variant: CaseVariant, mask: Labels, evidence: PointCloud) -> Iterator[ClickTask]:
    """The tasks of a segmented CT.

    Each lesion of at least 1 mL that the networks missed is a task, and each such lesion again after what the networks
    know of it was withheld. A false tumour and a missing kidney pole are made at a random place.

    Args:
        variant: the CT with its true labels.
        mask: uint8 (X, Y, Z), of the networks.
        evidence: stage 2's cloud with probabilities (N, 3).
    """
    volume, truth = variant.volume, variant.truth
    lesions, _ = ndimage.label(truth == TUMOUR, _CORNERS)
    for i, found in enumerate(ndimage.find_objects(lesions), start=1):
        ml = float(np.count_nonzero(lesions[found] == i)) * volume.voxel_ml
        if ml < _LEAST_ML:
            continue
        box = _grown(found, _REGION_MM, variant)
        lesion = lesions[box] == i
        near = ndimage.distance_transform_edt(~lesion, sampling=volume.spacing_mm) <= _REGION_MM
        region = Region(box, near & (lesion | (truth[box] != TUMOUR)))
        task = ClickTask(MISSED, mask, evidence, region, (TUMOUR,), ml)
        if dice(task.chosen(mask), lesion) < _MISSED_DICE:
            yield task
        labels, cloud = withheld(variant, mask, evidence, region)
        yield ClickTask(WITHHELD, labels, cloud, region, (TUMOUR,), ml)
    rng = np.random.default_rng(list(variant.name.encode()))
    yield from _false_tumour(variant, mask, evidence, rng)
    yield from _kidney_pole(variant, mask, evidence, rng)


def withheld(variant: CaseVariant, mask: Labels, evidence: PointCloud, region: Region) -> tuple[Labels, PointCloud]:
    """Mask and evidence as of networks that know no tumour in a region: kidney or tissue, the likelier of the two.

    Raises ValueError for a cloud without probabilities.
    """
    without = _probability(evidence).copy()
    without[:, TUMOUR] = 0
    without /= np.maximum(without.sum(axis=1, keepdims=True), 1e-12)
    second = np.zeros(evidence.lattice.shape, np.uint8)
    second[tuple(evidence.index.T)] = without.argmax(axis=1)
    low, high = ([getattr(side, end) for side in region.box] for end in ("start", "stop"))
    voxels = voxel_lattice(mask.shape, variant.volume.spacing_mm, (low, high))
    labels = mask.copy(order="F")
    blind = region.inside & (labels[region.box] == TUMOUR)
    labels[region.box][blind] = nearest_values(second, evidence.lattice, voxels)[blind]
    return labels, _replaced(evidence, _lies_in(evidence, region, variant), without)


def _false_tumour(variant: CaseVariant, mask: Labels, evidence: PointCloud, rng: Rng) -> Iterator[ClickTask]:
    """A ball labelled tumour around a point of a kidney, clear of true tumours."""
    spacing, truth = np.asarray(variant.volume.spacing_mm), variant.truth
    radius = float(rng.uniform(*_FALSE_RADIUS_MM))
    box = bounding_box(truth)
    if box is None:
        return
    free = truth[box] == KIDNEY
    if (truth[box] == TUMOUR).any():
        free &= ndimage.distance_transform_edt(truth[box] != TUMOUR, sampling=spacing) > radius + _FALSE_CLEAR_MM
    places = np.argwhere(free)
    if not len(places):
        return
    centre = places[rng.integers(len(places))] + [side.start for side in box]
    around = _grown([slice(int(c), int(c) + 1) for c in centre], radius + _FALSE_CLEAR_MM, variant)
    x, y, z = np.ogrid[around]
    square = sum(((axis - c) * s) ** 2 for axis, c, s in zip((x, y, z), centre, spacing, strict=True))
    labels = mask.copy(order="F")
    ball = square <= radius**2
    labels[around][ball] = TUMOUR
    region = Region(around, square <= (radius + _FALSE_CLEAR_MM) ** 2)
    voxel_ml = variant.volume.voxel_ml
    yield ClickTask(FALSE_TUMOUR, labels, evidence, region, (TUMOUR,), float(np.count_nonzero(ball)) * voxel_ml)


def _kidney_pole(variant: CaseVariant, mask: Labels, evidence: PointCloud, rng: Rng) -> Iterator[ClickTask]:
    """A kidney whose upper or lower 20 ... 40 mm are tissue in the mask and in the evidence."""
    spacing, truth = variant.volume.spacing_mm, variant.truth
    kidneys, count = ndimage.label(truth > TISSUE)
    if not count:
        return
    largest = np.argsort(-np.bincount(kidneys[kidneys > 0])[1:])[:2] + 1
    one = int(largest[rng.integers(len(largest))])
    found = ndimage.find_objects(kidneys)[one - 1]
    depth = round(float(rng.uniform(*_POLE_MM)) / spacing[2])
    start, stop = found[2].start, found[2].stop
    layers = slice(start, min(start + depth, stop)) if rng.random() < 0.5 else slice(max(stop - depth, start), stop)
    sides = _grown((found[0], found[1], layers), _POLE_MARGIN_MM, variant)
    # Beyond the tip there is a margin; the other end is cut.
    low = layers.start if layers.stop == stop and layers.start > start else sides[2].start
    high = layers.stop if layers.start == start and layers.stop < stop else sides[2].stop
    box = (sides[0], sides[1], slice(low, high))
    pole = kidneys[box] == one
    near = ndimage.distance_transform_edt(~pole, sampling=spacing) <= _POLE_MARGIN_MM
    region = Region(box, near & (pole | (truth[box] == TISSUE)))
    labels = mask.copy(order="F")
    labels[box][region.inside] = TISSUE
    cloud = _replaced(evidence, _lies_in(evidence, region, variant), np.array([1, 0, 0], np.float32))
    ml = float(np.count_nonzero(pole)) * variant.volume.voxel_ml
    yield ClickTask(KIDNEY_POLE, labels, cloud, region, (KIDNEY, TUMOUR, CYST), ml)


def _probability(evidence: PointCloud) -> Floats:
    if evidence.probability is None:
        raise ValueError("this needs a cloud with probabilities")
    return evidence.probability.astype(np.float32)


def _lies_in(evidence: PointCloud, region: Region, variant: CaseVariant) -> Mask:
    """Which points have their centre in the region."""
    at = np.floor(evidence.centres_mm / np.asarray(variant.volume.spacing_mm)).astype(int)
    at -= [side.start for side in region.box]
    there: Mask = ((at >= 0) & (at < region.inside.shape)).all(axis=1)
    there[there] = region.inside[tuple(at[there].T)]
    return there


def _replaced(evidence: PointCloud, there: Mask, other: Floats) -> PointCloud:
    """The cloud with other probabilities, (3,) or (N, 3), at some points, and the labels that follow from them."""
    probability = np.where(there[:, None], other, _probability(evidence)).astype(np.float16)
    return replace(evidence, probability=probability, labels=probability.argmax(axis=1).astype(np.uint8))


def _grown(box: Sequence[slice], by_mm: float, variant: CaseVariant) -> Box:
    """A box with a margin, clipped to the CT."""
    x, y, z = (
        slice(max(side.start - int(by_mm / s) - 1, 0), min(side.stop + int(by_mm / s) + 1, n))
        for side, s, n in zip(box, variant.volume.spacing_mm, variant.volume.shape, strict=True)
    )
    return x, y, z
