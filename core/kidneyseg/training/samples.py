"""What each stage's network is trained on: what inference will show it, drawn from prepared scenes.

Stage 1 sees the brightest cells inside the body of a whole CT; stage 2 the plausible cells near an imperfect find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.points.body import body_mask_on
from kidneyseg.points.features import hu_features
from kidneyseg.points.sampling import LOWEST_HU, intensity_threshold
from kidneyseg.settings import RefineSettings, SamplingSettings
from kidneyseg.training.augment import SpatialRange, random_affine, random_field_of_view, scanner, warp
from kidneyseg.training.batches import Sample, about
from kidneyseg.training.dataset import Scene
from kidneyseg.training.lesions import LesionLibrary, OrganWeights, insert_random_lesions, retint_organs

# Patients differ more in size than one kidney does in tilt.
_WHOLE = SpatialRange(scale=(0.8, 1.25), stretch=0.1)
_KIDNEY = SpatialRange(rotate_deg=(12.0, 12.0, 18.0))


@dataclass(frozen=True, eq=False)
class Stage1Sampler:
    """Whole CTs on the coarse lattice: tissue or kidney (tumour counts as kidney).

    Attributes:
        scenes: whole CTs from `dataset.whole_scene`.
        settings: the preset's sampling; the kept share is jittered around it.
        lesions: shapes to insert, or None for cases that have their own tumour labels.
    """

    scenes: Sequence[Scene]
    settings: SamplingSettings
    lesions: LesionLibrary | None = None

    def draw(self, rng: np.random.Generator) -> Sample:
        """One augmented CT as points. Raises CaseError when the case cannot be made into one."""
        scene = self.scenes[int(rng.integers(len(self.scenes)))]
        with about(scene.case):
            return self._augmented(scene, rng).of(scene.case)

    def _augmented(self, scene: Scene, rng: np.random.Generator) -> Sample:
        hu, labels = _changed_patient(scene, self.lesions, rng, retint=0.7, insert=0.5)
        hu, labels = warp(hu, labels, random_affine(rng, _WHOLE), outside_hu=-125.0)
        if rng.random() < 0.9:
            box = random_field_of_view(hu.shape, rng)
            hu, labels = hu[box], labels[box]
        grey = scanner(hu, scene.cell_mm, rng).round().astype(np.int16)
        body = body_mask_on(grey)
        kept_percent = float(np.clip(self.settings.kept_percent + rng.uniform(-15, 15), 1, 100))
        kept = body & (grey >= max(intensity_threshold(grey, body, kept_percent), LOWEST_HU))
        if kept.sum() < 100:
            return self.draw(rng)
        return as_sample(kept, grey, np.minimum(labels, 1))


@dataclass(frozen=True, eq=False)
class Stage2Sampler:
    """One kidney's surroundings on the fine lattice: tissue, kidney or tumour.

    Attributes:
        scenes: kidneys from `dataset.kidney_scenes`.
        settings: the preset's margin around stage 1's find.
        lesions: as in `Stage1Sampler`.
    """

    scenes: Sequence[Scene]
    settings: RefineSettings
    lesions: LesionLibrary | None = None

    def draw(self, rng: np.random.Generator) -> Sample:
        """One augmented kidney as points. Raises CaseError when the case cannot be made into one."""
        scene = self.scenes[int(rng.integers(len(self.scenes)))]
        with about(scene.case):
            return self._augmented(scene, rng).of(scene.case)

    def _augmented(self, scene: Scene, rng: np.random.Generator) -> Sample:
        hu, labels = _changed_patient(scene, self.lesions, rng, retint=0.6, insert=0.5)
        hu, labels = warp(hu, labels, random_affine(rng, _KIDNEY), outside_hu=-125.0)
        if rng.random() < 0.5:
            box = random_field_of_view(hu.shape, rng, smallest=0.6)
            hu, labels = hu[box], labels[box]
        grey = scanner(hu, scene.cell_mm, rng).round().astype(np.int16)
        kept = imperfect_find(labels > 0, scene.cell_mm, self.settings.margin_mm, rng)
        kept &= grey >= rng.uniform(LOWEST_HU, -40)
        if kept.sum() < 100:
            return self.draw(rng)
        return as_sample(kept, grey, labels)


def as_sample(kept: NDArray[np.bool_], hu: NDArray[np.int16], labels: NDArray[np.uint8], channels: int = 1) -> Sample:
    """The kept cells of a dense lattice as a sample, rows in lexicographic order."""
    return Sample(np.argwhere(kept), hu_features(hu[kept], channels), labels[kept])


def imperfect_find(
    kidney: NDArray[np.bool_], cell_mm: float, margin_mm: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Cells that stage 2 would be shown if stage 1 had found `kidney` with errors of some millimetres.

    The margin wavers smoothly by a few mm, and most finds spill into what lies beside the kidney: liver, spleen, bowel,
    muscle. Without those stage 2 never learns to refuse them.
    """
    if not kidney.any():
        distance = np.full(kidney.shape, np.inf, np.float32)
    else:
        coarse = _halved(kidney)
        outside = ndimage.distance_transform_edt(~coarse, sampling=2 * cell_mm).astype(np.float32)
        distance = _doubled(outside, kidney.shape)
    knots = rng.standard_normal([max(2, round(n * cell_mm / 25)) for n in kidney.shape])
    waver = _stretched(knots.astype(np.float32), kidney.shape) * rng.uniform(0, 5)
    found = distance + waver <= margin_mm + rng.uniform(-4, 6)
    for _ in range(int(rng.integers(0, 5))):
        centre = [rng.integers(n) for n in kidney.shape]
        radius = rng.uniform(8, 28) / cell_mm
        axes = np.ogrid[tuple(slice(-c, n - c) for c, n in zip(centre, kidney.shape, strict=True))]
        found |= sum(a.astype(np.float32) ** 2 for a in axes) <= radius**2
    return np.asarray(found)


def _halved(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, [(0, n % 2) for n in mask.shape])
    x, y, z = (n // 2 for n in padded.shape)
    return np.asarray(padded.reshape(x, 2, y, 2, z, 2).any(axis=(1, 3, 5)))


def _doubled(field: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    for axis in range(3):
        field = field.repeat(2, axis)
    return field[tuple(slice(n) for n in shape)]


def _stretched(field: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A coarse field interpolated linearly to `shape`, one axis after the other."""
    for axis, size in enumerate(shape):
        position = np.linspace(0, field.shape[axis] - 1, size)
        before = np.minimum(position.astype(int), field.shape[axis] - 2)
        share = (position - before).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        field = field.take(before, axis) * (1 - share) + field.take(before + 1, axis) * share
    return field


def _changed_patient(
    scene: Scene, lesions: LesionLibrary | None, rng: np.random.Generator, *, retint: float, insert: float
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Another contrast phase, with the chance `retint`; other lesions, with the chance `insert`."""
    hu, labels = scene.hu, scene.labels
    if rng.random() < retint and scene.organs.any():
        hu = retint_organs(hu, scene.organs, scene.cell_mm, rng, weights=_organ_weights(scene))
    if lesions is not None and rng.random() < insert:
        hu, labels = insert_random_lesions(hu, labels, (scene.cell_mm,) * 3, lesions, rng, organs=scene.organs)[:2]
    return hu.astype(np.float32), labels


@cache
def _organ_weights(scene: Scene) -> OrganWeights:
    return OrganWeights.build(scene.hu, scene.organs, scene.cell_mm)


def plain_stage1(scene: Scene, settings: SamplingSettings) -> Sample:
    """A scene as inference would sample it, without augmentation: for validation."""
    body = body_mask_on(scene.hu)
    kept = body & (scene.hu >= max(intensity_threshold(scene.hu, body, settings.kept_percent), LOWEST_HU))
    return as_sample(kept, scene.hu, np.minimum(scene.labels, 1))


def plain_stage2(scene: Scene, settings: RefineSettings) -> Sample:
    """A kidney scene with the true find's margin, without augmentation: for validation."""
    distance = ndimage.distance_transform_edt(scene.labels == 0, sampling=scene.cell_mm)
    return as_sample((distance <= settings.margin_mm) & (scene.hu >= -60), scene.hu, scene.labels)


def with_lesions(scene: Scene, lesions: LesionLibrary, rng: np.random.Generator) -> Scene:
    """The scene with lesions inserted once, for validation."""
    hu, labels = insert_random_lesions(scene.hu, scene.labels, (scene.cell_mm,) * 3, lesions, rng, organs=scene.organs)[
        :2
    ]
    return replace(scene, hu=hu, labels=labels)
