"""Tools and labels that are hidden: what is painted is seen, and what is not seen is not erased."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from kidneyseg_gui.tools import Tool
from kidneyseg_gui.views.slice_view import SliceView
from window_fixture import WindowFixture

TUMOUR_AT, KIDNEY_AT = (34, 18, 12), (14, 16, 12)


@pytest.fixture
def view(window: WindowFixture) -> SliceView:
    window.open()
    window.segment()
    window.case.set_crosshair(TUMOUR_AT)
    return window.main.quad.slices[0].slices


def click(view: SliceView, voxel: tuple[int, int, int]) -> None:
    at = view.position_of(voxel).toPoint()
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)


@pytest.mark.parametrize("all_hidden", [False, True])
def test_painting_shows_the_label_that_is_painted(view: SliceView, all_hidden: bool):
    case = view._case
    case.set_tool(tool=Tool.BRUSH, label=3)
    case.set_overlay(replace(case.overlay.with_label(3, visible=False), shown=not all_hidden))
    click(view, TUMOUR_AT)
    assert case.mask[TUMOUR_AT] == 3
    assert 3 in case.overlay.drawn


def test_the_eraser_leaves_hidden_labels_alone(view: SliceView):
    case = view._case
    assert [case.mask[TUMOUR_AT], case.mask[KIDNEY_AT]] == [2, 1]
    case.set_tool(tool=Tool.ERASER)
    case.set_overlay(case.overlay.with_label(1, visible=False))
    kidney = case.mask == 1
    click(view, TUMOUR_AT)
    click(view, KIDNEY_AT)
    assert case.mask[TUMOUR_AT] == 0
    np.testing.assert_array_equal(case.mask == 1, kidney)


def test_a_hidden_piece_is_not_deleted(view: SliceView, window: WindowFixture):
    case = view._case
    case.set_overlay(case.overlay.with_label(2, visible=False))
    case.pointed = TUMOUR_AT
    window.main.actions_.edit.delete.trigger()
    assert not window.jobs.in_background
    assert case.mask[TUMOUR_AT] == 2
