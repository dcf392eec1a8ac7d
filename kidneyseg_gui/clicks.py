"""Click to fix: the clicks at one place, and the steps that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from kidneyseg.editing.change import Change, Voxels, merged
from kidneyseg.editing.click import Click
from kidneyseg_gui.case import Case
from kidneyseg_gui.edits import Edits, Step
from kidneyseg_gui.slices import Voxel
from kidneyseg_gui.tools import NAMES, Tool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kidneyseg.imaging.volume import Volume


@dataclass(frozen=True, eq=False)
class Clicked:
    """The clicks at one place so far, and what they have changed since before the first of them."""

    clicks: tuple[Click, ...]
    change: Change


class ClickStep(Step):
    """A step by one click: undoing it takes the click back."""

    def __init__(self, edits: Edits, name: str, change: Change, session: ClickSession, after: Clicked) -> None:
        super().__init__(edits, name, change)
        self._session, self._earlier, self._later = session, session.clicked, after

    def redo(self) -> None:
        """Carry the change out, with its click."""
        super().redo()
        self._session.clicked = self._later

    def undo(self) -> None:
        """Take the change and its click back."""
        super().undo()
        self._session.clicked = self._earlier


class ClickSession(QObject):
    """Collects clicks at one place: each further click refines what the earlier ones gave.

    Another edit, another tool or another label ends the session; the next click then begins a new one.
    """

    def __init__(self, case: Case, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._case = case
        self._waiting: list[Click] = []
        self._running: tuple[Click, ...] = ()
        self.clicked = Clicked((), Change.none())
        case.click_requested.connect(self.add)
        case.edits.pushed.connect(self._on_step)
        case.tool_changed.connect(self._on_tool)
        case.volume_changed.connect(self.end)

    @property
    def busy(self) -> bool:
        """Whether a click is being worked on."""
        return bool(self._running)

    def add(self, voxel: Voxel, label: int) -> None:
        """A click on what is missed or wrong; it is worked on after the clicks before it."""
        self._waiting.append(Click(voxel, label))
        self._next()

    def end(self) -> None:
        """The next click has nothing to do with the earlier ones."""
        self._waiting, self._running = [], ()
        self.clicked = Clicked((), Change.none())

    def _next(self) -> None:
        if self._running or not self._waiting or self._case.edits.mask is None:
            return
        clicks = self._running = (*self.clicked.clicks, self._waiting.pop(0))
        change, result = self.clicked.change, self._case.result
        evidence = None if result is None or result.stage2.probability is None else result.stage2

        def compute(volume: Volume, labels: NDArray[np.uint8]) -> Voxels:
            from kidneyseg.editing.click import fix  # noqa: PLC0415 - scipy takes its time to import

            before = labels
            if len(change):
                before = labels.copy(order="K")
                before.reshape(-1, order="F")[change.index] = change.before_labels
            return fix(volume, before, evidence, clicks)

        self._case.request_edit(f"Click: {NAMES[clicks[-1].label].lower()}", compute, self._finish)

    def _finish(self, name: str, voxels: Voxels) -> bool:
        """Make one step of what the clicks give now. Returns whether anything changed."""
        clicks, self._running = self._running, ()
        edits, before = self._case.edits, self.clicked.change
        if not clicks or edits.mask is None:  # ended meanwhile
            return True
        edits.mask.revert(before)
        after = edits.mask.painted(voxels, edits.locked)
        edits.mask.apply(before)
        change = merged([before.inverse(), after])
        pushed = edits.push_step(ClickStep(edits, name, change, self, Clicked(clicks, after)))
        self._next()
        return pushed

    def _on_step(self, step: Step) -> None:
        if not isinstance(step, ClickStep):
            self.end()

    def _on_tool(self) -> None:
        if self._case.tool.tool != Tool.CLICK:
            self.end()
