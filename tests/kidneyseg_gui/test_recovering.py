"""Autosaved cases in words and in the menu."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from PySide6.QtWidgets import QMenu

from kidneyseg.editing import Voxels
from kidneyseg.editing.recovery import Abandoned
from kidneyseg_gui.recovering import describe
from window_fixture import WindowFixture


def leave_behind(window: WindowFixture) -> None:
    """Edit a case whose process then ends."""
    window.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))
    assert window.main.autosave.flush()
    window.main.autosave.close(keep=True)


def entries(window: WindowFixture) -> list[str]:
    menu = QMenu()
    window.main.recovering.fill(menu)
    return [action.text() for action in menu.actions()]


def test_an_autosaved_case_is_named_by_its_ct_and_time():
    saved = time.mktime((2026, 11, 5, 14, 7, 0, 0, 0, -1))
    assert describe(Abandoned(Path("x"), saved, Path("/cts/liver.nii"))) == "liver.nii (05 Nov 14:07)"
    assert describe(Abandoned(Path("x"), saved, None)) == "A case (05 Nov 14:07)"


def test_the_menu_lists_what_can_be_recovered(window: WindowFixture):
    assert entries(window) == ["Nothing to recover"]
    window.open("first.nii")
    leave_behind(window)
    assert [entry.split(" ")[0] for entry in entries(window)] == ["first.nii"]


def test_recovering_asks_before_it_replaces_an_unsaved_mask(window: WindowFixture):
    window.open("first.nii")
    leave_behind(window)
    window.open("second.nii")
    window.segment()
    window.answers.go_on = False
    journal = next((window.folder / "autosave").glob("*.autosave"))
    window.main.recovering.recover(journal)
    assert "would be lost" in window.answers.asked[-1]
    window.idle()
    assert window.case.volume.name == "second"


def test_a_damaged_autosave_is_refused_with_a_sentence(window: WindowFixture):
    window.open("first.nii")
    leave_behind(window)
    journal = next((window.folder / "autosave").glob("*.autosave"))
    content = bytearray(journal.read_bytes())
    content[len(content) // 2 :] = b"\0" * (len(content) - len(content) // 2)
    journal.write_bytes(content)
    window.case.mark_saved()
    window.main.recovering.recover(journal)
    window.qtbot.waitUntil(lambda: "damaged" in window.notices(), timeout=5000)


def test_the_offer_stays_while_other_things_happen(window: WindowFixture):
    window.open("first.nii")
    leave_behind(window)
    window.main.recovering.offer()
    window.main.controller.notified.emit("done", "The mask is saved.", None)
    assert "edits are kept" in window.notices()
    assert "The mask is saved." in window.notices()
    window.case.mark_saved()
    with window.qtbot.waitSignal(window.case.volume_changed, timeout=5000):
        window.main.recovering.recover(next((window.folder / "autosave").glob("*.autosave")))
    window.qtbot.waitUntil(lambda: "edits are kept" not in window.notices(), timeout=5000)
