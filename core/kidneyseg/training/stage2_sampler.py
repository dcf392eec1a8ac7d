"""What stage 2's network is trained on: the surroundings of a find of stage 1, true or false, cut as inference does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.datasets.cases import error_context
from kidneyseg.points.cloud import KIDNEY, TUMOUR
from kidneyseg.points.features import kidney_level
from kidneyseg.points.sampling import LOWEST_HU
from kidneyseg.settings import Stage2Settings
from kidneyseg.synthesis.insertion import LesionLibrary, insert_random_lesions
from kidneyseg.training.augmentation import (
    SpatialRange,
    Tone,
    random_affine,
    sample_linear,
    sampling_grid,
    scanner,
    warp_into,
)
from kidneyseg.training.batches import Sample
from kidneyseg.training.detection_regions import FAR_MM, coarse_box, coarse_cells, margin_field, on_cells, within
from kidneyseg.training.detections import Crop
from kidneyseg.training.stage1_sampler import as_sample, changed_patient

# Far larger too: healthy parenchyma that is thicker than any learnt from was called tumour.
_KIDNEY = SpatialRange(rotate_deg=(12.0, 12.0, 18.0), scale=(0.8, 1.4), stretch=0.1)
# How often a kidney is drawn rather than a place where stage 1 found one falsely, or might.
_TRUE_SHARE = 0.8
# Edge in mm of the part of a region that most steps see: more steps teach more than whole regions do.
_VIEW_MM, _VIEW_SHARE = 66.0, 0.55
# A label that the loss takes for either; KiTS' cysts, 3 in its files, are 1 here.
KIDNEY_OR_TUMOUR = np.uint8(3)
# To change a close-up (phase, lesions) takes longer than a step; so some steps share each change, and move, turn and
# tone it in their own ways. At any step one of so many changes is drawn; now and then one of them makes way for a new.
_CHANGES = 12
_MOST_REMEMBERED = 600
# A sample shows at least so much.
_LEAST_SHOWN_ML = 4.0
# SD in HU of the error with which stage 1 knows the kidney's level, besides that of what it finds.
_LEVEL_SD = 5.0


@dataclass(frozen=True, eq=False)
class Stage2Sampler:
    """The cells around one find on the close-ups' lattice: tissue, kidney or tumour.

    Attributes:
        crops: from `finds.crops`.
        settings: the preset's margin around stage 1's find.
        lesions: shapes to insert into cases without tumour labels; None inserts none.
        lesions_unlabelled: cases whose kidneys become KIDNEY_OR_TUMOUR.
        seed: of how close-ups are changed.
        views: whether most samples show a part of what lies around a find, not all of it.
        steps_a_change: after so many steps a change of the close-ups makes way for a new one.
    """

    crops: Sequence[Crop]
    settings: Stage2Settings
    lesions: LesionLibrary | None = None
    lesions_unlabelled: frozenset[str] = frozenset()
    seed: int = 0
    views: bool = True
    steps_a_change: int = 25

    def draw(self, rng: np.random.Generator, step: int = 0) -> Sample:
        """One augmented find as points. Raises CaseError when the case cannot be made into one."""
        true = rng.random() < _TRUE_SHARE
        pool = [one for one in self.crops if one.shows_kidney == true] or self.crops
        one = pool[int(rng.integers(len(pool)))]
        with error_context(one.scene.case):
            change = step // self.steps_a_change + int(rng.integers(_CHANGES))
            sample = self._augmented(one, change, rng)
            return self.draw(rng, step) if sample is None else sample.of(one.scene.case)

    @cached_property
    def _with_tumours(self) -> frozenset[str]:
        return cases_with_tumours(self.crops)

    def _augmented(self, one: Crop, change: int, rng: np.random.Generator) -> Sample | None:
        lesions = self.lesions if one.shows_kidney and one.scene.case not in self._with_tumours else None
        hu, labels = _changed(one, lesions, self.seed, change)
        found, low = self._found(one, labels, rng)
        region = self._region(one, found, low, rng) if found.any() else None
        if region is None:
            return None
        usable = hu >= LOWEST_HU
        level = kidney_level(hu[usable], on_cells(found & (region > 0), one, low)[usable]) + rng.normal(0, _LEVEL_SD)
        to_fine = one.find_mm / one.scene.cell_mm
        cells = np.argwhere(region > 0)
        first, last = ((c + low) * to_fine - one.corner for c in (cells.min(0), cells.max(0) + 1))
        size, middle = last - first, (first + last) / 2
        if rng.random() < (_VIEW_SHARE if self.views else 0.0):
            size = np.minimum(size, _VIEW_MM / one.scene.cell_mm)
            middle = _point_of_interest(labels, middle, rng)
            # Not beyond the region: there is nothing to see.
            middle = np.clip(
                middle,
                np.minimum(first + size / 2, (first + last) / 2),
                np.maximum(last - size / 2, (first + last) / 2),
            )
        matrix = random_affine(rng, _KIDNEY)
        shape = np.maximum(np.ceil(np.abs(np.linalg.inv(matrix)) @ size), 8).astype(int)
        shape = np.minimum(shape, np.ceil(1.1 * size).astype(int) + 8)
        box = tuple(slice(0, int(n)) for n in shape)
        marks = labels
        if one.scene.case in self.lesions_unlabelled:
            marks = np.where(labels == KIDNEY, KIDNEY_OR_TUMOUR, labels)
        moved, marks = warp_into(hu, marks, sampling_grid(box, shape / 2, matrix, middle, hu.shape), outside_hu=-125.0)
        coarse = sampling_grid(box, shape / 2, matrix / to_fine, (middle + one.corner) / to_fine - low, region.shape)
        inside = sample_linear(region + np.float32(FAR_MM), coarse) >= FAR_MM
        tone = Tone.draw(rng)
        grey = scanner(moved, one.scene.cell_mm, rng, tone).round().astype(np.int16)
        kept = inside & (grey >= rng.uniform(LOWEST_HU, LOWEST_HU + 40))
        if kept.sum() * one.scene.cell_mm**3 < 1000.0 * _LEAST_SHOWN_ML:
            return None
        return as_sample(kept, grey, marks, float(tone.of(np.array([level], np.float32))[0]))

    def _found(
        self, one: Crop, labels: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Stage 1's find near the close-up on its coarse cells, with errors added, and the first of these cells."""
        low, high = coarse_box(one, self.settings.margin_mm)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        kidney = one.kidney[window]
        true = one.shows_kidney
        if one.finds and rng.random() < 0.65:
            found = one.finds[int(rng.integers(len(one.finds)))][window].copy()
        else:
            found = kidney.copy()
        if true and not (found & kidney).any():
            found = kidney.copy()
        _add_errors(
            found, kidney, one.find_mm, rng, spills=int(rng.integers(0, 4)) if true else int(rng.integers(1, 4))
        )
        if rng.random() < 0.9:
            found |= coarse_cells(labels == 2, one, low, found.shape)
        return found, low

    def _region(
        self, one: Crop, found: NDArray[np.bool_], low: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.float32] | None:
        """How many mm each coarse cell lies within the margin around a find.

        Only one of the separate parts is positive: inference runs each by itself.
        """
        region = margin_field(found, one.find_mm, self.settings.margin_mm + rng.uniform(-3, 4))
        region += rng.uniform(0, 3) * _waves(region.shape, one.find_mm, rng)
        kidney = one.kidney[tuple(slice(a, a + n) for a, n in zip(low, found.shape, strict=True))]
        return _one_part(region, kidney, rng)


@lru_cache(maxsize=_MOST_REMEMBERED)
def _changed(
    one: Crop, lesions: LesionLibrary | None, seed: int, change: int
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """A close-up's HU and labels as another patient would show them, always the same ones for a number."""
    rng = np.random.default_rng([6, seed, change, *one.corner, *one.scene.case.encode()])
    return changed_patient(one.scene, lesions, rng, retint=0.6, insert=0.75, vary=0.6, bulge=0.5)


def _add_errors(
    found: NDArray[np.bool_], kidney: NDArray[np.bool_], cell_mm: float, rng: np.random.Generator, *, spills: int
) -> None:
    """Balls of false find, in place, at times with a piece of the find missing."""
    axes = [np.arange(n) for n in found.shape]

    def ball(centre: NDArray[np.int64], radius_mm: float) -> NDArray[np.bool_]:
        squares = [(axis - c).astype(np.float32) ** 2 for axis, c in zip(axes, centre, strict=True)]
        reach = squares[0][:, None, None] + squares[1][:, None] + squares[2]
        return np.asarray(reach <= (radius_mm / cell_mm) ** 2)

    if kidney.any() and rng.random() < 0.3:
        places = np.argwhere(kidney)
        found &= ~ball(places[int(rng.integers(len(places)))], rng.uniform(6, 18))
    for _ in range(spills):
        found |= ball(np.array([rng.integers(n) for n in found.shape]), rng.uniform(6, 22))


def _waves(shape: tuple[int, ...], cell_mm: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A smooth random field of SD about 1 on coarse cells."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 10.0 / cell_mm)
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)


def _one_part(
    region: NDArray[np.float32], kidney: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """The field of one connected part, mostly the one with most kidney; what lies elsewhere is made negative."""
    parts, count = ndimage.label(region > 0, np.ones((3, 3, 3)))
    if count == 0:
        return None
    chosen = int(rng.integers(1, count + 1))
    if kidney.any() and rng.random() < 0.85:
        chosen = int(np.bincount(parts[kidney], minlength=2)[1:].argmax()) + 1
    near = ndimage.binary_dilation(parts == chosen)
    return np.where(near, region, np.float32(-FAR_MM))


def _point_of_interest(
    labels: NDArray[np.uint8], middle: NDArray[np.floating], rng: np.random.Generator
) -> NDArray[np.floating]:
    """A cell of a tumour or a kidney of the close-up, where it has one, else `middle` moved a little."""
    for label in (2, 1) if rng.random() < 0.5 else (1,):
        rows = np.flatnonzero(labels == label)
        if len(rows):
            place = np.array(np.unravel_index(rows[int(rng.integers(len(rows)))], labels.shape))
            return np.asarray(place + rng.uniform(-12, 12, 3))
    return np.asarray(middle + rng.uniform(-15, 15, 3))


def plain_stage2(one: Crop, settings: Stage2Settings) -> Sample | None:
    """What inference shows of a close-up's first find (of the labels, without one); None when that is nothing."""
    low, high = coarse_box(one, settings.margin_mm)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    found = (one.finds[0] if one.finds else one.kidney)[window].copy()
    found |= coarse_cells(one.scene.labels == 2, one, low, found.shape)
    if not found.any():
        return None
    region = margin_field(found, one.find_mm, settings.margin_mm)
    kept = within(region, one, low) & (one.scene.hu >= LOWEST_HU)
    if not kept.any():
        return None
    level = kidney_level(one.scene.hu[kept], on_cells(found, one, low)[kept])
    return as_sample(kept, one.scene.hu, one.scene.labels, level)


def cases_with_tumours(crops: Iterable[Crop]) -> frozenset[str]:
    """The cases that have tumour labels of their own."""
    return frozenset(one.scene.case for one in crops if (one.scene.labels == TUMOUR).any())


def with_lesions(one: Crop, lesions: LesionLibrary, rng: np.random.Generator) -> Crop:
    """The close-up with lesions inserted once, for validation."""
    scene = one.scene
    hu, labels, _ = insert_random_lesions(
        scene.hu, scene.labels, (scene.cell_mm,) * 3, lesions, rng, organs=scene.organs
    )
    return replace(one, scene=replace(scene, hu=hu, labels=labels))
