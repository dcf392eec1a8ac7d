"""Batches: reproducible whoever draws them."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.datasets.cases import error_context
from kidneyseg.training.batches import Loader, Sample


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
