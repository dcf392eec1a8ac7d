from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from fakes import FakePipeline, make_volume
from kidneyseg.editing import Voxels
from kidneyseg.editing.compare import compare
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.settings import preset
from kidneyseg_gui.case import Case
from kidneyseg_gui.comparing import Compare
from kidneyseg_gui.slices import AXIAL
from kidneyseg_gui.views.picture import Picture
from kidneyseg_gui.views.slice_view import SliceView

IN_KIDNEY, IN_TUMOUR, IN_BODY = (13, 16, 12), (34, 18, 14), (24, 30, 12)


@pytest.fixture
def case(qtbot: QtBot) -> Case:
    made = Case()
    made.open(make_volume())
    made.set_result(FakePipeline(made.volume).run(preset("default")), "auto")
    made.set_overlay(replace(made.overlay, opacity=1.0, outlined=False))
    return made


def colour_at(case: Case, picture: Picture, voxel: tuple[int, int, int]) -> QColor:
    case.set_crosshair(voxel)
    return picture.image().pixelColor(voxel[0], voxel[1])


def test_labels_have_their_colours_and_hidden_ones_none(case: Case):
    picture = Picture(case, AXIAL)
    assert case.mask[IN_KIDNEY] == KIDNEY
    assert case.mask[IN_TUMOUR] == TUMOUR
    assert colour_at(case, picture, IN_KIDNEY) == QColor(*case.overlay.style(KIDNEY).colour)
    assert colour_at(case, picture, IN_TUMOUR) == QColor(*case.overlay.style(TUMOUR).colour)
    assert colour_at(case, picture, IN_BODY).saturation() == 0
    case.set_overlay(case.overlay.with_label(TUMOUR, visible=False))
    assert colour_at(case, picture, IN_TUMOUR).saturation() == 0
    case.toggle_overlay()
    assert colour_at(case, picture, IN_KIDNEY).saturation() == 0


def test_an_image_is_kept_until_something_changes(case: Case):
    picture = Picture(case, AXIAL)
    before = picture.image().cacheKey()
    case.set_crosshair((1, 2, case.crosshair[2]))  # the same slice
    assert picture.image().cacheKey() == before
    for change in (
        lambda: case.step(2, 1),
        lambda: case.set_window(1500, 300),
        case.toggle_overlay,
        lambda: case.edits.paint(
            "Paint", Voxels(np.arange(48 * 40 * 24, dtype=np.uint32), np.full(48 * 40 * 24, KIDNEY, np.uint8))
        ),
        lambda: case.open(make_volume()),
    ):
        change()
        assert picture.image().cacheKey() != before
        before = picture.image().cacheKey()


def test_no_outline_lies_over_the_differences(case: Case, qtbot: QtBot):
    view = SliceView(case, AXIAL)
    qtbot.addWidget(view)
    view.resize(480, 400)
    case.set_display(crosshair=False)
    case.set_overlay(replace(case.overlay, outlined=True))
    other = case.mask.copy(order="K")
    other[IN_KIDNEY] = 0  # one voxel: an outline would cover it
    ours = case.mask.copy(order="K")
    case.set_crosshair(IN_KIDNEY)
    case.set_compare(Compare("b", other, compare(ours, other, case.volume)))
    colour = view.grab().toImage().pixelColor(view.position_of(IN_KIDNEY).toPoint())
    assert colour.green() > colour.red()
    assert not view._picture._outlined
