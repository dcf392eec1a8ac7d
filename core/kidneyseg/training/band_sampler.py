"""Training samples of method `paper`: boxes of the intensity bands that inference runs, at a random band each.

Unlike the published scripts, training sees all bands, not the brightest alone, and drops no points by intensity in
stage 2, which removes most hypodense tumour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Floats, Indices, Labels, Rng
from kidneyseg.datasets.cache import Arrays, cached
from kidneyseg.datasets.cases import CaseFiles, error_context, read_case
from kidneyseg.imaging.labels import TISSUE, TUMOUR
from kidneyseg.imaging.volume import HU_WINDOW, Volume
from kidneyseg.points.features import hu_features
from kidneyseg.points.grid import paper_cells
from kidneyseg.points.sampling import sample_bands
from kidneyseg.settings import BandSettings
from kidneyseg.synthesis.insertion import insert_random_lesions
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training.batches import MIN_POINTS, Sample, first_usable
from kidneyseg.training.stage_recipes import BandRecipe


@dataclass(frozen=True, eq=False)
class BandClouds:
    """A CT's bands as cells of the paper's grid, brightest first: cells (N, 3), HU (N,), labels (N,) each."""

    bands: Sequence[tuple[NDArray[np.int16], NDArray[np.int16], Labels]]
    case: str = ""


def band_cases(
    case: CaseFiles, settings: BandSettings, cache: Path, seed: int, lesions: LesionLibrary | None
) -> list[BandClouds]:
    """The case's bands and, with `lesions` and without tumour labels, once more with these inserted; cached on disk."""
    kind = f"bands-{settings.kept_percent:g}-{settings.bands}"
    stored = [cached(cache, case.name, kind, case.files, partial(_bands, case, settings, seed, None))]
    if lesions is not None and not any((stored[0][f"labels{i}"] == TUMOUR).any() for i in range(settings.bands)):
        make = partial(_bands, case, settings, seed, lesions)
        stored.append(cached(cache, case.name, f"{kind}-lesions {seed} {lesions.key}", case.files, make))
    return [
        BandClouds([(each[f"cells{i}"], each[f"hu{i}"], each[f"labels{i}"]) for i in range(settings.bands)], case.name)
        for each in stored
    ]


@dataclass(frozen=True, eq=False)
class BandSampler:
    """A random box of a random band of a random case."""

    cases: Sequence[BandClouds]  #: from `band_cases`
    recipe: BandRecipe  #: of the stage. With two classes tumour counts as kidney.

    def draw(self, rng: Rng, step: int = 0) -> Sample:
        """One augmented box of points. Raises CaseError when the case cannot be made into one."""
        return first_usable(partial(self._draw, rng))

    def _draw(self, rng: Rng) -> tuple[str, Sample | None]:
        clouds, recipe = self.cases[int(rng.integers(len(self.cases)))], self.recipe
        with error_context(clouds.case):
            cells, hu, labels = clouds.bands[int(rng.integers(len(clouds.bands)))]
            near = recipe.near_kidney_probability > 0 and rng.random() < recipe.near_kidney_probability
            rows = _near_labels(cells, labels, recipe) if near else np.arange(len(cells))
            if len(rows) < MIN_POINTS:
                return clouds.case, None
            rows = _boxed(cells, labels, rows, recipe, rng)
            augmented = _augmented(cells[rows], hu[rows].astype(np.float32), recipe, rng)
            return clouds.case, _as_sample(*augmented, labels[rows], recipe)


def plain_band(clouds: BandClouds, recipe: BandRecipe) -> Sample:
    """The darkest band, where most kidney lies, near the labels: for validation."""
    cells, hu, labels = clouds.bands[-1]
    rows = _near_labels(cells, labels, recipe)
    return _as_sample(cells[rows].astype(np.int64), hu[rows], labels[rows], recipe)


def _as_sample(
    cells: Indices, hu: NDArray[np.floating] | NDArray[np.int16], labels: Labels, recipe: BandRecipe
) -> Sample:
    if len(cells):
        cells = cells - cells.min(0)
    return Sample(cells, hu_features(hu, recipe.channels), np.minimum(labels, len(recipe.class_weights) - 1))


def _near_labels(cells: NDArray[np.int16], labels: Labels, recipe: BandRecipe) -> NDArray[np.intp]:
    """Rows within some cells of a labelled point: what an imperfect stage 1 detects."""
    coarse = cells.astype(np.int64) // recipe.detection_reach_cells + 1
    size = coarse.max(0) + 2 if len(coarse) else np.ones(3, np.int64)
    hit = np.zeros(size, bool)
    hit[tuple(coarse[labels != TISSUE].T)] = True
    return np.flatnonzero(hit[tuple(coarse.T)])


def _boxed(
    cells: NDArray[np.int16], labels: Labels, rows: NDArray[np.intp], recipe: BandRecipe, rng: Rng
) -> NDArray[np.intp]:
    """At most `max_points` of the rows: those nearest to a random point, by the largest of the three distances."""
    count = recipe.max_points
    if len(rows) <= count:
        return rows
    inside = rows[labels[rows] != TISSUE]
    pool = inside if len(inside) and rng.random() < recipe.kidney_probability else rows
    centre = cells[pool[int(rng.integers(len(pool)))]].astype(np.int32)
    distance = np.abs(cells[rows].astype(np.int32) - centre).max(1)
    limit = np.partition(distance, count)[count]
    near = distance < limit
    return np.asarray(rows[near if near.any() else distance <= limit])


def _augmented(cells: NDArray[np.int16], hu: Floats, recipe: BandRecipe, rng: Rng) -> tuple[Indices, Floats]:
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
