"""The mask of the open case with its undo stack: every change of the mask is a step that can be undone."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from kidneyseg.editing.change import Change, Shape, Voxels, merged
from kidneyseg.editing.journal import UNDO_LIMIT
from kidneyseg.editing.mask import EditedMask

if TYPE_CHECKING:
    from kidneyseg.segmentation.provenance import Provenance
    from kidneyseg.settings import Settings
    from kidneyseg_gui.protocols import Result


# Further back than so many segmentations a step keeps the mask alone: a result's clouds take 8 MB in a small CT.
_MOST_RESULTS = 10


_LONGEST_STROKE_S = 1.5


@dataclass(frozen=True, eq=False)
class Origin:
    """Where the labels below the hand-made ones come from.

    Attributes:
        result: of the networks; None for labels that were opened from a file or recovered, before a segmentation, and
            for a step far back on the undo stack.
        device: the choice that the result was made with.
        provenance: what is known of how the labels were made; None for nothing.
        settings: that the labels were made with; None if unknown.
    """

    result: Result | None = None
    device: str = ""
    provenance: Provenance | None = None
    settings: Settings | None = None


class Step(QUndoCommand):
    """One step on the undo stack: a change of the mask, and for new labels below it where they come from."""

    def __init__(self, edits: Edits, name: str, change: Change, origin: Origin | None = None) -> None:
        super().__init__(name)
        self.change = change
        self.origin = origin
        self._before = edits.origin
        self._edits = weakref.ref(edits)  # Qt's stack owns the step, and Python must not find a circle through it
        self.applied = False  # a stroke has painted its voxels before its step is pushed
        self._again = False

    def forget_results(self, *, before_only: bool = False) -> None:
        """Let go of the networks' results that undo and redo bring back; the mask, settings and provenance stay."""
        self._before = replace(self._before, result=None)
        if self.origin is not None and not before_only:
            self.origin = replace(self.origin, result=None)

    def redo(self) -> None:
        """Carry the change out."""
        edits = self._edits()
        if edits is None:
            return
        if not self.applied:
            edits.apply(self.change)
        if self.origin is not None:
            edits.set_origin(self.origin, again=self._again)
        self.applied, self._again = False, True

    def undo(self) -> None:
        """Take the change back."""
        edits = self._edits()
        if edits is None:
            return
        edits.apply(self.change.inverse())
        if self.origin is not None:
            edits.set_origin(self._before, again=True)


class Edits(QObject):
    """The mask under correction.

    Signals:
        changed: the box that was changed, or None for all of the mask.
        origin_changed: other labels lie below the hand-made ones; True after undo or redo.
        started: another mask begins, with an empty stack.
        pushed: the Step that was added to the stack.
        moved: a step was undone or redone.
        steps_changed: the undo stack or the place in it is another.
        locked_changed: other labels are locked.
    """

    changed = Signal(object)
    origin_changed = Signal(bool)
    started = Signal()
    pushed = Signal(object)
    moved = Signal()
    steps_changed = Signal()
    locked_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.mask: EditedMask | None = None
        self.origin = Origin()
        self.locked: frozenset[int] = frozenset()
        self.stack = QUndoStack(self)
        self.stack.setUndoLimit(UNDO_LIMIT)
        # Qt breaks connections to methods of a QObject before the stack ends, which would emit these once more.
        self.stack.indexChanged.connect(self._on_stack)
        self.stack.cleanChanged.connect(self._on_stack)
        self._stroke: list[Change] = []
        self._stroke_began = 0.0

    def start(self, shape: Shape) -> None:
        """Begin with an empty mask of another CT."""
        self.start_from(EditedMask.empty(shape), Origin())

    def start_from(self, mask: EditedMask, origin: Origin) -> None:
        """Begin with this mask and an empty undo stack."""
        self.mask, self.origin, self._stroke = mask, origin, []
        self.stack.clear()
        self.set_locked(frozenset())
        self.started.emit()
        self.origin_changed.emit(False)
        self.changed.emit(None)

    def push(self, name: str, change: Change, origin: Origin | None = None) -> bool:
        """Carry out a change as a step that can be undone; no change and no new origin is no step."""
        return self.push_step(Step(self, name, change, origin))

    def push_step(self, step: Step) -> bool:
        """Carry out a step and put it on the undo stack, if it does something."""
        if self.mask is None or (not len(step.change) and step.origin is None):
            return False
        self.finish_stroke()
        self.stack.push(step)
        if step.origin is not None:
            self._forget_old_results()
        self.pushed.emit(step)
        return True

    def _forget_old_results(self) -> None:
        segmented = [step for step in self.steps() if step.origin is not None]
        for number, step in enumerate(reversed(segmented), start=1):
            if number >= _MOST_RESULTS:
                step.forget_results(before_only=number == _MOST_RESULTS)

    def paint(self, name: str, voxels: Voxels) -> bool:
        """Give voxels new labels by hand, as one step. Returns whether anything changed."""
        return self.mask is not None and self.push(name, self.mask.painted(voxels, self.locked))

    def stroke(self, voxels: Voxels) -> None:
        """Paint a part of a stroke; `finish_stroke` makes one step of all parts.

        A long stroke makes a step every second and a half: steps are autosaved, parts are not.
        """
        if self.mask is None:
            return
        change = self.mask.painted(voxels, self.locked)
        if len(change):
            if self._stroke and time.monotonic() - self._stroke_began > _LONGEST_STROKE_S:
                self.finish_stroke()
            if not self._stroke:
                self._stroke_began = time.monotonic()
            self._stroke.append(change)
            self.apply(change)

    def finish_stroke(self, name: str = "Paint") -> None:
        """Make one step of the stroke's parts."""
        if self._stroke:
            step = Step(self, name, merged(self._stroke))
            self._stroke = []
            step.applied = True
            self.stack.push(step)
            self.pushed.emit(step)

    def discard(self) -> bool:
        """Give every voxel the label again that the networks, or the file, gave it; one step."""
        return self.mask is not None and self.push("Discard my edits", self.mask.discarded())

    @property
    def by_hand(self) -> int:
        """How many voxels were made by hand."""
        return 0 if self.mask is None else sum(self.mask.by_hand.values())

    @property
    def from_file(self) -> bool:
        """Whether there are labels of a file, or of a recovered case, below the hand-made ones."""
        if self.mask is None or self.origin.result is not None:
            return False
        return sum(self.mask.count.values()) > self.by_hand - self.mask.by_hand[0]

    def set_locked(self, locked: frozenset[int]) -> None:
        """Lock these labels: they neither gain nor lose voxels by hand."""
        if locked != self.locked:
            self.locked = locked
            self.locked_changed.emit()

    def undo(self) -> None:
        """Take the latest step back."""
        self.finish_stroke()
        self.stack.undo()
        self.moved.emit()

    def redo(self) -> None:
        """Carry the step that was taken back out again."""
        self.finish_stroke()
        self.stack.redo()
        self.moved.emit()

    def restore(self, step: Step) -> None:
        """Put a step on the stack that the mask holds already, as after a crash."""
        step.applied = True
        self.stack.push(step)

    def _on_stack(self) -> None:
        self.steps_changed.emit()

    # For steps

    def apply(self, change: Change) -> None:
        """Change the mask and tell the views where."""
        if self.mask is not None and len(change):
            self.mask.apply(change)
            self.changed.emit(change.box(self.mask.shape))

    def set_origin(self, origin: Origin, *, again: bool) -> None:
        """Say where the labels below the hand-made ones come from; `again` after undo or redo."""
        self.origin = origin
        self.origin_changed.emit(again)

    def steps(self) -> Sequence[Step]:
        """All steps of the stack, oldest first, undone ones at the end."""
        commands = [self.stack.command(number) for number in range(self.stack.count())]
        return [command for command in commands if isinstance(command, Step)]
