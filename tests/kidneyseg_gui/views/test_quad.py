from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from window_fixture import WindowFixture


def test_panes_are_linked(window: WindowFixture):
    window.open()
    axial, coronal, sagittal = window.main.quad.slices
    axial.slider.setValue(3)
    assert window.case.crosshair[2] == 3
    QTest.mouseClick(coronal.slices, Qt.MouseButton.LeftButton, pos=coronal.slices.position_of((9, 0, 17)).toPoint())
    assert axial.slider.value() == 17
    assert sagittal.slider.value() == 9


def test_double_click_maximises_and_restores(window: WindowFixture):
    window.open()
    axial = window.main.quad.slices[0]
    QTest.mouseDClick(axial.slices, Qt.MouseButton.LeftButton)
    assert [pane.isVisible() for pane in window.main.quad.panes] == [True, False, False, False]
    QTest.mouseDClick(axial.slices, Qt.MouseButton.LeftButton)
    assert all(pane.isVisible() for pane in window.main.quad.panes)


def test_a_double_click_leaves_the_crosshair_where_it_was(window: WindowFixture):
    window.open()
    view = window.main.quad.slices[0].slices
    before = window.case.crosshair
    at, left = view.position_of((9, 30, 0)).toPoint(), Qt.MouseButton.LeftButton
    QTest.mouseClick(view, left, pos=at)  # moves it at once: a single click does not wait for a second one
    assert window.case.crosshair[:2] == (9, 30)
    QTest.mouseDClick(view, left, pos=at)
    assert window.case.crosshair == before
    assert window.case.display.maximised == "Axial"
