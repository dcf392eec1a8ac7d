"""Opens a mask over its CT, and compares the mask with another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from kidneyseg.plurals import counted
from kidneyseg_gui.case import Case
from kidneyseg_gui.comparing import Compare, Shown
from kidneyseg_gui.edits import Origin
from kidneyseg_gui.files import proposed_mask
from kidneyseg_gui.outcomes import Compared, MaskOpened
from kidneyseg_gui.panels import notices
from kidneyseg_gui.prompts import Prompts
from kidneyseg_gui.widgets import single_shot
from kidneyseg_gui.worker import JobRunner

_FOLLOW_MS = 200


class MaskFiles(QObject):
    """Connects mask files with the case.

    Signals:
        notified, written: as of the controller.
    """

    notified = Signal(str, str, object)
    written = Signal(object, int)

    def __init__(self, case: Case, jobs: JobRunner, prompts: Prompts, window: QWidget) -> None:
        super().__init__(window)
        self._case, self._jobs = case, jobs
        self._prompts, self._window = prompts, window
        jobs.mask_opened.connect(self._on_opened)
        jobs.compared.connect(self._on_compared)
        jobs.label_map_found.connect(self._on_label_map)
        self._compared: Compared | None = None
        self._comparing = single_shot(self, _FOLLOW_MS, self._compare_again)
        case.mask_changed.connect(lambda _box: self._on_mask())

    def ask_open(self) -> None:
        """Let the user choose a mask of the open CT, and lay it over the CT."""
        path = self._ask("Open a mask over the CT")
        if path is not None:
            self.open(path)

    def open(self, path: Path) -> None:
        """Lay a mask over the open CT; what was made by hand stays on top, and the step can be undone."""
        if self._case.volume is not None and self._case.edits.mask is not None and self._jobs.free:
            self._jobs.open_mask(path, self._case.volume, self._case.edits.mask)

    def _on_label_map(self, path: Path, _problem: str) -> None:
        """A label map that is opened or dropped like a CT is a mask of the CT that is open."""
        if self._case.volume is None:
            return
        do = {"Open as mask": self.open, "Compare": self.compare}
        question, about = (
            f"{path.name} is a mask. What shall be done with it?",
            (
                "Open as mask lays it under what you edited by hand; undo brings the mask of now back. "
                "Compare shows where the two differ."
            ),
        )
        asked = self._case.mask is not None  # else there is nothing to compare it with
        chosen = self._prompts.choose(self._window, question, about, tuple(do)) if asked else "Open as mask"
        if chosen is not None:
            do[chosen](path)

    def ask_compare(self) -> None:
        """Let the user choose another mask of the open CT, and show the differences."""
        path = self._ask("Compare with another mask")
        if path is not None:
            self.compare(path)

    def compare(self, path: Path) -> None:
        """Show how the mask differs from another one."""
        if self._case.volume is not None and self._case.edits.mask is not None and self._jobs.free:
            self._jobs.compare(path, self._case.volume, self._case.edits.mask)

    def compare_below(self) -> None:
        """Show what was changed by hand."""
        if self._case.volume is not None and self._case.edits.mask is not None and self._jobs.free:
            self._jobs.compare_below(self._case.volume, self._case.edits.mask)

    def _ask(self, title: str) -> Path | None:
        return None if self._case.volume is None else self._prompts.open_mask(self._window, title, self._folder())

    def _folder(self) -> Path:
        return (self._case.saved.path if self._case.saved else proposed_mask(self._case)).parent

    def _on_opened(self, made: MaskOpened) -> None:
        edits, opened = self._case.edits, made.opened
        if edits.mask is None:
            return
        if edits.mask.version != made.version:  # edited meanwhile
            self._jobs.lay_again(made, edits.mask)
            return
        first, own = self._case.mask is None, edits.by_hand
        self._case.set_origin("Open mask", Origin(provenance=opened.provenance, settings=opened.settings), made.change)
        if opened.settings is not None:
            self._case.set_settings(opened.settings)
        if first:
            self._case.set_saved(opened.stamp, clean=True)
            self.written.emit([made.path], edits.mask.version)
        kept = [f"Your edits were kept: {counted(own, 'voxel')}."] if own else []
        if edits.by_hand > own:
            earlier = f"Made by hand in an earlier session: {counted(edits.by_hand - own, 'voxel')} of it."
            kept.append(f"{earlier} A new segmentation keeps them.")
        text = " ".join((f"The mask {made.path.name} lies over the CT.", *kept, *opened.notes))
        self.notified.emit(notices.WARNING if opened.notes else notices.DONE, text, None)

    def _on_compared(self, made: Compared) -> None:
        compare, shown = self._case.compare, Shown.DIFFERENCE
        if made.again:
            if compare is None or compare.labels is not made.labels:  # ended meanwhile
                return
            shown = compare.shown
        if made.mask is self._case.edits.mask:
            self._compared = made
            self._case.set_compare(Compare(made.path.name, made.labels, made.comparison, shown))
            if made.version != made.mask.version:  # edited while it was compared
                self._comparing.start()

    def _on_mask(self) -> None:
        """Show what is edited, and compare it again."""
        compare = self._case.compare
        if compare is not None:
            if compare.shown in (Shown.OTHER, Shown.WIPE):
                self._case.set_compare(replace(compare, shown=Shown.OURS))
            self._comparing.start()

    def _compare_again(self) -> None:
        if self._compared is not None and self._case.compare is not None and self._case.volume is not None:
            self._jobs.compare_again(self._compared, self._case.volume)
