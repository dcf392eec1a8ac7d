"""Cells become samples; samples that show too little are drawn again, but not for ever."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.errors import CaseError
from kidneyseg.training.batches import as_sample, first_usable


def test_kept_cells_are_rows_in_lexicographic_order() -> None:
    kept = np.zeros((2, 2, 3), bool)
    kept[1, 0, 2] = kept[0, 1, 1] = kept[0, 1, 0] = True
    hu = np.arange(12, dtype=np.int16).reshape(kept.shape) * 10
    sample = as_sample(kept, hu, np.full(kept.shape, 2, np.uint8))
    assert sample.cells.tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 2]]
    assert sample.features.shape == (3, 1)
    assert sample.labels.tolist() == [2, 2, 2]
    relative = as_sample(kept, hu, np.zeros(kept.shape, np.uint8), level=40.0).features[:, 1]
    assert relative[0] == pytest.approx((30 - 40) / 80)


def test_a_case_that_shows_nothing_is_named_after_some_draws() -> None:
    draws = []

    def draw() -> tuple[str, None]:
        draws.append(1)
        return "air", None

    with pytest.raises(CaseError, match="air: 7 samples in a row show too little tissue; check this CT"):
        first_usable(draw, tries=7)
    assert len(draws) == 7


def test_the_sample_gets_the_name_of_its_own_case() -> None:
    whole = as_sample(np.ones((1, 1, 1), bool), np.zeros((1, 1, 1), np.int16), np.zeros((1, 1, 1), np.uint8))
    drawn = iter([("air", None), ("b", whole)])
    assert first_usable(lambda: next(drawn)).case == "b"
