"""Progress reports and cancellation of long work, the same for the library, the command line and the window."""

from __future__ import annotations

from collections.abc import Callable

from kidneyseg.errors import Cancelled


class Progress:
    """Receives reports from long work, which it can cancel. This base class ignores reports and never cancels.

    Work calls `update` or the cheaper `check` at least once a second.
    """

    def update(self, stage: str, fraction: float) -> None:
        """Report that the fraction 0...1 of `stage` is done. Raises Cancelled once the work is cancelled."""
        self.check()
        self.show(stage, min(max(fraction, 0.0), 1.0))

    def check(self) -> None:
        """Raise Cancelled once the work is cancelled."""
        if self.cancelled:
            raise Cancelled

    @property
    def cancelled(self) -> bool:
        """Whether the work is to stop."""
        return False

    def show(self, stage: str, fraction: float) -> None:
        """Display a report; called from the working thread."""

    def part(self, start: float, end: float, stage: str | None = None) -> Progress:
        """A Progress for a part of the work: its 0...1 is `start`...`end` of this one, under `stage` if given."""
        return _Part(self, start, end, stage)


class CallbackProgress(Progress):
    """Passes reports to `on_update(stage, fraction)`; cancels the work once `is_cancelled()` is true."""

    def __init__(
        self,
        on_update: Callable[[str, float], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._on_update = on_update
        self._is_cancelled = is_cancelled

    @property
    def cancelled(self) -> bool:
        """The result of `is_cancelled()`."""
        return self._is_cancelled is not None and self._is_cancelled()

    def show(self, stage: str, fraction: float) -> None:
        """Pass the report to `on_update`."""
        if self._on_update is not None:
            self._on_update(stage, fraction)


class _Part(Progress):
    def __init__(self, whole: Progress, start: float, end: float, stage: str | None) -> None:
        self._whole, self._start, self._end, self._stage = whole, start, end, stage

    @property
    def cancelled(self) -> bool:
        return self._whole.cancelled

    def show(self, stage: str, fraction: float) -> None:
        self._whole.show(self._stage or stage, self._start + fraction * (self._end - self._start))
