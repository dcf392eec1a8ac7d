"""Keeps the open case on disk while it is edited, and brings it back after a crash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from PySide6.QtCore import QObject, Signal

from kidneyseg.editing import journal
from kidneyseg.editing.change import Change
from kidneyseg.editing.journal import Journal
from kidneyseg.errors import KidneySegError
from kidneyseg.settings import Settings
from kidneyseg_gui.case import Case
from kidneyseg_gui.edits import Origin, Step
from kidneyseg_gui.logs import keep_private

if TYPE_CHECKING:
    from kidneyseg.editing.mask import EditedMask
    from kidneyseg.editing.recovery import Recovered
    from kidneyseg.imaging.volume import Volume


def autosave_folder() -> Path:
    """Where the journals of open cases are."""
    return platformdirs.user_state_path("kidneyseg", appauthor=False) / "autosave"


@dataclass(frozen=True, eq=False)
class RecoveredCase:
    """An autosaved case, ready to be opened.

    Attributes:
        recovered: what was read from the journal.
        volume: its CT.
        mask: at the journal's position.
        base: where the labels before the oldest step come from.
        origins: of each step that laid new labels below; None for the others.
    """

    recovered: Recovered
    volume: Volume
    mask: EditedMask
    base: Origin
    origins: tuple[Origin | None, ...]


class Autosave(QObject):
    """Writes every step to a journal; see `kidneyseg.editing.journal`.

    A case gets a journal with its first step: looking at a CT leaves nothing on disk.

    Signals:
        trouble: a sentence for the user, once, when writing fails; an empty one when it works again, or the case that
            could not be written is closed.
    """

    trouble = Signal(str)

    def __init__(self, case: Case, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._case, self._folder = case, folder
        self._journal: Journal | None = None
        self._index = 0  # of the undo stack, as the journal has it
        case.edits.started.connect(self._on_start)
        case.edits.pushed.connect(self._on_step)
        case.edits.moved.connect(self._on_move)
        for signal in (case.settings_changed, case.window_changed, case.crosshair_changed, case.dirty_changed):
            signal.connect(self._write_state)
        case.edits.locked_changed.connect(self._write_state)

    @property
    def folder(self) -> Path:
        """Where the journals are."""
        return self._folder

    def flush(self) -> bool:
        """Wait until the open case is on disk; False where that takes longer than seconds or fails."""
        return self._journal is not None and self._journal.flush()

    def close(self, *, keep: bool) -> None:
        """End the journal of the open case; `keep` leaves it for the next start to offer."""
        if self._journal is not None:
            self._journal.close(keep)
            self._journal = None
            self.trouble.emit("")

    def restore(self, kept: RecoveredCase) -> None:
        """Open a case as it was autosaved, with its undo stack."""
        case, edits, recovered, mask = self._case, self._case.edits, kept.recovered, kept.mask
        case.open(kept.volume)
        for step in recovered.steps[recovered.position :]:
            mask.apply(step.change)  # the stack is filled with all steps, and the undone ones are undone then
        edits.start_from(mask, kept.base)
        for step, origin in zip(recovered.steps, kept.origins, strict=True):
            edits.restore(Step(edits, step.name, step.change, origin))
        clean = recovered.state.get("clean")
        if isinstance(clean, int) and 0 <= clean <= len(recovered.steps):
            edits.stack.setIndex(clean)
            edits.stack.setClean()
        else:
            edits.stack.resetClean()
        edits.stack.setIndex(recovered.position)
        self._set_state(recovered.state)
        self._begin(recovered.base, recovered.steps, recovered.position)

    def _on_start(self) -> None:
        self.close(keep=False)
        self._index = 0

    def _on_step(self, step: Step) -> None:
        stack = self._case.edits.stack
        if self._journal is None:
            self._begin(journal.Step("", Change.none()), [_kept(step)], 1)
            return
        kept = _kept(step)
        self._journal.push(self._index, kept.name, kept.change, kept.result)
        self._index = stack.index()

    def _on_move(self) -> None:
        self._index = self._case.edits.stack.index()
        if self._journal is not None:
            self._journal.move(self._index)

    def _begin(self, base: journal.Step, steps: Iterable[journal.Step], position: int) -> None:
        volume = self._case.volume
        if volume is not None:
            self._journal = Journal(self._folder, self.trouble.emit)
            self._journal.begin(volume, base.change, self._state(), result=base.result, steps=steps, position=position)
            self._index = position

    def _write_state(self) -> None:
        if self._journal is not None:
            self._journal.set_state(self._state())

    def _state(self) -> dict[str, Any]:
        case = self._case
        return {
            "hu_offset": None if case.volume is None else case.volume.hu_offset,
            "series": None if case.volume is None else case.volume.series,
            "settings": case.settings.to_dict(),
            "device": case.device,
            "window": list(case.window),
            "crosshair": list(case.crosshair),
            "locked": sorted(case.edits.locked),
            "clean": case.edits.stack.cleanIndex(),
            "saved": None if case.saved is None else [str(case.saved.path), *case.saved[1:]],
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what fits this version."""
        from kidneyseg.segmentation.export import FileStamp  # noqa: PLC0415 - imported in the working thread

        case = self._case
        try:
            case.set_settings(Settings.from_dict(state["settings"]))
            case.set_window(*state["window"])
            case.set_device(state["device"] if state["device"] in ("auto", "cpu", "cuda") else "auto")
            x, y, z = state["crosshair"]
            case.set_crosshair((x, y, z))
            case.edits.set_locked(frozenset(state["locked"]))
            if state["saved"] is not None:
                path, *others = state["saved"]
                keep_private(Path(path))
                case.saved = FileStamp(Path(path), *others)
        except (KeyError, TypeError, ValueError, KidneySegError):
            return


def _kept(step: Step) -> journal.Step:
    return journal.Step(step.text(), step.change, None if step.origin is None else _provenance(step.origin))


def _provenance(origin: Origin) -> dict[str, Any]:
    """What a journal holds of where labels come from."""
    return {
        "provenance": None if origin.provenance is None else origin.provenance.to_dict(),
        "settings": None if origin.settings is None else origin.settings.to_dict(),
    }


def origin_of(kept: Mapping[str, Any] | None) -> Origin:
    """The origin that `_provenance` wrote; nothing is known where it does not fit this version."""
    from kidneyseg.segmentation.provenance import Provenance  # noqa: PLC0415 - imported in the working thread

    if kept is None:
        return Origin()
    provenance, settings = kept.get("provenance"), kept.get("settings")
    try:
        return Origin(
            provenance=None if provenance is None else Provenance.from_dict(provenance),
            settings=None if settings is None else Settings.from_dict(settings),
        )
    except (KeyError, TypeError, ValueError, KidneySegError):
        return Origin()
