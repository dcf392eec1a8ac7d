"""Training samples of stage 2: regions around detections of stage 1, true or false, cut as inference does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import HU, Floats, Indices, Labels, Mask, Rng
from kidneyseg.datasets.cases import error_context
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR, without_cysts
from kidneyseg.imaging.volume import HU_WINDOW
from kidneyseg.points.features import kidney_level
from kidneyseg.points.region import BEYOND_MM
from kidneyseg.points.sampling import LOWEST_HU
from kidneyseg.synthesis.insertion import insert_random_lesions
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.subject import GridAnatomy, Subject
from kidneyseg.training.augmentation import augmented
from kidneyseg.training.batches import ANY_FOREGROUND, MAX_ANATOMIES, Sample, as_sample, first_usable
from kidneyseg.training.detections import FAR_MM, Crop, coarse_box, coarse_cells, margin_field, on_cells, within
from kidneyseg.training.intensity import Scan, simulate_scanner
from kidneyseg.training.spatial import sample_linear, sampling_grid, warp_into
from kidneyseg.training.stage_recipes import DetectionErrors, DetectionRecipe


class _Variant(NamedTuple):
    """A crop with an augmented anatomy."""

    hu: HU
    labels: Labels
    replaced: bool  #: whether its kidneys are others than those that stage 1 was run on
    own: bool  #: whether it shows a kidney of the CT itself, which may have lesions that nobody labelled
    mass: Mask | None  #: bool, stage 1's cells within the margin of the crop in a mass beside the kidney


@dataclass(frozen=True, eq=False)
class Stage2Sampler:
    """The cells around one detection on the crops' lattice: tissue, kidney, tumour, and with four classes cyst."""

    crops: Sequence[Crop]  #: from `detections.crops`
    recipe: DetectionRecipe  #: of the stage
    margin_mm: float  #: of inference around stage 1's detections
    lesions: LesionLibrary | None = None  #: shapes to insert into cases without tumour labels; None inserts none
    lesions_unlabelled: frozenset[str] = frozenset()  #: names of cases whose kidneys become ANY_FOREGROUND
    seed: int = 0  #: of the augmented anatomies

    def draw(self, rng: Rng, step: int = 0) -> Sample:
        """One augmented detection as points. Raises CaseError when the case cannot be made into one."""
        return first_usable(partial(self._draw, rng, step))

    def _draw(self, rng: Rng, step: int) -> tuple[str, Sample | None]:
        kidney = rng.random() < self.recipe.kidney_probability
        pool = [crop for crop in self.crops if crop.shows_kidney == kidney] or self.crops
        crop = pool[int(rng.integers(len(pool)))]
        with error_context(crop.grid.case):
            steps_per_variant = math.ceil(self.recipe.samples_per_variant / self.recipe.batch)
            number = step // steps_per_variant + int(rng.integers(self.recipe.variants))
            return crop.grid.case, self._augmented(crop, number, rng)

    @cached_property
    def _with_tumours(self) -> frozenset[str]:
        return cases_with_tumours(self.crops)

    @cached_property
    def _variants(self) -> Callable[[Crop, LesionLibrary | None, int], _Variant]:
        # The function must not refer to the sampler: its cache is to be freed with the sampler.
        seed, anatomy, margin_mm = self.seed, self.recipe.anatomy, self.margin_mm
        anatomy_of, knows_cysts = lru_cache(MAX_ANATOMIES)(GridAnatomy), len(self.recipe.class_weights) > CYST

        def variant(crop: Crop, lesions: LesionLibrary | None, number: int) -> _Variant:
            rng = np.random.default_rng([6, seed, number, *crop.corner, *crop.grid.case.encode()])
            original = anatomy_of(crop.grid)
            subject = augmented(Subject.of(original, lesions), anatomy, rng)
            mass = subject.extrarenal
            if mass is not None:
                low, window = coarse_box(crop, margin_mm)
                mass = coarse_cells(mass, crop, low, crop.kidney[window].shape)
            labels = subject.labels if knows_cysts else without_cysts(subject.labels)
            replaced = subject.anatomy is not original
            own = not replaced or len(original.sites) > 1
            return _Variant(subject.hu, labels, replaced, own, mass)

        return lru_cache(self.recipe.max_variants)(variant)

    def variant(self, crop: Crop, number: int) -> _Variant:
        """A crop with an augmented anatomy, always the same for a number."""
        lesions = self.lesions if crop.shows_kidney and crop.grid.case not in self._with_tumours else None
        return self._variants(crop, lesions, number)

    def _augmented(self, crop: Crop, number: int, rng: Rng) -> Sample | None:
        recipe, cell_mm = self.recipe, crop.grid.cell_mm
        variant = self.variant(crop, number)
        hu, labels = variant.hu, variant.labels
        detection, kidney, low = self._detection(crop, variant, rng)
        region = self._region(crop, detection, kidney, rng) if detection.any() else None
        if region is None:
            return None
        usable = hu >= LOWEST_HU
        level = kidney_level(hu[usable], on_cells(detection & (region > 0), crop, low)[usable])
        level += rng.normal(0, recipe.kidney_hu_sd)
        to_fine = crop.detection_mm / cell_mm
        middle, size, slab = self._view(crop, labels, region, low, rng)
        matrix = recipe.affine.draw(rng)
        shape = np.maximum(np.ceil(np.abs(np.linalg.inv(matrix)) @ size), 8).astype(int)
        shape = np.minimum(shape, np.ceil(1.1 * size).astype(int) + 8)
        box = tuple(slice(0, int(n)) for n in shape)
        if variant.own and crop.grid.case in self.lesions_unlabelled:
            labels = np.where(labels == KIDNEY, ANY_FOREGROUND, labels)
        fine = sampling_grid(box, shape / 2, matrix, middle, hu.shape)
        moved, labels = warp_into(hu, labels, fine, outside_hu=HU_WINDOW[0])
        coarse = sampling_grid(box, shape / 2, matrix / to_fine, (middle + crop.corner) / to_fine - low, region.shape)
        inside = sample_linear(region + np.float32(FAR_MM), coarse) >= FAR_MM
        scan = simulate_scanner(Scan(moved, cell_mm, level), recipe.intensity, rng)
        grey = scan.hu.round().astype(np.int16)
        kept = inside & (grey >= rng.uniform(LOWEST_HU, LOWEST_HU + recipe.min_hu_jitter))
        if kept.sum() * cell_mm**3 < 1000.0 * recipe.min_sample_ml:
            return None
        if slab:  # as if the scan ended there: inference repeats its ends
            layers = round(BEYOND_MM / cell_mm)
            beyond = ((0, 0), (0, 0), (layers, layers))
            kept, grey = np.pad(kept, beyond, mode="edge"), np.pad(grey, beyond, mode="edge")
            labels = np.pad(labels, beyond, mode="edge")
        return as_sample(kept, grey, labels, scan.kidney_hu)

    def _detection(self, crop: Crop, variant: _Variant, rng: Rng) -> tuple[Mask, Mask, Indices]:
        """A detection near the crop on stage 1's grid, with errors added, the kidney there, and the first of the cells.

        Of kidneys that replace others there are no detections of stage 1: the labels with errors stand for them.
        """
        errors, labels, replaced = self.recipe.detection_errors, variant.labels, variant.replaced
        low, window = coarse_box(crop, self.margin_mm)
        kidney = crop.kidney[window]
        if replaced:
            kidney = coarse_cells((labels == KIDNEY) | (labels == CYST), crop, low, kidney.shape)
        detection = kidney.copy()
        if crop.detections and not replaced and rng.random() < errors.detection_probability:
            detection = crop.detections[int(rng.integers(len(crop.detections)))][window].copy()
        if crop.shows_kidney and not (detection & kidney).any():
            detection = kidney.copy()
        spills = int(rng.integers(0 if crop.shows_kidney else 1, errors.max_spills + 1))
        _add_errors(detection, kidney, crop.detection_mm, rng, errors, spills)
        if rng.random() < errors.lesion_probability:
            detection |= coarse_cells(labels >= TUMOUR, crop, low, detection.shape)
        if variant.mass is not None and rng.random() < errors.mass_probability:
            detection |= variant.mass
        return detection, kidney, low

    def _region(self, crop: Crop, detection: Mask, kidney: Mask, rng: Rng) -> Floats | None:
        """How many mm each of stage 1's cells lies within the margin around a detection.

        Only one of the separate parts is positive: inference runs each by itself.
        """
        errors, cell_mm = self.recipe.detection_errors, crop.detection_mm
        region = margin_field(detection, cell_mm, self.margin_mm + rng.uniform(*errors.margin_jitter_mm))
        wave_mm = rng.uniform(*errors.margin_wave_mm)
        wave = rng.standard_normal(region.shape, dtype=np.float32)
        wave = ndimage.gaussian_filter(wave, errors.margin_wave_length_mm / cell_mm)
        region += wave_mm * np.asarray(wave / max(float(wave.std()), 1e-6), np.float32)
        return _one_part(region, kidney, rng, errors.kidney_part_probability)

    def _view(
        self, crop: Crop, labels: Labels, region: Floats, low: Indices, rng: Rng
    ) -> tuple[NDArray[np.floating], NDArray[np.floating], bool]:
        """Centre and size, in cells of the crop, of the region or the part that is shown, and whether it is a slab."""
        view, cell_mm = self.recipe.view, crop.grid.cell_mm
        cells = np.argwhere(region > 0)
        to_fine = crop.detection_mm / cell_mm
        first, last = ((c + low) * to_fine - crop.corner for c in (cells.min(0), cells.max(0) + 1))
        size, centre = last - first, (first + last) / 2
        edges_mm = view.draw(rng)
        if edges_mm is None:
            return centre, size, False
        size = np.minimum(size, edges_mm / cell_mm)
        jitter = view.jitter_mm / cell_mm
        on_lesion = rng.random() < view.lesion_probability
        lesions = [label for label in (TUMOUR, CYST) if (labels == label).any()] if on_lesion else []
        for label in (*rng.permutation(lesions)[:1], KIDNEY):
            rows = np.flatnonzero(labels == label)
            if len(rows):
                voxel = np.array(np.unravel_index(rows[int(rng.integers(len(rows)))], labels.shape))
                middle = voxel + rng.uniform(-jitter, jitter, 3)
                break
        else:
            jitter = view.away_jitter_mm / cell_mm
            middle = centre + rng.uniform(-jitter, jitter, 3)
        # Beyond the region there is nothing to see.
        middle = np.clip(middle, np.minimum(first + size / 2, centre), np.maximum(last - size / 2, centre))
        return middle, size, bool(edges_mm[2] < edges_mm[0])


def _add_errors(detection: Mask, kidney: Mask, cell_mm: float, rng: Rng, errors: DetectionErrors, spills: int) -> None:
    """Add balls of false detection, in place, sometimes after a part of the detection is removed."""
    axes = [np.arange(n) for n in detection.shape]

    def ball(centre: Indices, radius_mm: float) -> Mask:
        squares = [(axis - c).astype(np.float32) ** 2 for axis, c in zip(axes, centre, strict=True)]
        reach = squares[0][:, None, None] + squares[1][:, None] + squares[2]
        return np.asarray(reach <= (radius_mm / cell_mm) ** 2)

    if kidney.any() and rng.random() < errors.missing_probability:
        places = np.argwhere(kidney)
        detection &= ~ball(places[int(rng.integers(len(places)))], rng.uniform(*errors.missing_radius_mm))
    for _ in range(spills):
        centre = np.array([rng.integers(n) for n in detection.shape])
        detection |= ball(centre, rng.uniform(*errors.spill_radius_mm))


def _one_part(region: Floats, kidney: Mask, rng: Rng, kidney_probability: float) -> Floats | None:
    """The field of one connected part, mostly the one with most kidney; elsewhere it is made negative."""
    parts, count = ndimage.label(region > 0, np.ones((3, 3, 3)))
    if count == 0:
        return None
    chosen = int(rng.integers(1, count + 1))
    if kidney.any() and rng.random() < kidney_probability:
        chosen = int(np.bincount(parts[kidney], minlength=2)[1:].argmax()) + 1
    near = ndimage.binary_dilation(parts == chosen)
    return np.where(near, region, np.float32(-FAR_MM))


def plain_stage2(crop: Crop, margin_mm: float, classes: int) -> Sample | None:
    """What inference shows of a crop's first detection (of the labels, without one); None when that is nothing."""
    low, window = coarse_box(crop, margin_mm)
    detection = (crop.detections[0] if crop.detections else crop.kidney)[window].copy()
    detection |= coarse_cells(crop.grid.labels >= TUMOUR, crop, low, detection.shape)
    if not detection.any():
        return None
    region = margin_field(detection, crop.detection_mm, margin_mm)
    kept = within(region, crop, low) & (crop.grid.hu >= LOWEST_HU)
    if not kept.any():
        return None
    level = kidney_level(crop.grid.hu[kept], on_cells(detection, crop, low)[kept])
    labels = crop.grid.labels if classes > CYST else without_cysts(crop.grid.labels)
    return as_sample(kept, crop.grid.hu, labels, level)


def cases_with_tumours(crops: Iterable[Crop]) -> frozenset[str]:
    """The cases that have tumour labels of their own."""
    return frozenset(crop.grid.case for crop in crops if (crop.grid.labels == TUMOUR).any())


def with_lesions(crop: Crop, lesions: LesionLibrary, rng: Rng) -> Crop:
    """The crop with lesions inserted once, for validation."""
    grid = crop.grid
    hu, labels, _ = insert_random_lesions(grid.hu, grid.labels, (grid.cell_mm,) * 3, lesions, rng, organs=grid.organs)
    return replace(crop, grid=replace(grid, hu=hu, labels=labels))
