"""A labelled CT while augmentations change it, and what they need to know about the unchanged CT."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kidneyseg.arrays import HU, Labels, Mask, Range, Spacing
from kidneyseg.datasets.cases import LabelledGrid, LabelledVoxels
from kidneyseg.synthesis.fat import FatRegions
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.organs import KIDNEYS, OrganWeights, organ_mask
from kidneyseg.synthesis.placement import Host, find_hosts
from kidneyseg.synthesis.transplant_sites import TransplantSite, find_sites


class GridAnatomy:
    """The anatomy of an unchanged CT; each part is computed on first use and kept."""

    def __init__(self, grid: LabelledGrid | LabelledVoxels) -> None:
        self.grid = grid
        self._fat: dict[Range, FatRegions] = {}

    @cached_property
    def has_organs(self) -> bool:
        """Whether the CT has an organ map."""
        return bool(self.grid.organs.any())

    @cached_property
    def weights(self) -> OrganWeights:
        """Soft masks of the organs."""
        return OrganWeights.build(self.grid.hu, self.grid.organs, self.grid.spacing_mm)

    @cached_property
    def hosts(self) -> list[Host]:
        """The kidneys that lesions can be put on."""
        grid = self.grid
        return find_hosts(grid.hu, grid.labels, np.array(grid.spacing_mm), grid.organs)

    @cached_property
    def sites(self) -> list[TransplantSite]:
        """The kidneys that others can take the place of."""
        grid = self.grid
        return find_sites(grid.hu, grid.labels, grid.organs, np.array(grid.spacing_mm))

    def fat_regions(self, reach_mm: float, depth_mm: float) -> FatRegions | None:
        """Where the kidneys could have more fat, as `FatRegions.build` takes it; None where the organ map has none."""
        if not organ_mask(self.grid.organs, KIDNEYS).any():
            return None
        if (reach_mm, depth_mm) not in self._fat:
            weights = self.weights
            self._fat[reach_mm, depth_mm] = FatRegions.build(
                self.grid.organs, weights.soft, weights.spacing, reach_mm=reach_mm, depth_mm=depth_mm
            )
        return self._fat[reach_mm, depth_mm]


@dataclass(frozen=True, eq=False)
class Subject:
    """A labelled CT while augmentations change it: each makes a changed copy."""

    hu: HU  #: int16 (X, Y, Z)
    labels: Labels  #: uint8 (X, Y, Z) of TISSUE, KIDNEY, TUMOUR, CYST
    anatomy: GridAnatomy  #: of the unchanged CT, or of the CT whose kidney was replaced
    #: soft masks of the organs as `hu` shows them; None without an organ map, and once a kidney was replaced
    weights: OrganWeights | None
    lesions: LesionLibrary | None  #: shapes that may be inserted; None where none may
    extrarenal: Mask | None = None  #: bool (X, Y, Z), a mass beside a kidney that was inserted; its labels are TISSUE

    @classmethod
    def of(cls, anatomy: GridAnatomy, lesions: LesionLibrary | None = None) -> Subject:
        """The unchanged CT."""
        grid = anatomy.grid
        return cls(grid.hu, grid.labels, anatomy, anatomy.weights if anatomy.has_organs else None, lesions)

    @property
    def spacing_mm(self) -> Spacing:
        """Edge lengths of the cells or voxels."""
        return self.anatomy.grid.spacing_mm
