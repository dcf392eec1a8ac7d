"""Marks of hand-made voxels as text: what comes back, and what is refused."""

from __future__ import annotations

import base64
import zlib
from typing import Literal

import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.segmentation import marks
from kidneyseg.segmentation.marks import decoded, encoded

SHAPE = (13, 11, 7)


def some_marks(order: Literal["C", "F"] = "F") -> np.ndarray:
    values = np.random.default_rng(0).choice(5, SHAPE, p=[0.6, 0.1, 0.1, 0.1, 0.1]).astype(np.uint8)
    values[:, 2:5, 3] = 1  # runs over several rows
    values[:, :, 5:] = 0
    return np.array(values, order=order)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_text_gives_the_marks_back(order: Literal["C", "F"]) -> None:
    again = decoded(encoded(some_marks(order)), SHAPE)
    np.testing.assert_array_equal(again, some_marks())
    assert again.flags.f_contiguous
    assert encoded(np.zeros(SHAPE, np.uint8)) == ""


def test_a_large_ball_takes_a_few_kilobytes() -> None:
    axes = np.ogrid[:100, :100, :100]
    ball = np.asarray(sum((axis - 50) ** 2 for axis in axes) < 48**2)
    assert len(encoded(ball.view(np.uint8))) < 40_000


def text_of(runs: list[tuple[int, int, int]]) -> str:
    return base64.b64encode(zlib.compress(np.array(runs, marks._RUN).tobytes())).decode()


@pytest.mark.parametrize(
    "text",
    [
        *("no base 64", base64.b64encode(b"not compressed").decode(), encoded(some_marks())[:-8]),
        base64.b64encode(zlib.compress(bytes(10))).decode(),
        text_of([(0, 2, 5)]),
        text_of([(0, 2, 0)]),
        text_of([(0, 0, 1)]),
        text_of([(0, 2, 1), (1, 2, 1)]),
        text_of([(13 * 11 * 7 - 1, 2, 1)]),
        text_of([(2**32 - 1, 2**32 - 1, 1)]),
    ],
)
def test_damaged_text_and_marks_of_a_larger_mask_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="which voxels were made by hand cannot be read"):
        decoded(text, SHAPE)


def test_a_text_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MOST_RUNS", 10)
    with pytest.raises(InputError):
        decoded(text_of([(2 * k, 1, 1) for k in range(11)]), SHAPE)
    assert encoded(some_marks()) == ""
