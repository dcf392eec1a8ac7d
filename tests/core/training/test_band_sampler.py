"""Samples of the paper's method: the bands that inference runs, in boxes."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.errors import CaseError
from kidneyseg.settings import BandSettings
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training.band_sampler import BandClouds, BandSampler, band_cases, plain_band
from training_cases import band_recipe, save_case


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> list[BandClouds]:
    folder = tmp_path_factory.mktemp("data")
    case = save_case(folder, tumour=False)
    return band_cases(case, BandSettings(kept_percent=10.0, bands=3), folder, 0, LesionLibrary.procedural(5))


def test_bands_are_what_inference_runs(variants: list[BandClouds]) -> None:
    plain, changed = variants
    assert sum(len(cells) for cells, _, _ in plain.bands) >= 0.1 * 100 * 80 * 30
    brightness = [(hu.min(), hu.max()) for _, hu, _ in plain.bands if len(hu)]
    assert all(above[0] > below[1] for above, below in pairwise(brightness))
    assert max(labels.max(initial=0) for _, _, labels in plain.bands) == 1
    assert max(labels.max(initial=0) for _, _, labels in changed.bands) == 2, "with inserted lesions"
    for stage in (1, 2):
        recipe = band_recipe(stage)
        sample = BandSampler(variants, recipe).draw(np.random.default_rng(0))
        assert sample.features.shape == (len(sample.cells), 3)
        assert sample.labels.max() <= stage
        assert plain_band(plain, recipe).labels.max(initial=0) <= stage


def test_cases_with_tumour_labels_get_no_lesions(tmp_path: Path) -> None:
    case = save_case(tmp_path, tumour=True)
    assert len(band_cases(case, BandSettings(), tmp_path, 0, LesionLibrary.procedural(5))) == 1


def cloud(labels: np.ndarray) -> BandClouds:
    """A line of points 100 HU bright, one after the other along x."""
    cells = np.zeros((len(labels), 3), np.int16)
    cells[:, 0] = np.arange(len(labels))
    return BandClouds([(cells, np.full(len(labels), 100, np.int16), labels.astype(np.uint8))], "line")


def test_the_papers_augmentation_is_used_at_its_probabilities() -> None:
    labels = np.zeros(2000)
    labels[100:110] = 1
    sampler = BandSampler([cloud(labels)], band_recipe(2, near_kidney_probability=0.0))
    seen = [sampler.draw(np.random.default_rng(seed)) for seed in range(200)]
    darker = np.array([sample.features.max() < 0.1249 for sample in seen])  # 100 HU is .125
    length = np.array([np.ptp(sample.cells[:, 0]) for sample in seen])
    scaled = np.abs(length - 1999) > 2
    flipped = np.array([np.flatnonzero(sample.labels)[0] for sample in seen]) >= 0
    flipped &= np.array(
        [sample.cells[np.flatnonzero(sample.labels)[0], 0] > np.ptp(sample.cells[:, 0]) / 2 for sample in seen]
    )
    for happened in (darker, scaled, flipped):
        assert 0.38 < happened.mean() < 0.62
    assert length.min() > 0.79 * 1999
    assert length.max() < 1.21 * 1999


def test_stage_2_sees_the_surroundings_of_kidneys_half_of_the_time() -> None:
    labels = np.zeros(4000)
    labels[1000:1400] = 1
    for stage, expected in ((1, 0.0), (2, 0.5)):
        sampler = BandSampler([cloud(labels)], band_recipe(stage, scale_probability=0.0))
        near = [len(sampler.draw(np.random.default_rng(seed)).cells) < 500 for seed in range(200)]
        assert np.mean(near) == pytest.approx(expected, abs=0.11)


def test_boxes_hold_a_bounded_number_of_points_and_lie_on_kidneys_mostly() -> None:
    labels = np.zeros(40_000)
    labels[1000:1100] = 1
    recipe = band_recipe(1, max_points=500, scale_probability=0.0)
    seen = [BandSampler([cloud(labels)], recipe).draw(np.random.default_rng(seed)) for seed in range(120)]
    assert max(len(sample.cells) for sample in seen) <= 500
    assert np.mean([sample.labels.any() for sample in seen]) == pytest.approx(0.7, abs=0.12)


def test_a_case_without_points_is_an_error_of_that_case() -> None:
    with pytest.raises(CaseError, match="line: 50 samples in a row"):
        BandSampler([cloud(np.zeros(10))], band_recipe(1)).draw(np.random.default_rng(0))


def test_the_recipes_numbers_reach_the_sampler() -> None:
    """Every field of the recipe that a sampler reads changes some sample."""
    labels = np.zeros(3000)
    labels[500:1000] = 1
    base = band_recipe(2, max_points=800)

    def drawn(**changes: object) -> list[bytes]:
        sampler = BandSampler([cloud(labels)], dataclasses.replace(base, **changes))
        return [sampler.draw(np.random.default_rng(seed)).cells.tobytes() for seed in range(20)]

    plain = drawn()
    for change in (
        {"max_points": 700},
        {"kidney_probability": 0.0},
        {"near_kidney_probability": 1.0},
        {"detection_reach_cells": 50},
        {"darken_probability": 0.0},
        {"scale": (0.9, 1.1)},
        {"scale_probability": 0.0},
        {"flip_probability": 0.0},
    ):
        assert drawn(**change) != plain, change
