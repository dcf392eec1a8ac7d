"""The Edit menu: undo and redo, tools, labels, and edits of the whole mask."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu

from kidneyseg import editing
from kidneyseg_gui.case import Case, Compute
from kidneyseg_gui.panels.correcting import TOOLS
from kidneyseg_gui.piece_menu import delete_piece
from kidneyseg_gui.slices import AXIAL
from kidneyseg_gui.tools import NAMES, Tool

_LARGER = 1.25


class MakeAction(Protocol):
    """Makes an action of text, function and keys."""

    def __call__(
        self, text: str, do: Callable[[], object], *keys: str, picture: str = ..., short: str = ...
    ) -> QAction:
        """The action."""


class EditActions:
    """Makes the Edit menu and keeps it in step with the case."""

    def __init__(self, menu: QMenu, case: Case, make: MakeAction) -> None:
        self._case = case
        self.undo = make("&Undo", case.edits.undo, "Ctrl+Z", picture="undo", short="Undo")
        self.redo = make("&Redo", case.edits.redo, "Ctrl+Shift+Z", "Ctrl+Y", picture="redo", short="Redo")
        self.discard = make("&Discard my edits", case.edits.discard)
        menu.addActions([self.undo, self.redo, self.discard])
        menu.addSeparator()
        self.tools = self._tools(menu.addMenu("&Tool"), make)
        self._labels(menu.addMenu("&Label"), make)
        menu.addSeparator()
        self.delete = make("Delete the &piece under the mouse", lambda: delete_piece(case, case.pointed), "Del")
        menu.addAction(self.delete)
        self.whole = self._whole_mask(menu, make)
        for signal in (case.edits.steps_changed, case.volume_changed, case.tool_changed):
            signal.connect(self._refresh)
        self._refresh()

    def _tools(self, menu: QMenu, make: MakeAction) -> dict[Tool, QAction]:
        group = QActionGroup(menu)
        actions = {}
        for tool, text in TOOLS.items():
            action = make(text.name, partial(self._case.set_tool, tool=tool), text.key)
            action.setCheckable(True)
            group.addAction(action)
            menu.addAction(action)
            actions[tool] = action
        menu.addSeparator()
        menu.addAction(make("Larger", lambda: self._case.resize_tool(_LARGER), "]"))
        menu.addAction(make("Smaller", lambda: self._case.resize_tool(1 / _LARGER), "["))
        return actions

    def _labels(self, menu: QMenu, make: MakeAction) -> None:
        for label, name in NAMES.items():
            menu.addAction(make(name, partial(self._case.set_tool, label=label), f"Shift+{label}"))

    def _whole_mask(self, menu: QMenu, make: MakeAction) -> list[QAction]:
        """Edits of all pieces of the chosen label."""

        def edit(text: str, compute: Callable[[int, float], Compute]) -> QAction:
            def do() -> None:
                label, name = self._case.tool.label, text.replace("&", "")
                if label:
                    self._case.request_edit(f"{name}: {NAMES[label].lower()}", compute(label, self._case.step_mm))

            return make(text, do)

        def interpolated(label: int, _mm: float) -> Compute:
            return partial(editing.interpolate_slices, axis=AXIAL.normal, label=label, drawn=None)

        actions = [
            edit("Fill &holes", lambda label, _mm: partial(editing.fill_holes, label=label, where=None)),
            edit("&Smooth", lambda label, mm: partial(editing.smooth, label=label, mm=mm, voxel=None)),
            edit("&Grow", lambda label, mm: partial(editing.grow, label=label, mm=mm, voxel=None)),
            edit("S&hrink", lambda label, mm: partial(editing.grow, label=label, mm=-mm, voxel=None)),
            edit("&Interpolate between axial slices", interpolated),
        ]
        menu.addActions(actions)
        return actions

    def _refresh(self) -> None:
        edits, tool = self._case.edits, self._case.tool
        for action, can, text, verb in (
            (self.undo, edits.stack.canUndo(), edits.stack.undoText(), "&Undo"),
            (self.redo, edits.stack.canRedo(), edits.stack.redoText(), "&Redo"),
        ):
            action.setEnabled(can)
            action.setText(f"{verb} {text[:1].lower()}{text[1:]}" if text else verb)
            action.setIconText(verb.replace("&", ""))
        self.discard.setEnabled(edits.by_hand > 0)
        self.tools[tool.tool].setChecked(True)
        for action in (*self.tools.values(), self.delete):
            action.setEnabled(self._case.volume is not None)
        for action in self.whole:
            action.setEnabled(self._case.mask is not None and tool.label > 0)
