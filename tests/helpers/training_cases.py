"""Recipes, procedural cases and a stand-in for stage 1's network, for tests of what networks are trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kidneyseg.datasets.cases import CaseFiles, LabelledGrid, find_cases, whole_grid_of
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.sparse import SparseUNet
from kidneyseg.training.augmentation import Augmentation
from kidneyseg.training.detections import Detector
from kidneyseg.training.recipe import load_recipe
from kidneyseg.training.stage_recipes import BandRecipe, DetectionRecipe, WholeCTRecipe
from volumes import abdomen


def stage1_recipe(**changes: Any) -> WholeCTRecipe:
    """The default method's, on cells of 4 mm."""
    recipe = load_recipe("default").stage("stage1")
    assert isinstance(recipe, WholeCTRecipe)
    return replace(recipe, **{"grid_mm": 4.0, **changes})


def stage2_recipe(**changes: Any) -> DetectionRecipe:
    """The default method's, on cells of 2 mm."""
    recipe = load_recipe("default").stage("stage2")
    assert isinstance(recipe, DetectionRecipe)
    return replace(recipe, **changes)


def band_recipe(stage: int = 2, **changes: Any) -> BandRecipe:
    """The paper's."""
    recipe = load_recipe("paper").stage(f"stage{stage}")
    assert isinstance(recipe, BandRecipe)
    return replace(recipe, **changes)


def only(augmentations: tuple[Augmentation, ...], *names: str) -> tuple[Augmentation, ...]:
    """These of the augmentations, with probability 1."""
    return tuple(replace(one, probability=1.0) for one in augmentations if one.name in names)


class ByBrightness(SparseUNet):
    """Detects a kidney wherever HU are above a threshold."""

    def __init__(self, above: float) -> None:
        super().__init__(1, 2, [4, 4])
        self.above = (above - 75.0) / 200.0

    def forward(self, coords: torch.Tensor, features: torch.Tensor, spatial_size: int | None = None) -> torch.Tensor:
        return torch.cat([torch.full_like(features, self.above), features], dim=1)


DETECTOR = Detector(ByBrightness(100.0), 4.0, 50.0)
NO_DETECTOR = Detector(None, 4.0, 50.0)


def save_case(folder: Path, name: str = "a", *, tumour: bool = True) -> CaseFiles:
    """`volumes.abdomen` in the flat layout; without `tumour` its tumour is labelled kidney."""
    volume, truth = abdomen()
    save_volume(volume, folder / f"{name}_ct.nii.gz")
    save_mask(truth if tumour else np.minimum(truth, 1), volume, folder / f"{name}_kidney.nii.gz")
    return next(case for case in find_cases(folder) if case.name == name)


def with_false_detection(*, tumour: bool = True) -> tuple[Volume, NDArray[np.uint8], NDArray[np.uint8]]:
    """CT, labels and organ map of two kidneys and, far away, something as bright that is none."""
    volume, _ = abdomen((200, 80, 30))
    truth = np.zeros(volume.shape, np.uint8, order="F")
    truth[volume.hu == 150] = 1
    truth[volume.hu == 250] = 2
    organs = np.where(truth > 0, np.uint8(2), np.uint8(0))
    volume.hu[180:188, 20:60, 5:25] = 150
    return volume, truth if tumour else np.minimum(truth, 1), organs


def whole_ct(*, organs: bool = True, tumour: bool = False) -> LabelledGrid:
    """`with_false_detection` on cells of 4 mm."""
    volume, truth, organ_map = with_false_detection(tumour=tumour)
    return replace(whole_grid_of(volume, truth, organ_map if organs else None, 4.0), case="made")
