"""Training samples of method `paper`: boxes of the intensity bands that inference runs, at a random band each.

Unlike the published scripts, training sees all bands, not the brightest alone, and drops no points by intensity,
which removes most hypodense tumour.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from kidneyseg.arrays import HU, Floats, Indices, Labels, Mask, Rng
from kidneyseg.datasets.cases import error_context
from kidneyseg.imaging.labels import KIDNEY, TISSUE
from kidneyseg.imaging.volume import HU_WINDOW
from kidneyseg.points.features import hu_features
from kidneyseg.settings import BandSettings
from kidneyseg.sparse import SparseUNet
from kidneyseg.training.band_clouds import BandCloud
from kidneyseg.training.batches import ANY_FOREGROUND, MIN_POINTS, Sample, first_usable
from kidneyseg.training.stage_recipes import BandRecipe

Cells = NDArray[np.int16]

# How many boxes are drawn until one shows enough of stage 1's detections.
_BOXES = 20


@dataclass(frozen=True, eq=False)
class Box:
    """Points of a band."""

    cells: Cells  #: int16 (N, 3)
    hu: HU  #: int16 (N,)
    labels: Labels  #: uint8 (N,)
    probability: Floats | None = None  #: float32 (N,), stage 1's of kidney

    def select(self, rows: NDArray[np.intp] | Mask) -> Box:
        """Some of the points."""
        probability = None if self.probability is None else self.probability[rows]
        return Box(self.cells[rows], self.hu[rows], self.labels[rows], probability)


class Versions(Protocol):
    """A case as numbered versions; see `band_clouds.BandCase`."""

    @property
    def name(self) -> str:
        """The case's."""

    def version(self, number: int) -> BandCloud:
        """A version, always the same for a number."""


@dataclass(frozen=True, eq=False)
class BandSampler:
    """A random box of a random band of a random case."""

    cases: Sequence[Versions]  #: to train on
    recipe: BandRecipe  #: of the stage. With two classes tumour counts as kidney.
    settings: BandSettings  #: of inference
    #: stage 1's network in eval mode, whose detections stage 2 is shown; without it, what lies near the labels
    detector: SparseUNet | None = None
    lesions_unlabelled: frozenset[str] = frozenset()  #: names of cases whose kidneys become ANY_FOREGROUND

    def draw(self, rng: Rng, step: int = 0) -> Sample:
        """One augmented box of points. Raises CaseError when the case cannot be made into one."""
        return first_usable(partial(self._draw, rng, step))

    @cached_property
    def _versions(self) -> dict[int, tuple[tuple[int, int], BandCloud]]:
        """The version in each slot, with its case and number."""
        return {}

    @cached_property
    def _boxes(self) -> dict[int, tuple[tuple[tuple[int, int], int], Box]]:
        """The box of each slot that stage 2 is shown now, with its version and number."""
        return {}

    def _version(self, slot: int, version: tuple[int, int]) -> BandCloud:
        known, cloud = self._versions.get(slot, (None, None))
        if cloud is None or known != version:
            self._versions.pop(slot, None)  # so that two do not need memory at once
            place, number = version
            cloud = self.cases[place].version(number)
            self._versions[slot] = version, cloud
        return cloud

    def _draw(self, rng: Rng, step: int) -> tuple[str, Sample | None]:
        slot, recipe = int(rng.integers(self._slots)), self.recipe
        version = self.version_in(slot, step)
        case = self.cases[version[0]]
        with error_context(case.name):
            if self._is_stage2:
                box = self._detections(slot, version, step // recipe.detection_steps)
                box = box.select(self._shown(box, rng))
            else:
                box = self._box(self._version(slot, version), rng)
            if len(box.cells) < MIN_POINTS:
                return case.name, None
            labels = box.labels
            if self._is_stage2 and case.name in self.lesions_unlabelled:
                labels = np.where(labels == KIDNEY, ANY_FOREGROUND, labels)
            moved, hu = _augmented(box.cells, box.hu.astype(np.float32), recipe, rng)
            return case.name, _as_sample(moved, hu_features(hu, recipe.channels), labels, len(recipe.class_weights))

    def _box(self, cloud: BandCloud, rng: Rng) -> Box:
        """A random box of a random band, without augmentation; it may be empty."""
        bands = cloud.bands(self._band_settings(rng))
        band = bands[int(rng.integers(len(bands)))]
        box = Box(cloud.cells[band], cloud.hu[band], cloud.labels[band])
        return box.select(_boxed(box.cells, box.labels, self.recipe, rng)) if len(box.cells) else box

    def _detections(self, slot: int, version: tuple[int, int], number: int) -> Box:
        """The box of a slot in which stage 1's detections are shown for some steps, since to find them takes longer
        than a step; always the same for a number. It may be empty where no box with detections is found soon."""
        known, box = self._boxes.get(slot, (None, None))
        if box is not None and known == (version, number):
            return box
        rng, cloud = np.random.default_rng([slot, number]), self._version(slot, version)
        for _ in range(_BOXES):
            box = self._with_detections(self._box(cloud, rng))
            if np.count_nonzero(self._shown(box, rng)) >= MIN_POINTS:
                break
        assert box is not None
        self._boxes[slot] = (version, number), box
        return box

    def _with_detections(self, box: Box) -> Box:
        if self.detector is None or len(box.cells) == 0:
            return box
        cells, features = box.cells.astype(np.int64), hu_features(box.hu, self.recipe.channels)
        return replace(box, probability=probability_of_kidney(self.detector, cells, features))

    @property
    def _slots(self) -> int:
        return min(len(self.cases), self.recipe.versions_in_memory)

    def version_in(self, slot: int, step: int) -> tuple[int, int]:
        """The case and its version that are in a slot of the memory at a step. No two slots change at the same step.

        Where every case has a slot, each stays in its own.
        """
        recipe, slots, count = self.recipe, self._slots, len(self.cases)
        period = math.ceil(recipe.samples_per_version * slots / recipe.batch)
        number = (step + slot * period // slots) // period * slots + slot
        return number % count, number // count % recipe.versions

    @property
    def _is_stage2(self) -> bool:
        return len(self.recipe.class_weights) > 2

    def _band_settings(self, rng: Rng) -> BandSettings:
        other = self.recipe.other_bands
        if rng.random() >= other.probability:
            return self.settings
        fewest, most = other.count
        return BandSettings(
            kept_percent=float(rng.uniform(*other.kept_percent)), bands=int(rng.integers(fewest, most + 1))
        )

    def _shown(self, box: Box, rng: Rng) -> Mask:
        """Which points of a box stage 2 is shown."""
        recipe = self.recipe
        near, threshold = rng.random() < recipe.near_kidney_probability, rng.uniform(*recipe.detection_threshold)
        if near or box.probability is None:
            return _near_labels(box.cells, box.labels, recipe.near_kidney_cells)
        return box.probability >= np.float32(threshold)


def plain_bands(cloud: BandCloud, settings: BandSettings, channels: int, classes: int) -> Iterator[Sample]:
    """Each band that is not empty as inference shows it to stage 1."""
    for band in cloud.bands(settings):
        cells, features = cloud.cells[band].astype(np.int64), hu_features(cloud.hu[band], channels)
        if len(cells):
            yield replace(_as_sample(cells, features, cloud.labels[band], classes), case=cloud.case)


def around_kidneys(sample: Sample, most: int) -> Sample:
    """The at most so many points nearest to the middle of the kidneys; of a sample without kidneys, to its own."""
    if len(sample.cells) <= most:
        return sample
    kidney = sample.labels != TISSUE
    middle = sample.cells[kidney if kidney.any() else slice(None)].mean(axis=0).astype(np.int64)
    return _select(sample, _nearest(sample.cells, middle, most))


def shown_to_stage2(sample: Sample, detector: SparseUNet, kept_probability: float) -> Sample:
    """The points to which stage 1 gives at least this probability of kidney, as in inference."""
    probability = probability_of_kidney(detector, sample.cells, sample.features)
    return _select(sample, np.flatnonzero(probability >= np.float32(kept_probability)))


@torch.no_grad()
def probability_of_kidney(network: SparseUNet, cells: Indices, features: Floats) -> Floats:
    """Stage 1's probability of kidney for each point: float32 (N,)."""
    device = next(network.parameters()).device
    logits = network(torch.from_numpy(cells).to(device), torch.from_numpy(features).to(device))
    return np.asarray(logits.softmax(1)[:, KIDNEY].cpu().numpy())


def _select(sample: Sample, rows: NDArray[np.intp]) -> Sample:
    return replace(sample, cells=sample.cells[rows], features=sample.features[rows], labels=sample.labels[rows])


def _as_sample(cells: Indices, features: Floats, labels: Labels, classes: int) -> Sample:
    if classes == 2:
        labels = np.minimum(labels, KIDNEY)
    return Sample(cells - cells.min(0), features, labels)


def _near_labels(cells: Cells, labels: Labels, reach: int) -> Mask:
    """Which points lie within about `reach` cells of a labelled point: what an imperfect stage 1 detects."""
    if not labels.any():
        return np.zeros(len(labels), bool)
    coarse = (cells - cells.min(0)) // reach + 1
    hit = np.zeros(coarse.max(0) + 2, bool)
    hit[tuple(coarse[labels != TISSUE].T)] = True
    return np.asarray(hit[tuple(coarse.T)])


def _boxed(cells: Cells, labels: Labels, recipe: BandRecipe, rng: Rng) -> NDArray[np.intp]:
    """The rows of a random number of points around a random one, all if there are no more."""
    least, most = recipe.points
    count = int(np.exp(rng.uniform(np.log(least), np.log(most))))
    inside = np.flatnonzero(labels != TISSUE)
    if len(inside) and rng.random() < recipe.kidney_probability:
        row = inside[int(rng.integers(len(inside)))]
    else:
        row = int(rng.integers(len(cells)))
    return _nearest(cells, cells[row], count)


def _nearest(cells: NDArray[np.integer], centre: NDArray[np.integer], most: int) -> NDArray[np.intp]:
    """The rows of at most so many points nearest to `centre`, by the largest of the three distances."""
    if len(cells) <= most:
        return np.arange(len(cells))
    distance = np.abs(cells[:, 0] - centre[0])
    for axis in (1, 2):
        np.maximum(distance, np.abs(cells[:, axis] - centre[axis]), out=distance)
    nearer = partial(_count_below, distance)
    limit = bisect_right(range(int(distance.max()) + 2), most, key=nearer) - 1
    return np.flatnonzero(distance < max(limit, 1))


def _count_below(distance: NDArray[np.integer], limit: int) -> int:
    return int(np.count_nonzero(distance < limit))


def _augmented(cells: Cells, hu: Floats, recipe: BandRecipe, rng: Rng) -> tuple[Indices, Floats]:
    """The paper's augmentation: darker (above air), larger or smaller, and a left-right flip."""
    air = -HU_WINDOW[0]
    if rng.random() < recipe.darken_probability:
        hu = (hu + air) * np.float32(rng.uniform(*recipe.darken)) - air
    scaled = cells.astype(np.float64)
    if rng.random() < recipe.scale_probability:
        scaled *= rng.uniform(*recipe.scale)
    if rng.random() < recipe.flip_probability:
        scaled[:, 0] = scaled[:, 0].max(initial=0) - scaled[:, 0]
    return np.floor(scaled).astype(np.int64), hu
