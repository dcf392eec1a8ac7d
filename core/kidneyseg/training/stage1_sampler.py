"""Training samples of stage 1: the brightest cells inside the body, in fields of view of whole CTs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np

from kidneyseg.arrays import Rng
from kidneyseg.datasets.cases import LabelledGrid, error_context
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.imaging.volume import HU_WINDOW
from kidneyseg.points.body import body_mask_on
from kidneyseg.points.sampling import kept_inside
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.subject import GridAnatomy, Subject
from kidneyseg.training.augmentation import augmented
from kidneyseg.training.batches import MAX_ANATOMIES, MIN_POINTS, Sample, as_sample, first_usable
from kidneyseg.training.intensity import Scan, simulate_scanner
from kidneyseg.training.spatial import warp
from kidneyseg.training.stage_recipes import WholeCTRecipe


@dataclass(frozen=True, eq=False)
class Stage1Sampler:
    """Whole CTs on the coarse grid: tissue or kidney (tumour counts as kidney)."""

    grids: Sequence[LabelledGrid]  #: whole CTs from `datasets.cases.whole_grid`
    recipe: WholeCTRecipe  #: of the stage
    kept_percent: float  #: the share of cells that inference keeps, in percent
    lesions: LesionLibrary | None = None  #: shapes to insert into cases without tumour labels; None inserts none

    def draw(self, rng: Rng, step: int = 0) -> Sample:
        """One augmented CT as points. Raises CaseError when the case cannot be made into one."""
        return first_usable(partial(self._draw, rng))

    @cached_property
    def _anatomy_of(self) -> Callable[[LabelledGrid], GridAnatomy]:
        return lru_cache(MAX_ANATOMIES)(GridAnatomy)

    def _draw(self, rng: Rng) -> tuple[str, Sample | None]:
        grid = self.grids[int(rng.integers(len(self.grids)))]
        with error_context(grid.case):
            return grid.case, self._augmented(grid, rng)

    def _augmented(self, grid: LabelledGrid, rng: Rng) -> Sample | None:
        recipe = self.recipe
        lesions = None if (grid.labels == TUMOUR).any() else self.lesions
        subject = augmented(Subject.of(self._anatomy_of(grid), lesions), recipe.anatomy, rng)
        box = recipe.field_of_view.draw(grid.hu.shape, rng)
        body = body_mask_on(grid.hu) if grid.body is None else grid.body
        # Kidney and body share one array: resampling costs more than separating them again.
        both = np.minimum(subject.labels, 1) + 2 * body.astype(np.uint8)
        moved, both = warp(subject.hu, both, recipe.affine.draw(rng), outside_hu=HU_WINDOW[0], box=box)
        scan = simulate_scanner(Scan(moved, grid.cell_mm), recipe.intensity, rng)
        grey = scan.hu.round().astype(np.int16)
        jitter = recipe.kept_percent_jitter
        kept_percent = float(np.clip(self.kept_percent + rng.uniform(-jitter, jitter), 1, 100))
        kept = kept_inside(grey, both >= 2, kept_percent)
        return as_sample(kept, grey, both % np.uint8(2)) if kept.sum() >= MIN_POINTS else None


def plain_stage1(grid: LabelledGrid, kept_percent: float) -> Sample:
    """A grid as inference samples it, without augmentation: for validation."""
    kept = kept_inside(grid.hu, body_mask_on(grid.hu), kept_percent)
    return as_sample(kept, grid.hu, np.minimum(grid.labels, 1))
