"""The clouds that samples of method `paper` are cut from: the brightest voxels of augmented CTs, cached on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import HU, Indices, Labels, Rng
from kidneyseg.datasets.cache import Arrays, cached
from kidneyseg.datasets.cases import CaseFiles, LabelledVoxels, read_case
from kidneyseg.imaging.labels import TUMOUR, without_cysts
from kidneyseg.imaging.volume import HU_WINDOW, Volume
from kidneyseg.points.grid import paper_cells
from kidneyseg.points.sampling import band_bounds_of, hu_histogram, sample_bands
from kidneyseg.settings import BandSettings
from kidneyseg.synthesis.insertion import insert_random_lesions
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.subject import GridAnatomy, Subject
from kidneyseg.training.augmentation import augmented
from kidneyseg.training.intensity import Scan, simulate_scanner
from kidneyseg.training.stage_recipes import BandRecipe

# How many fields of view are drawn until one shows the kidneys.
_FIELDS_OF_VIEW = 20


@dataclass(frozen=True, eq=False)
class BandCloud:
    """The brightest voxels of a CT, brightest first."""

    cells: NDArray[np.int16]  #: int16 (N, 3) on the paper's grid, Fortran-ordered, since axes are read one by one
    hu: HU  #: int16 (N,), descending
    labels: Labels  #: uint8 (N,)
    counts: Indices  #: int64 (401,), the `hu_histogram` of all voxels of the CT
    case: str = ""  #: the case's name

    @classmethod
    def of(cls, arrays: Arrays, case: str = "") -> BandCloud:
        """The cloud of `cloud_arrays`."""
        order = np.argsort(-arrays["hu"], kind="stable")
        cells = np.asfortranarray(arrays["cells"][order])
        return cls(cells, arrays["hu"][order], arrays["labels"][order], arrays["counts"], case)

    def bands(self, settings: BandSettings) -> list[slice]:
        """The rows of each band that inference runs with these settings, brightest band first."""
        brighter = np.append(self.counts[::-1].cumsum()[::-1], 0)  # rows from each HU of the window on
        result = []
        for lowest, highest in band_bounds_of(self.counts, settings):
            first, end = (int(brighter[hu - HU_WINDOW[0]]) for hu in (highest + 1, lowest))
            result.append(slice(first, max(first, min(end, len(self.hu)))))
        return result


def cloud_arrays(volume: Volume, labels: Labels, kept_percent: float) -> Arrays:
    """The brightest share of a labelled CT (X, Y, Z) as arrays for the cache, in lexicographic order of the voxels.

    Cysts are kidney: the method has no class for them.
    """
    [cloud] = sample_bands(volume, BandSettings(kept_percent=kept_percent, bands=1))
    return {
        "cells": paper_cells(cloud, volume).astype(np.int16),
        "hu": cloud.hu,
        "labels": without_cysts(labels[tuple(cloud.index.T)]),
        "counts": hu_histogram(volume.hu),
    }


@dataclass(frozen=True, eq=False)
class BandCase:
    """A training case as numbered versions of its CT, each with its own augmentations."""

    case: CaseFiles  #: its files
    recipe: BandRecipe  #: whose augmentations of anatomy, intensity and field of view a version is given
    kept_percent: float  #: the share of the voxels that a version keeps
    cache: Path  #: folder for prepared versions
    seed: int = 0  #: of the augmentations
    lesions: LesionLibrary | None = None  #: shapes to insert where the case has no tumour labels; None inserts none

    @property
    def name(self) -> str:
        """The case's."""
        return self.case.name

    def version(self, number: int) -> BandCloud:
        """A version, always the same for a number; from the cache where it was made before."""
        how = self.recipe
        augmentations = f"{how.field_of_view} {how.anatomy} {how.intensity}"
        inserted = self.lesions.key if self.lesions is not None else None
        kind = f"version-{number} {self.kept_percent:g} {self.seed} {augmentations} {inserted}"
        arrays = cached(self.cache, self.name, kind, self.case.files, partial(self._make, number))
        return BandCloud.of(arrays, self.name)

    def _make(self, number: int) -> Arrays:
        rng = np.random.default_rng([7, self.seed, number, *self.name.encode()])
        volume, labels, organs = read_case(self.case)
        lesions = None if (labels == TUMOUR).any() else self.lesions
        organs = np.zeros(labels.shape, np.uint8) if organs is None else organs
        box = self._field_of_view(labels, rng)
        seen = LabelledVoxels(volume.hu[box], labels[box], organs[box], volume.spacing_mm)
        subject = augmented(Subject.of(GridAnatomy(seen), lesions), self.recipe.anatomy, rng)
        scan = simulate_scanner(Scan(subject.hu.astype(np.float32), volume.spacing_mm), self.recipe.intensity, rng)
        changed = np.asfortranarray(scan.hu.round().astype(np.int16))
        return cloud_arrays(replace(volume, hu=changed), subject.labels, self.kept_percent)

    def _field_of_view(self, labels: Labels, rng: Rng) -> tuple[slice, ...]:
        """A random field of view with at least half of the kidneys, if one is found soon."""
        for _ in range(_FIELDS_OF_VIEW):
            box = self.recipe.field_of_view.draw(labels.shape, rng)
            if 2 * np.count_nonzero(labels[box]) >= np.count_nonzero(labels):
                break
        return box


def band_case(
    case: CaseFiles, recipe: BandRecipe, settings: BandSettings, cache: Path, seed: int, lesions: LesionLibrary | None
) -> BandCase:
    """A training case that keeps all points that any band of the recipe or of inference shows.

    Its first version is made at once, so that a case that cannot be used is found before the training.
    """
    kept_percent = max(settings.kept_percent, recipe.other_bands.kept_percent[1])
    result = BandCase(case, recipe, kept_percent, cache, seed, lesions)
    result.version(0)
    return result


def plain_cloud(
    case: CaseFiles, settings: BandSettings, cache: Path, seed: int, lesions: LesionLibrary | None
) -> BandCloud:
    """The CT as inference sees it, to validate on; cached on disk.

    With `lesions`, these are inserted where there are no tumour labels.
    """

    def make() -> Arrays:
        volume, labels, organs = read_case(case)
        if lesions is not None and not (labels == TUMOUR).any():
            rng = np.random.default_rng([seed, 3, *case.name.encode()])
            inserted = insert_random_lesions(volume.hu, labels, volume.spacing_mm, lesions, rng, organs=organs)
            volume, labels = replace(volume, hu=np.asfortranarray(inserted[0])), inserted[1]
        return cloud_arrays(volume, labels, settings.kept_percent)

    kind = f"plain-{settings.kept_percent:g} {seed} {lesions.key if lesions is not None else None}"
    return BandCloud.of(cached(cache, case.name, kind, case.files, make), case.name)
