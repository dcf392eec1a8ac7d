"""Crops around kidneys and around what stage 1 detects falsely, in augmented versions of the case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.datasets.cases import whole_grid
from kidneyseg.points.resample import lattice_for, resample_hu
from kidneyseg.training.detections import crops, crops_of, detect
from training_cases import DETECTOR, NO_DETECTOR, ByBrightness, save_case, stage2_recipe, with_false_detection


def test_detections_lie_on_the_case(tmp_path: Path) -> None:
    grid = whole_grid(save_case(tmp_path), 4.0, tmp_path)
    plain = list(detect(grid, DETECTOR, stage2_recipe(), 0, np.random.default_rng(0)))
    assert len(plain) == 1
    assert (plain[0] == (grid.hu > 100)).all()
    changed = list(detect(grid, DETECTOR, stage2_recipe(), 4, np.random.default_rng(0)))
    assert len(changed) == 4
    assert all((one & (grid.labels > 0)).sum() > 0.9 * one.sum() for one in changed)
    assert len({one.tobytes() for one in changed}) > 1
    assert list(detect(grid, NO_DETECTOR, stage2_recipe(), 4, np.random.default_rng(0))) == []


def test_small_detections_are_removed_as_in_inference() -> None:
    volume, truth, organs = with_false_detection()
    volume.hu[12:15, 12:15, 12:14] = 150  # 0.3 mL
    made = crops_of(volume, truth, organs, stage2_recipe(), DETECTOR, count=0)
    assert not made[0].detections[0][:20, :10].any()
    assert made[0].detections[0][80:100].any()


def test_crops_show_kidneys_and_false_detections() -> None:
    volume, truth, organs = with_false_detection()
    made = crops_of(volume, truth, organs, stage2_recipe(), DETECTOR, count=0)
    true = [crop for crop in made if crop.shows_kidney]
    false = [crop for crop in made if not crop.shows_kidney]
    assert len(true) == 2
    assert not any(crop.grid.labels.any() for crop in false)
    assert any((crop.grid.hu > 100).any() for crop in false), "the false detection"
    there = resample_hu(volume, lattice_for(volume, 2.0))
    labelled: set[tuple[int, ...]] = set()
    for crop in made:
        box = tuple(slice(a, a + n) for a, n in zip(crop.corner, crop.grid.hu.shape, strict=True))
        assert (there[box] == crop.grid.hu).all()
        labelled |= set(map(tuple, np.argwhere(crop.grid.labels > 0) + crop.corner))
    assert len(labelled) * 8 == pytest.approx((truth > 0).sum() * 16, rel=0.1)


def test_crops_are_cached_by_network_and_recipe(tmp_path: Path) -> None:
    case, recipe = save_case(tmp_path), stage2_recipe()

    def files() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}

    first = crops(case, recipe, DETECTOR, tmp_path, count=2)
    made = files()
    again = crops(case, recipe, DETECTOR, tmp_path, count=2)
    assert files() == made
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.grid.hu, other.grid.hu)
        assert np.array_equal(one.grid.labels, other.grid.labels)
        assert np.array_equal(one.corner, other.corner)
        assert np.array_equal(one.kidney, other.kidney)
        assert np.array_equal(one.detections, other.detections)
        assert (one.detection_mm, one.grid.case) == (other.detection_mm, other.grid.case) == (4.0, "a")
    assert len(first[0].detections) == 2
    assert crops(case, recipe, NO_DETECTOR, tmp_path, count=2)[0].detections == []
    other_network = ByBrightness(100.0)
    for weight in other_network.parameters():
        weight.data += 1
    jitter = replace(recipe.detection_cts, kept_percent_jitter=5.0)
    for count, (how, detector) in enumerate(
        (
            (recipe, replace(DETECTOR, network=other_network)),
            (recipe, replace(DETECTOR, kept_percent=60.0)),
            (replace(recipe, detection_cts=jitter), DETECTOR),
            (replace(recipe, intensity=()), DETECTOR),
        ),
        start=len(files()) + 1,
    ):
        crops(case, how, detector, tmp_path, count=2)
        assert len([name for name in files() if "crops" in name]) == count - len(made) + 1


def test_as_many_versions_as_the_recipe_says(tmp_path: Path) -> None:
    recipe = stage2_recipe(detection_cts=replace(stage2_recipe().detection_cts, count=3))
    assert len(crops(save_case(tmp_path), recipe, DETECTOR, tmp_path)[0].detections) == 3
