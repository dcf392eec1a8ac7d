"""Click to fix: the clicks at one place, and the steps that they make."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from kidneyseg import editing
from kidneyseg.editing.change import Change, Voxels, merged
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

    clicks: tuple[editing.Click, ...]
    change: Change


_NO_CLICKS = Clicked((), Change.none())


class ClickStep(Step):
    """A step by one click: undoing it takes the click back."""

    def __init__(self, edits: Edits, name: str, change: Change, after: Clicked) -> None:
        super().__init__(edits, name, change)
        self.after = after


class ClickSession(QObject):
    """Collects clicks at one place: each further click refines what the earlier ones gave.

    Another edit or another tool ends the session; the next click then begins a new one.
    """

    def __init__(self, case: Case, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._case = case
        self._waiting: list[tuple[editing.Click, bool]] = []  # whether it begins a new session
        self._running: tuple[editing.Click, ...] = ()
        self._left_tool = False
        case.click_requested.connect(self.add)
        case.edits.moved.connect(self.drop)
        case.tool_changed.connect(self._on_tool)
        case.volume_changed.connect(self.drop)

    @property
    def busy(self) -> bool:
        """Whether a click is being worked on."""
        return bool(self._running)

    @property
    def clicked(self) -> Clicked:
        """What can be refined: only the latest step can, for the mask is as that left it."""
        stack = self._case.edits.stack
        step = stack.command(stack.index() - 1) if stack.index() else None
        return step.after if isinstance(step, ClickStep) else _NO_CLICKS

    def add(self, voxel: Voxel, label: int) -> None:
        """A click on what is missed or wrong; it is worked on after the clicks before it."""
        self._waiting.append((editing.Click(voxel, label), self._left_tool))
        self._left_tool = False
        self._next()

    def drop(self) -> None:
        """Forget the clicks that have not changed the mask yet."""
        self._waiting, self._running = [], ()

    def _next(self) -> None:
        if self._running or not self._waiting or self._case.edits.mask is None:
            return
        latest, new = self._waiting.pop(0)
        base = _NO_CLICKS if new else self.clicked
        clicks = self._running = (*base.clicks, latest)
        change, result = base.change, self._case.result
        evidence = None if result is None or result.stage2.probability is None else result.stage2

        def compute(volume: Volume, labels: NDArray[np.uint8]) -> Voxels:
            labels.reshape(-1, order="F")[change.index] = change.before_labels  # as before the first click
            return editing.fix(volume, labels, evidence, clicks)

        finish = partial(self._finish, base, clicks)
        self._case.request_edit(f"Click: {NAMES[latest.label].lower()}", compute, finish)

    def _finish(self, base: Clicked, clicks: tuple[editing.Click, ...], name: str, voxels: Voxels) -> bool:
        """Make one step of what the clicks give now. Returns whether anything changed."""
        edits = self._case.edits
        if self._running is not clicks or edits.mask is None:  # dropped meanwhile
            return True
        self._running = ()
        edits.finish_stroke()
        if base is not _NO_CLICKS and base is not self.clicked:  # another edit came before it: it has to begin anew
            self._waiting.insert(0, (clicks[-1], False))
            self._next()
            return True
        after = edits.mask.painted(voxels, edits.locked, instead_of=base.change)
        change = merged([base.change.inverse(), after])
        pushed = edits.push_step(ClickStep(edits, name, change, Clicked(clicks, after)))
        self._next()
        return pushed

    def _on_tool(self) -> None:
        if self._case.tool.tool != Tool.CLICK:
            self._left_tool = True
