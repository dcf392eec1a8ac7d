"""How long work reports and is cancelled: one protocol for the engine, the command line and the window."""

from __future__ import annotations

from collections.abc import Callable

from kidneyseg.errors import Cancelled


class Progress:
    """Receives reports from long work and tells it when to stop. This base class is silent and never stops.

    Work calls `update` (or the cheaper `check`) often enough that a cancel is answered within a second.
    """

    def update(self, stage: str, fraction: float) -> None:
        """Report that `stage` is done to `fraction` (0...1). Raises `Cancelled` if a stop was asked for."""
        self.check()
        self.show(stage, min(max(fraction, 0.0), 1.0))

    def check(self) -> None:
        """Raise `Cancelled` if a stop was asked for."""
        if self.cancelled:
            raise Cancelled

    @property
    def cancelled(self) -> bool:
        """Whether a stop was asked for."""
        return False

    def show(self, stage: str, fraction: float) -> None:
        """Display a report; called from the working thread."""

    def part(self, start: float, end: float) -> Progress:
        """A `Progress` whose 0...1 is `start`...`end` of this one, for work made of several parts."""
        return _Part(self, start, end)


class CallbackProgress(Progress):
    """Forwards reports to `on_update(stage, fraction)` and stops once `is_cancelled()` is true."""

    def __init__(
        self,
        on_update: Callable[[str, float], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._on_update = on_update
        self._is_cancelled = is_cancelled

    @property
    def cancelled(self) -> bool:
        """What `is_cancelled()` says."""
        return self._is_cancelled is not None and self._is_cancelled()

    def show(self, stage: str, fraction: float) -> None:
        """Hand the report to `on_update`."""
        if self._on_update is not None:
            self._on_update(stage, fraction)


class _Part(Progress):
    def __init__(self, whole: Progress, start: float, end: float) -> None:
        self._whole, self._start, self._end = whole, start, end

    @property
    def cancelled(self) -> bool:
        return self._whole.cancelled

    def show(self, stage: str, fraction: float) -> None:
        self._whole.show(stage, self._start + fraction * (self._end - self._start))
