"""Batches: reproducible whoever draws them."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.datasets.cases import error_context
from kidneyseg.errors import CaseError
from kidneyseg.training.batches import Loader, Sample, as_sample, first_usable


class Fragile:
    """Fails for one in three samples, which one following from the chance it is given."""

    def draw(self, rng: np.random.Generator, step: int = 0) -> Sample:
        value = float(rng.random())
        with error_context(f"case_{value:.3f}"):
            if value < 0.33:
                raise MemoryError
        return Sample(np.zeros((1, 3), np.int64), np.full((1, 1), value, np.float32), np.zeros(1, np.uint8))


def test_batches_do_not_depend_on_who_draws_them(caplog: pytest.LogCaptureFixture) -> None:
    def values(loader: Loader, first: int = 0) -> list[list[float]]:
        return [batch.features[:, 0].tolist() for batch in loader.batches(0, range(first, 12))]

    alone = values(Loader(Fragile(), 3, range(4)))
    assert "another sample is drawn instead" in caplog.text
    for workers in (1, 3):
        assert values(Loader(Fragile(), 3, range(4), workers)) == alone
    assert values(Loader(Fragile(), 3, range(4), 2), first=5) == alone[5:]
    shares = [values(Loader(Fragile(), 3, range(rank, 4, 2), 1)) for rank in range(2)]
    assert [[a[0], b[0], a[1], b[1]] for a, b in zip(*shares, strict=True)] == alone


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
