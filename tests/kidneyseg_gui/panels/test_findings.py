from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PySide6.QtGui import QGuiApplication

from kidneyseg.editing import EditedMask
from kidneyseg.findings import Confidence, Findings, KidneyFinding, TumourFinding
from kidneyseg_gui.edits import Origin
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_a_click_on_a_tumour_takes_the_crosshair_there(window: WindowFixture):
    window.open()
    window.segment()
    window.case.set_crosshair((1, 2, 3))
    table = window.main.findings.table
    table.itemClicked.emit(table.item(2, 0))
    assert window.case.mask[window.case.crosshair] == 2


def test_a_click_on_a_kidney_takes_the_crosshair_to_its_centre(window: WindowFixture):
    window.open()
    window.segment()
    table = window.main.findings.table
    for row, side in ((0, "Right"), (1, "Left")):
        assert table.item(row, 1).text() == side
        table.itemClicked.emit(table.item(row, 0))
        assert window.case.mask[window.case.crosshair] == 1
        x = window.case.crosshair[0]
        assert (x > 24) == (side == "Right")  # x grows to the patient's right


def test_a_result_does_not_move_the_fields(make_window: MakeWindow):
    window = make_window(seconds=0.3)
    fields = (window.main.parameters.eps, window.main.parameters.device, window.main.labels.opacity)

    def places() -> list[int]:
        window.qtbot.wait(20)
        return [field.mapTo(window.main, field.rect().topLeft()).y() for field in fields]

    at_first = places()
    window.open()
    assert places() == at_first
    window.main.controller.segment()
    assert places() == at_first
    window.idle()
    assert places() == at_first
    result = window.case.result
    for count in (0, 9):
        findings = replace(result.findings, kidneys=(), tumours=result.findings.tumours * count)
        window.case.set_result(replace(result, findings=findings), "auto")
        assert places() == at_first
    window.case.set_settings(window.case.settings.with_(sampling={"kept_percent": 12.0}))
    assert places() == at_first


def test_a_side_that_the_ct_does_not_show_is_unknown(window: WindowFixture):
    window.open()
    window.segment()
    findings = Findings(
        (KidneyFinding(None, 150.0, 4.0, (9, 9, 9)),), (TumourFinding(None, 4.0, 20.0, (9, 9, 8)),), 150.0, 4.0
    )
    window.case.set_result(replace(window.case.result, findings=findings), "auto")
    table = window.main.findings.table
    assert [table.item(row, 1).text() for row in range(table.rowCount())] == ["Unknown", "Unknown"]


def test_the_findings_can_be_copied(window: WindowFixture):
    window.open()
    window.segment()
    window.main.findings.copy_table()
    lines = QGuiApplication.clipboard().text().splitlines()
    assert len(lines) == 3
    assert lines[0].split("\t")[:2] == ["Kidney", "Right"]
    assert lines[2].split("\t")[3] == "21 mm"
    titles = [window.main.findings.table.horizontalHeaderItem(column).text() for column in range(5)]
    assert titles == ["", "Side", "mL", "mm", "Sure"]


def test_no_text_of_the_table_is_cut_off(window: WindowFixture):
    window.open()
    window.segment()
    findings = Findings(
        (KidneyFinding(None, 1150.0, 4.0, (9, 9, 9)),),
        (TumourFinding(None, 1004.0, 120.0, (9, 9, 8), confidence=Confidence(0.38, 0.4)),),
        1150.0,
        1004.0,
    )
    window.case.set_result(replace(window.case.result, findings=findings), "auto")
    window.qtbot.wait(50)
    table = window.main.findings.table
    columns = range(table.columnCount())
    assert [c for c in columns if table.columnWidth(c) < table.sizeHintForColumn(c)] == []


def test_a_tumour_says_how_sure_it_is_and_a_doubtful_one_is_marked(window: WindowFixture):
    window.open()
    window.segment()
    sure, doubtful = Confidence(0.94, 0.81), Confidence(0.38, 0.4)
    tumours = (
        TumourFinding("left", 9.0, 30.0, confidence=sure),
        TumourFinding("left", 4.0, 20.0, confidence=doubtful),
        TumourFinding("left", 2.0, 9.0),
    )
    window.case.set_findings(replace(window.case.findings, kidneys=(), tumours=tumours))
    table = window.main.findings.table
    assert [table.item(row, 4).text() for row in range(3)] == ["94 %", "38 %?", ""]
    colours = [table.item(row, 0).foreground().color().name() for row in range(3)]
    assert colours[0] == colours[2] != colours[1]
    assert table.item(0, 0).toolTip() == (
        "Click to go there\n94 % sure that this is a tumour. "
        "Expected agreement of its outline with the true one (Dice): 0.81."
    )
    assert "Doubtful" in table.item(1, 4).toolTip()
    assert table.item(2, 0).toolTip() == "Click to go there"


def test_without_findings_the_panel_says_why(window: WindowFixture):
    empty = window.main.findings.empty
    window.open()
    assert empty.text() == "Nothing segmented yet."
    labels = np.zeros(window.case.volume.shape, np.uint8)
    labels[0, 0, 0] = 1
    window.case.edits.start_from(EditedMask(labels), Origin())
    assert empty.text() == "Measuring the mask…"
    window.case.set_findings(Findings((), (), 0.0, 0.0))
    assert empty.text() == "The mask holds no kidney."
