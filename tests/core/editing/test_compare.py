"""Two masks over one CT, against the plain definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kidneyseg import metrics
from kidneyseg.editing.compare import ONLY_A, ONLY_B, OTHER_LABEL, SAME, Comparison, compare
from kidneyseg.imaging.volume import Volume

SHAPE = (12, 10, 9)
VOLUME = Volume(np.zeros(SHAPE, np.int16, order="F"), (1.0, 2.0, 5.0), np.diag([1.0, 2.0, 5.0, 1.0]))
LABELS = {"kidney": (1,), "tumour": (2,), "cyst": (3,), "kidney_and_masses": (1, 2, 3)}


def two_masks(seed: int, order: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Random labels in boxes that overlap."""
    rng = np.random.default_rng(seed)
    masks = [np.zeros(SHAPE, np.uint8, order=order) for _ in range(2)]
    masks[0][2:8, 1:7, 3:8] = rng.integers(0, 4, (6, 6, 5))
    masks[1][4:11, 3:9, 2:6] = rng.integers(0, 4, (7, 6, 4))
    return masks[0], masks[1]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("seed", range(3))
def test_figures_and_difference_are_those_of_the_definitions(seed: int, order: str) -> None:
    a, b = two_masks(seed, order)
    found = compare(a, b, VOLUME)
    for name, labels in LABELS.items():
        inside = np.isin(a, labels), np.isin(b, labels)
        assert found.dice[name] == pytest.approx(metrics.dice(*inside))
        assert (found.ml_a[name], found.ml_b[name]) == pytest.approx([one.sum() * 0.01 for one in inside])
    assert found.dice["kidney_and_masses"] == metrics.kits23_dice(a, b)["kidney_and_masses"]
    expected = np.select([a == b, b == 0, a == 0], [SAME, ONLY_A, ONLY_B], OTHER_LABEL)
    np.testing.assert_array_equal(found.difference, expected)
    assert found.difference.dtype == np.uint8
    assert found.difference.flags.f_contiguous


def test_the_order_of_the_masks_is_that_of_the_answer() -> None:
    a, b = two_masks(0, "F")
    one, other = compare(a, b, VOLUME), compare(b, a, VOLUME)
    assert (one.ml_a, one.ml_b, one.dice) == (other.ml_b, other.ml_a, other.dice)
    np.testing.assert_array_equal(one.difference == ONLY_A, other.difference == ONLY_B)


def figures(found: Comparison) -> list[float]:
    return [found.dice["tumour"], found.ml_a["tumour"], found.ml_b["tumour"]]


def test_what_neither_has_agrees_and_what_one_has_does_not() -> None:
    none = np.zeros(SHAPE, np.uint8)
    some = none.copy()
    some[3, 3, 3] = 2
    assert figures(compare(none, none, VOLUME)) == [1.0, 0.0, 0.0]
    assert figures(compare(some, none, VOLUME)) == [0.0, 0.01, 0.0]
    assert figures(compare(some, some, VOLUME)) == [1.0, 0.01, 0.01]


def test_masks_of_another_grid_are_refused() -> None:
    a, b = two_masks(0, "F")
    with pytest.raises(ValueError, match="shape"):
        compare(a, b[:-1], VOLUME)
