"""Progress reports and cancellation."""

from __future__ import annotations

import pytest

from kidneyseg.errors import Cancelled
from kidneyseg.progress import CallbackProgress, Progress


def test_a_plain_progress_is_silent_and_never_cancels() -> None:
    progress = Progress()
    progress.update("stage 1", 0.5)
    progress.part(0.2, 0.4).update("stage 1", 1.0)
    assert not progress.cancelled


def test_fractions_are_clipped_and_parts_nest() -> None:
    shown: list[tuple[str, float]] = []
    progress = CallbackProgress(lambda stage, fraction: shown.append((stage, fraction)))
    progress.update("a", -1.0)
    progress.update("a", 2.0)
    half = progress.part(0.5, 1.0)
    half.update("b", 0.5)
    half.part(0.0, 0.5).update("b", 1.0)
    half.update("b", 7.0)
    assert shown == [("a", 0.0), ("a", 1.0), ("b", 0.75), ("b", 0.75), ("b", 1.0)]


def test_a_cancelled_update_is_not_shown_in_any_part() -> None:
    shown: list[float] = []
    asked = False
    progress = CallbackProgress(lambda _, fraction: shown.append(fraction), lambda: asked)
    part = progress.part(0.0, 0.5)
    part.check()
    asked = True
    assert part.cancelled
    for one in (progress, part):
        with pytest.raises(Cancelled):
            one.update("a", 0.5)
        with pytest.raises(Cancelled):
            one.check()
    assert shown == []
