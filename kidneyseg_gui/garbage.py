"""Collects garbage in the window's thread alone.

Python collects in whatever thread happens to allocate. In a working thread it may then free widgets or table items that
Qt uses in the window's thread, which ends the process.
"""

from __future__ import annotations

import gc
import time

from PySide6.QtCore import QObject, QTimer

_EVERY_MS = 200
# The oldest generation is large: after imports it holds all of them.
_ALL_EVERY_S = 10.0
_OLDEST = 2


class GarbageCollector(QObject):
    """Takes Python's automatic collection over until `stop`, with the same thresholds."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._was_enabled = gc.isenabled()
        gc.disable()
        self._collected_all = time.monotonic()
        self._timer = QTimer(self, interval=_EVERY_MS)
        self._timer.timeout.connect(self.collect_if_due)
        self._timer.start()

    def collect_if_due(self) -> None:
        """Collect the oldest generation that has reached its threshold."""
        now = time.monotonic()
        due = [count > threshold for count, threshold in zip(gc.get_count(), gc.get_threshold(), strict=True)]
        due[_OLDEST] &= now > self._collected_all + _ALL_EVERY_S
        if due[_OLDEST]:
            self._collected_all = now
        if any(due):
            gc.collect(max(generation for generation, is_due in enumerate(due) if is_due))

    def stop(self) -> None:
        """Let Python collect by itself again, once no other thread works."""
        self._timer.stop()
        if self._was_enabled:
            gc.enable()
