"""What each stage's network is trained on: what inference will show it, drawn from prepared scenes.

Stage 1 sees the brightest cells inside the body of a whole CT; stage 2 the plausible cells near an imperfect find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kidneyseg.datasets.cases import LabelledGrid, error_context
from kidneyseg.points.body import body_mask_on
from kidneyseg.points.cloud import TUMOUR
from kidneyseg.points.features import hu_features, stage2_features
from kidneyseg.points.sampling import LOWEST_HU, intensity_threshold
from kidneyseg.settings import SamplingSettings
from kidneyseg.synthesis.fat import FatRoom
from kidneyseg.synthesis.insertion import (
    LesionLibrary,
    OrganWeights,
    find_hosts,
    insert_random_lesions,
    simulate_contrast_phase,
    vary_cortex,
)
from kidneyseg.synthesis.organs import KIDNEYS, organ_mask
from kidneyseg.synthesis.placement import Host
from kidneyseg.synthesis.pseudotumours import insert_pseudotumour
from kidneyseg.training.augmentation import SpatialRange, random_affine, random_field_of_view, scanner, warp
from kidneyseg.training.batches import Sample

# Patients differ more in size than one kidney does in tilt.
_WHOLE = SpatialRange(scale=(0.8, 1.25), stretch=0.1)
# Of a field of view on stage 1's lattice: more learning from more steps than from larger ones.
_MOST_CELLS = 100_000
# How often a patient is given more fat around and inside the kidneys.
_MORE_FAT = 0.3


@dataclass(frozen=True, eq=False)
class Stage1Sampler:
    """Whole CTs on the coarse lattice: tissue or kidney (tumour counts as kidney).

    Attributes:
        scenes: whole CTs from `dataset.whole_grid`.
        settings: the preset's sampling; the kept share is jittered around it.
        lesions: shapes to insert into cases without tumour labels; None inserts none.
    """

    scenes: Sequence[LabelledGrid]
    settings: SamplingSettings
    lesions: LesionLibrary | None = None

    def draw(self, rng: np.random.Generator, step: int = 0) -> Sample:
        """One augmented CT as points. Raises CaseError when the case cannot be made into one."""
        scene = self.scenes[int(rng.integers(len(self.scenes)))]
        with error_context(scene.case):
            return self._augmented(scene, rng).of(scene.case)

    def _augmented(self, scene: LabelledGrid, rng: np.random.Generator) -> Sample:
        lesions = None if (scene.labels == TUMOUR).any() else self.lesions
        hu, labels = changed_patient(scene, lesions, rng, retint=0.8, insert=0.5)
        box = random_field_of_view(hu.shape, rng, most_cells=_MOST_CELLS)
        body = body_mask_on(scene.hu) if scene.body is None else scene.body
        # One field for both: to look a cell up costs more than to take its label apart.
        both = np.minimum(labels, 1) + 2 * body.astype(np.uint8)
        moved, both = warp(hu, both, random_affine(rng, _WHOLE), outside_hu=-125.0, box=box)
        grey = scanner(moved, scene.cell_mm, rng).round().astype(np.int16)
        kept_percent = float(np.clip(self.settings.kept_percent + rng.uniform(-15, 15), 1, 100))
        kept = both >= 2
        kept &= grey >= max(intensity_threshold(grey, kept, kept_percent), LOWEST_HU)
        if kept.sum() < 100:
            return self.draw(rng)
        return as_sample(kept, grey, both % np.uint8(2))


def as_sample(
    kept: NDArray[np.bool_], hu: NDArray[np.int16], labels: NDArray[np.uint8], level: float | None = None
) -> Sample:
    """The kept cells of a dense lattice as a sample, rows in lexicographic order; with a kidney's level for stage 2."""
    grey = hu[kept]
    features = hu_features(grey, 1) if level is None else stage2_features(grey, level, 2)
    return Sample(np.argwhere(kept), features, labels[kept])


def changed_patient(
    scene: LabelledGrid,
    lesions: LesionLibrary | None,
    rng: np.random.Generator,
    *,
    retint: float,
    insert: float,
    vary: float = 0.0,
    bulge: float = 0.0,
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Another patient: each change but more fat with its own chance.

    `vary` changes what cortex and medulla differ by, `retint` shows another contrast phase, `insert` puts lesions in,
    `bulge` makes a kidney thicker in a place before.
    """
    hu, labels = scene.hu, scene.labels
    if scene.organs.any():
        weights = _organ_weights(scene)
        if vary and rng.random() < vary:
            hu, weights = vary_cortex(hu, weights, rng)
        if rng.random() < retint:
            hu = simulate_contrast_phase(hu, scene.organs, scene.cell_mm, rng, weights=weights)
    if rng.random() < _MORE_FAT and (room := _fat_room(scene)) is not None:
        hu, labels = room.fill(hu, labels, rng)
    spacing = (scene.cell_mm,) * 3
    if lesions is not None and bulge and rng.random() < bulge:
        hu, labels = insert_pseudotumour(hu, labels, spacing, lesions, rng, hosts=_hosts(scene))
    if lesions is not None and rng.random() < insert:
        hu, labels, _ = insert_random_lesions(hu, labels, spacing, lesions, rng, hosts=_hosts(scene))
    return hu, labels


@cache
def _organ_weights(scene: LabelledGrid) -> OrganWeights:
    return OrganWeights.build(scene.hu, scene.organs, scene.cell_mm)


@cache
def _fat_room(scene: LabelledGrid) -> FatRoom | None:
    if not organ_mask(scene.organs, KIDNEYS).any():
        return None
    weights = _organ_weights(scene)
    return FatRoom.of(scene.organs, weights.soft, weights.spacing)


@cache
def _hosts(scene: LabelledGrid) -> list[Host]:
    organs = scene.organs if scene.organs.any() else None
    return find_hosts(scene.hu, scene.labels, np.full(3, scene.cell_mm), organs)


def plain_stage1(scene: LabelledGrid, settings: SamplingSettings) -> Sample:
    """A scene as inference would sample it, without augmentation: for validation."""
    body = body_mask_on(scene.hu)
    kept = body & (scene.hu >= max(intensity_threshold(scene.hu, body, settings.kept_percent), LOWEST_HU))
    return as_sample(kept, scene.hu, np.minimum(scene.labels, 1))
