"""Samples of the paper's method: boxes of the bands that inference runs, and what of them stage 2 is shown."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from kidneyseg.errors import CaseError
from kidneyseg.points.sampling import hu_histogram
from kidneyseg.settings import BandSettings
from kidneyseg.sparse import SparseUNet
from kidneyseg.training.band_clouds import BandCloud
from kidneyseg.training.band_sampler import BandSampler, around_kidneys, plain_bands, shown_to_stage2
from kidneyseg.training.batches import ANY_FOREGROUND, Sample
from kidneyseg.training.stage_recipes import OtherBands
from training_cases import band_recipe

ONE_BAND = BandSettings(100.0, 1)
NO_OTHER = OtherBands(0.0, (10.0, 30.0), (2, 6))


@dataclass(eq=False)
class Line:
    """A case whose points lie one after the other along x, 100 HU bright unless they have HU of their own."""

    labels: np.ndarray
    hu: np.ndarray | None = None
    name: str = "line"
    asked: list[int] = field(default_factory=list)

    def version(self, number: int) -> BandCloud:
        self.asked.append(number)
        cells = np.zeros((len(self.labels), 3), np.int16)
        cells[:, 0] = np.arange(len(self.labels))
        hu = np.full(len(self.labels), 100, np.int16) if self.hu is None else self.hu.astype(np.int16)
        arrays = {"cells": cells, "hu": hu, "labels": self.labels.astype(np.uint8)}
        return BandCloud.of({**arrays, "counts": hu_histogram(hu[:, None])}, self.name)


class OnTheRight(SparseUNet):
    """A stage 1 that is sure of a kidney from x = 500 on, and gives .4 elsewhere."""

    def __init__(self) -> None:
        super().__init__(3, 2, [4, 4])

    def forward(self, coords: torch.Tensor, features: torch.Tensor, spatial_size: int | None = None) -> torch.Tensor:
        kidney = torch.where(coords[:, 0] >= 500, 0.99, 0.4)
        return torch.log(torch.stack([1 - kidney, kidney], dim=1))


def line(length: int, kidney: slice) -> Line:
    labels = np.zeros(length)
    labels[kidney] = 1
    return Line(labels)


def sampler(case: Line, stage: int = 1, settings: BandSettings = ONE_BAND, **changes: object) -> BandSampler:
    plain = {"other_bands": NO_OTHER, "points": (5000, 5000)}
    return BandSampler([case], band_recipe(stage, **(plain | changes)), settings)


def drawn(made: BandSampler, count: int) -> list[Sample]:
    return [made.draw(np.random.default_rng(seed), step=seed) for seed in range(count)]


def test_the_papers_augmentation_is_used_at_its_probabilities() -> None:
    seen = drawn(sampler(line(2000, slice(100, 110))), 200)
    darker = np.array([sample.features.max() < 0.1249 for sample in seen])  # 100 HU is .125
    length = np.array([np.ptp(sample.cells[:, 0]) for sample in seen])
    scaled = np.abs(length - 1999) > 2
    kidney = np.array([sample.cells[sample.labels > 0, 0].mean() for sample in seen])
    for happened in (darker, scaled, kidney > length / 2):
        assert 0.38 < happened.mean() < 0.62
    assert length.min() > 0.79 * 1999
    assert length.max() < 1.21 * 1999
    assert {sample.features.shape[1] for sample in seen} == {3}


def test_boxes_hold_a_random_number_of_points_and_lie_on_kidneys_mostly() -> None:
    made = sampler(line(40_000, slice(1000, 1100)), points=(200, 800), scale_probability=0.0)
    seen = drawn(made, 120)
    counts = np.array([len(sample.cells) for sample in seen])
    assert 150 <= counts.min() < 250
    assert 700 < counts.max() <= 800
    assert np.median(counts) == pytest.approx(400, rel=0.2)
    assert np.mean([sample.labels.any() for sample in seen]) == pytest.approx(0.7, abs=0.12)


def test_each_band_is_shown_alike_and_others_at_their_probability() -> None:
    case = line(2000, slice(0, 2000))
    case.hu = np.repeat([250, 200, 150, 100, 50, 0, -50, -75, -100, -120], 200)
    bands = BandSettings(30.0, 3)
    shown = [set(sample.features[:, 0].round(3)) for sample in drawn(sampler(case, 1, bands, darken=(1.0, 1.0)), 150)]
    assert {len(values) for values in shown} == {1}
    counts = [sum(value in values for values in shown) for value in (0.875, 0.625, 0.375)]
    assert sum(counts) == 150
    assert min(counts) > 30
    others = OtherBands(0.5, (60.0, 60.0), (1, 1))
    shown = [
        set(sample.features[:, 0].round(3))
        for sample in drawn(sampler(case, 1, bands, darken=(1.0, 1.0), other_bands=others), 150)
    ]
    assert np.mean([len(values) == 6 for values in shown]) == pytest.approx(0.5, abs=0.12)


def test_versions_change_after_so_many_samples_and_not_all_at_once() -> None:
    cases = [line(2000, slice(0, 500)) for _ in range(4)]
    recipe = band_recipe(1, versions=3, samples_per_version=10, batch=2)
    made = BandSampler(cases, recipe, ONE_BAND)
    places = np.array([[made.version_in(slot, step) for slot in range(4)] for step in range(60)])
    assert (places[:, :, 0] == [0, 1, 2, 3]).all(), "each case has a slot of its own"
    shown = places[:, :, 1]
    assert set(shown.ravel()) == {0, 1, 2}
    changes = shown[1:] != shown[:-1]
    assert changes.sum(axis=1).max() == 1
    assert np.flatnonzero(changes[:, 0]).tolist() == [19, 39], "10 samples of 4 cases, two a step"
    for step in range(60):
        made.draw(np.random.default_rng(step), step)
    assert max(len(case.asked) for case in cases) <= 4, "each version is read once"


def test_more_cases_than_fit_into_memory_take_turns() -> None:
    cases = [line(2000, slice(0, 500)) for _ in range(5)]
    recipe = band_recipe(1, versions=2, samples_per_version=10, versions_in_memory=2, batch=1)
    made = BandSampler(cases, recipe, ONE_BAND)
    shown = [tuple(made.version_in(slot, step) for slot in range(2)) for step in range(100)]
    assert all(one[0] != two[0] for one, two in shown), "of different cases"
    everything = {version for both in shown for version in both}
    assert everything == {(place, number) for place in range(5) for number in range(2)}
    for step in range(100):
        made.draw(np.random.default_rng(step), step)
        assert len(made._versions) <= 2
    assert sum(len(case.asked) for case in cases) <= 12, "each version is read once in a turn"


def test_stage_2_is_shown_what_stage_1_detects() -> None:
    case = line(1000, slice(450, 600))
    plain = {"flip_probability": 0.0, "scale_probability": 0.0, "near_kidney_probability": 0.0}
    made = dataclasses.replace(sampler(case, 2, detection_threshold=(0.5, 0.5), **plain), detector=OnTheRight())
    sample = made.draw(np.random.default_rng(0))
    assert (len(sample.cells), int((sample.labels == 1).sum())) == (500, 100)
    assert sample.cells.min() == 0
    lower = dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, detection_threshold=(0.3, 0.3)))
    assert len(lower.draw(np.random.default_rng(0)).cells) == 1000
    near = dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, near_kidney_probability=1.0))
    for alone in (near, dataclasses.replace(made, detector=None)):
        assert 150 <= len(alone.draw(np.random.default_rng(0)).cells) <= 150 + 4 * 6


def test_samples_of_stage_2_share_a_box_for_some_steps_and_are_augmented_each() -> None:
    plain = {"flip_probability": 0.0, "scale_probability": 0.0, "near_kidney_probability": 0.0}
    case = line(40_000, slice(20_000, 20_600))
    case.hu = 200 - np.arange(40_000) // 200
    found = {"points": (2000, 2000), "detection_threshold": (0.3, 0.3), "detection_steps": 5, "darken": (0.5, 0.9)}
    made = dataclasses.replace(sampler(case, 2, **(plain | found)), detector=OnTheRight())
    features = [made.draw(np.random.default_rng(step), step).features[:, 0] for step in range(15)]
    starts = [int(round(values.max(), 3) * 1000) for values in features]
    assert len(set(starts)) > 5, "each is darkened by itself"
    undarkened = dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, darken_probability=0.0))
    shown = [undarkened.draw(np.random.default_rng(step), step).features[:, 0].tobytes() for step in range(15)]
    assert [len(set(shown[i : i + 5])) for i in (0, 5, 10)] == [1, 1, 1]
    assert len(set(shown)) == 3
    assert undarkened.draw(np.random.default_rng(9), 2).features[:, 0].tobytes() == shown[0], "as after a resume"


def test_where_lesions_are_unlabelled_stage_2_may_predict_either() -> None:
    case = line(1000, slice(452, 602))
    case.labels[500:520] = 2
    made = dataclasses.replace(sampler(case, 2), lesions_unlabelled=frozenset({"line"}))
    assert set(made.draw(np.random.default_rng(0)).labels) == {0, 2, ANY_FOREGROUND}
    assert set(sampler(case, 2).draw(np.random.default_rng(0)).labels) == {0, 1, 2}
    assert set(sampler(case, 1).draw(np.random.default_rng(0)).labels) == {0, 1}, "in stage 1 a tumour is kidney"


def test_validation_shows_every_band_as_inference_does() -> None:
    case = line(2000, slice(400, 900))
    case.hu = np.repeat([250, 200, 150, 100, 50, 0, -50, -75, -100, -120], 200)
    samples = list(plain_bands(case.version(0), BandSettings(60.0, 3), 3, 3))
    assert [len(sample.cells) for sample in samples] == [400, 400, 400]
    assert [int(sample.labels.sum()) for sample in samples] == [0, 400, 100]
    assert [sample.cells.min() for sample in samples] == [0, 0, 0]
    [box] = [around_kidneys(sample, 100) for sample in samples[2:]]
    assert len(box.cells) <= 100
    assert box.labels.sum() > 30
    [whole] = plain_bands(line(1000, slice(0, 600)).version(0), ONE_BAND, 3, 3)
    kept = shown_to_stage2(whole, OnTheRight(), 0.5)
    assert (len(kept.cells), int(kept.labels.sum())) == (500, 100)
    assert len(shown_to_stage2(whole, OnTheRight(), 0.4).cells) == 1000


def test_a_case_without_points_is_an_error_of_that_case() -> None:
    with pytest.raises(CaseError, match="line: 50 samples in a row"):
        sampler(line(10, slice(0, 0))).draw(np.random.default_rng(0))


def test_the_recipes_numbers_reach_the_sampler() -> None:
    """Every field of the recipe that a sampler reads changes some sample."""
    base = {"points": (600, 800), "other_bands": OtherBands(0.5, (20.0, 60.0), (1, 2)), "detection_steps": 1}
    settings = BandSettings(40.0, 2)

    def all_drawn(**changes: object) -> list[bytes]:
        case = line(3000, slice(500, 1000))
        case.hu = 200 - np.arange(3000) // 20
        made = dataclasses.replace(sampler(case, 2, settings, **(base | changes)), detector=OnTheRight())
        return [sample.cells.tobytes() + sample.features.tobytes() for sample in drawn(made, 20)]

    plain = all_drawn()
    for change in (
        {"points": (500, 700)},
        {"other_bands": OtherBands(1.0, (20.0, 60.0), (1, 2))},
        {"other_bands": OtherBands(0.5, (30.0, 60.0), (1, 2))},
        {"other_bands": OtherBands(0.5, (20.0, 60.0), (3, 4))},
        {"kidney_probability": 0.0},
        {"near_kidney_probability": 1.0},
        {"near_kidney_cells": 50},
        {"detection_steps": 7},
        {"detection_threshold": (0.3, 0.35)},
        {"darken_probability": 0.0},
        {"darken": (0.9, 1.0)},
        {"scale": (0.9, 1.1)},
        {"scale_probability": 0.0},
        {"flip_probability": 0.0},
    ):
        assert all_drawn(**change) != plain, change
