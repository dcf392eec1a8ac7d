"""The paper's recipe on its own bands: what inference will show the network, at a random band a step.

Mended against the published scripts: training sees all the bands that inference runs (not the brightest alone), no
points are dropped by intensity in stage 2 (that deletes most hypo-dense tumour).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kidneyseg.datasets.cache import Arrays, cached
from kidneyseg.datasets.cases import CaseFiles, error_context, read_case
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import TISSUE, TUMOUR
from kidneyseg.points.features import hu_features
from kidneyseg.points.grid import paper_cells
from kidneyseg.points.sampling import sample_bands
from kidneyseg.settings import BandSettings
from kidneyseg.synthesis.insertion import LesionLibrary, insert_random_lesions
from kidneyseg.synthesis.lesion_cache import library_key
from kidneyseg.training.batches import Sample

# Points a training sample holds at the most: a box of the CT, not a thinned-out CT, so that neighbourhoods stay real.
_MOST_POINTS = 150_000
# How far from the labels stage 1's errors are taken to reach when stage 2 is trained.
_FIND_MARGIN_CELLS = 6


@dataclass(frozen=True, eq=False)
class BandClouds:
    """A CT's bands as cells of the paper's grid, brightest first: cells (N, 3), HU (N,), labels (N,) each."""

    bands: Sequence[tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.uint8]]]
    case: str = ""


def band_cases(
    case: CaseFiles, settings: BandSettings, cache: Path, seed: int, lesions: LesionLibrary | None
) -> list[BandClouds]:
    """The case's bands and, with `lesions` and without tumour labels, once more with these inserted; cached on disk."""
    kind = f"bands-{settings.kept_percent:g}-{settings.bands}"
    stored = [cached(cache, case.name, kind, case.files, partial(_bands, case, settings, seed, None))]
    if lesions is not None and not any((stored[0][f"labels{i}"] == TUMOUR).any() for i in range(settings.bands)):
        make = partial(_bands, case, settings, seed, lesions)
        stored.append(cached(cache, case.name, f"{kind}-lesions {seed} {library_key(lesions)}", case.files, make))
    return [
        BandClouds([(each[f"cells{i}"], each[f"hu{i}"], each[f"labels{i}"]) for i in range(settings.bands)], case.name)
        for each in stored
    ]


@dataclass(frozen=True, eq=False)
class BandSampler:
    """A random box of a random band of a random case; half of the boxes lie on a kidney.

    Attributes:
        cases: from `band_cases`.
        stage: 1 for tissue or kidney among all points, 2 for tissue, kidney or tumour near the kidneys.
    """

    cases: Sequence[BandClouds]
    stage: int

    def draw(self, rng: np.random.Generator, step: int = 0) -> Sample:
        """One augmented box of points. Raises CaseError when the case cannot be made into one."""
        clouds = self.cases[int(rng.integers(len(self.cases)))]
        with error_context(clouds.case):
            return self._box_of(clouds, rng).of(clouds.case)

    def _box_of(self, clouds: BandClouds, rng: np.random.Generator) -> Sample:
        cells, hu, labels = clouds.bands[int(rng.integers(len(clouds.bands)))]
        # Stage 1's finds hold much that is no kidney, so stage 2 learns from what lies near and from what lies far.
        near = self.stage == 2 and rng.random() < 0.5
        rows = _near_labels(cells, labels) if near else np.arange(len(cells))
        if len(rows) < 100:
            return self.draw(rng)
        rows = _boxed(cells, labels, rows, rng)
        cells, hu, labels = cells[rows], hu[rows], labels[rows]
        return _as_sample(*_augmented(cells, hu.astype(np.float32), rng), labels, self.stage)


def plain_band(clouds: BandClouds, stage: int) -> Sample:
    """The darkest band, where most kidney lies, near the labels: for validation."""
    cells, hu, labels = clouds.bands[-1]
    rows = _near_labels(cells, labels)
    return _as_sample(cells[rows].astype(np.int64), hu[rows], labels[rows], stage)


def _as_sample(
    cells: NDArray[np.int64], hu: NDArray[np.floating] | NDArray[np.int16], labels: NDArray[np.uint8], stage: int
) -> Sample:
    if len(cells):
        cells = cells - cells.min(0)
    return Sample(cells, hu_features(hu, 3), np.minimum(labels, stage))


def _near_labels(cells: NDArray[np.int16], labels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Rows within some cells of a labelled point: what an imperfect stage 1 would hand on."""
    coarse = cells.astype(np.int64) // _FIND_MARGIN_CELLS + 1
    size = coarse.max(0) + 2 if len(coarse) else np.ones(3, np.int64)
    hit = np.zeros(size, bool)
    hit[tuple(coarse[labels != TISSUE].T)] = True
    return np.flatnonzero(hit[tuple(coarse.T)])


def _boxed(
    cells: NDArray[np.int16], labels: NDArray[np.uint8], rows: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """At most `_MOST_POINTS` of the rows: those nearest to a random point, by the largest of the three distances."""
    if len(rows) <= _MOST_POINTS:
        return rows
    inside = rows[labels[rows] != TISSUE]
    pool = inside if len(inside) and rng.random() < 0.7 else rows
    centre = cells[pool[int(rng.integers(len(pool)))]].astype(np.int32)
    distance = np.abs(cells[rows].astype(np.int32) - centre).max(1)
    limit = np.partition(distance, _MOST_POINTS)[_MOST_POINTS]
    near = distance < limit
    return np.asarray(rows[near if near.any() else distance <= limit])


def _augmented(
    cells: NDArray[np.int16], hu: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The paper's augmentation, each at even odds: darker by a factor 0.5-1 (above air), larger or smaller by 20 %."""
    if rng.random() < 0.5:
        hu = (hu + 125) * np.float32(rng.uniform(0.5, 1.0)) - 125
    scaled = cells.astype(np.float64)
    if rng.random() < 0.5:
        scaled *= rng.uniform(0.8, 1.2)
    if rng.random() < 0.5:
        scaled[:, 0] = scaled[:, 0].max(initial=0) - scaled[:, 0]
    return np.floor(scaled).astype(np.int64), hu


def _bands(case: CaseFiles, settings: BandSettings, seed: int, lesions: LesionLibrary | None) -> Arrays:
    volume, labels, organs = read_case(case)
    if lesions is not None:
        rng = np.random.default_rng([seed, 3, *case.name.encode()])
        hu, labels = insert_random_lesions(volume.hu, labels, volume.spacing_mm, lesions, rng, organs=organs)[:2]
        volume = Volume(np.asfortranarray(hu), volume.spacing_mm, volume.affine, volume.slice_axis)
    arrays: Arrays = {}
    for i, band in enumerate(sample_bands(volume, settings)):
        arrays[f"cells{i}"] = paper_cells(band, volume).astype(np.int16)
        arrays[f"hu{i}"] = band.hu
        arrays[f"labels{i}"] = labels[tuple(band.index.T)]
    return arrays
