"""The case is the only state: views and panels that are built from it later show the same."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QImage
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QLabel,
    QSlider,
    QTableWidget,
    QToolButton,
    QWidget,
)

from kidneyseg.editing import Voxels
from kidneyseg_gui.slices import PLANES
from kidneyseg_gui.tools import Tool
from kidneyseg_gui.views.slice_view import SliceView
from window_fixture import WindowFixture

FIELDS = (QLabel, QToolButton, QCheckBox, QComboBox, QSlider, QAbstractSpinBox, QTableWidget)


def picture(view: SliceView) -> QImage:
    view.resize(300, 280)
    return view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)


def contents(panel: QWidget) -> list[tuple[str, dict[str, object]]]:
    """What every field of a panel holds and whether it is to be seen."""
    names = ("text", "value", "isChecked", "currentText", "rowCount", "isEnabled")
    found = []
    for field in (field for kind in FIELDS for field in panel.findChildren(kind)):
        values: dict[str, object] = {name: getattr(field, name)() for name in names if hasattr(field, name)}
        found.append((type(field).__name__, values | {"hidden": field.isHidden()}))
    return found


def test_views_and_panels_can_be_rebuilt_at_any_time(window: WindowFixture):
    window.open()
    window.segment()
    case = window.case
    case.set_crosshair((30, 17, 14))
    case.set_window(300, 130)
    case.set_tool(tool=Tool.BRUSH, label=3, radius_mm=9.0)
    case.edits.paint("Paint", Voxels(np.arange(20000, 21000, dtype=np.uint32), np.full(1000, 3, np.uint8)))
    case.edits.set_locked(frozenset({1}))
    case.set_overlay(case.overlay.with_label(2, visible=False))
    window.qtbot.waitUntil(lambda: not window.jobs.in_background, timeout=10000)
    window.qtbot.wait(50)
    for pane, plane in zip(window.main.quad.slices, PLANES, strict=True):
        fresh = SliceView(case, plane)
        window.qtbot.addWidget(fresh)
        assert picture(fresh) == picture(pane.slices)
    panels = (window.main.correcting, window.main.findings, window.main.labels, window.main.parameters)
    for panel in panels:
        again = type(panel)(case)
        window.qtbot.addWidget(again)
        assert contents(again) == contents(panel)
        assert len(contents(again)) > 3
