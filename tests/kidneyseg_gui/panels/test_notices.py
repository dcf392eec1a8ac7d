from __future__ import annotations

import pytest
from PySide6.QtWidgets import QPushButton, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from kidneyseg_gui.panels import notices as panel
from kidneyseg_gui.panels.notices import DONE, ERROR, INFO, Notices
from kidneyseg_gui.widgets import column


@pytest.fixture
def notices(qtbot: QtBot) -> Notices:
    made = Notices()
    qtbot.addWidget(made)
    return made


def test_an_event_replaces_the_one_before_and_stands_above_the_warnings(notices: Notices):
    notices.show_lasting("volume", ("odd header",))
    notices.show_event(ERROR, "not saved")
    notices.show_event(DONE, "saved")
    assert notices.texts() == ["saved", "odd header"]
    notices.show_event(DONE, "")
    assert notices.texts() == ["odd header"]


def test_what_went_well_goes_after_some_seconds_unless_it_offers_a_button(
    notices: Notices, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(panel, "_BRIEF_MS", 50)
    notices.show_event(DONE, "loaded", subject="settings")
    notices.show_event(DONE, "saved", ("Show in folder", lambda: None), subject="saved")
    notices.show_event(ERROR, "not opened", subject="opening")
    notices.show_lasting("volume", ("odd header",), INFO)
    qtbot.waitUntil(lambda: "loaded" not in notices.texts(), timeout=3000)
    qtbot.wait(100)
    assert notices.texts() == ["not opened", "saved", "odd header"]


def test_warnings_replace_those_of_their_subject_only(notices: Notices):
    notices.show_lasting("volume", ("a", "b"))
    notices.show_lasting("result", ("c",))
    notices.show_lasting("volume", ("d",))
    assert sorted(notices.texts()) == ["c", "d"]
    notices.show_lasting("result", ())
    assert notices.texts() == ["d"]


def test_what_is_still_true_keeps_its_place_and_stays_away_once_dismissed(notices: Notices, qtbot: QtBot):
    notices.show_lasting("result", ("a", "b", "c"))
    notices.show_lasting("compare", ("d",))
    notices.findChildren(QToolButton)[1].click()
    qtbot.waitUntil(lambda: notices.texts() == ["a", "c", "d"], timeout=1000)
    notices.show_lasting("result", ("b", "c", "e"))
    assert notices.texts() == ["c", "e", "d"]
    notices.show_lasting("result", ())
    notices.show_lasting("result", ("b",))
    assert notices.texts() == ["d", "b"]


def test_a_notice_that_the_user_dismissed_can_be_replaced(notices: Notices, qtbot: QtBot):
    notices.show_event(ERROR, "first")
    notices.findChild(QToolButton).click()
    qtbot.waitUntil(lambda: notices.texts() == [], timeout=1000)
    notices.show_event(ERROR, "second")
    assert notices.texts() == ["second"]


def test_the_button_of_a_notice_acts(notices: Notices):
    calls: list[int] = []
    notices.show_event(DONE, "saved", ("Show in folder", lambda: calls.append(1)))
    notices.findChild(QPushButton).click()
    assert calls == [1]


def test_many_notices_scroll_instead_of_growing(qtbot: QtBot):
    window = QWidget()
    qtbot.addWidget(window)
    made = Notices()
    column(window, spacing=0).addWidget(made)
    window.resize(400, 300)
    window.show()
    made.show_lasting("volume", tuple(f"{number}: {'a' * 200} is odd" for number in range(9)))
    qtbot.waitUntil(lambda: made.verticalScrollBar().maximum() > 0, timeout=2000)
    assert made.minimumSizeHint().height() <= 60
    assert made.widget().width() <= made.viewport().width()  # the buttons that dismiss them are not cut off
    assert made.texts()[0] == f"0: {'a' * 200} is odd"
    made.show_lasting("volume", ())
    qtbot.waitUntil(lambda: made.sizeHint().height() == 0, timeout=2000)
