from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from fakes import FakePipeline, make_volume
from kidneyseg.editing import Voxels
from kidneyseg.editing.compare import compare
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.progress import Progress
from kidneyseg.settings import preset
from kidneyseg_gui.case import Case
from kidneyseg_gui.comparing import Compare
from kidneyseg_gui.scene import build_scene
from kidneyseg_gui.slices import AXIAL
from kidneyseg_gui.views.picture import Picture
from kidneyseg_gui.views.slice_view import SliceView

TISSUE = QColor(72, 190, 176)
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


def test_the_points_of_each_step_are_drawn_instead_of_the_fill(case: Case, qtbot: QtBot):
    picture = Picture(case, AXIAL)
    kidney, tumour = (QColor(*case.overlay.style(label).colour) for label in (KIDNEY, TUMOUR))
    case.set_scene(build_scene(case.mask, case.result, None, case.volume, Progress()))
    case.set_display(points=True)

    def hue_at(voxel: tuple[int, int, int]) -> int:
        return colour_at(case, picture, voxel).hue() // 6

    for cloud, expected in (
        ("sampled", {IN_KIDNEY: None, IN_TUMOUR: None, IN_BODY: None}),
        ("detected", {IN_KIDNEY: kidney, IN_TUMOUR: kidney, IN_BODY: 0}),
        ("classes", {IN_KIDNEY: kidney, IN_TUMOUR: tumour, IN_BODY: None}),
        ("objects", {IN_KIDNEY: kidney, IN_TUMOUR: tumour, IN_BODY: 0}),
        ("surface", {IN_KIDNEY: kidney, IN_TUMOUR: tumour, IN_BODY: 0}),
    ):
        case.set_display(cloud=cloud)
        for voxel, colour in expected.items():
            if colour == 0:
                assert colour_at(case, picture, voxel).saturation() == 0, (cloud, voxel)
            else:
                assert hue_at(voxel) == (TISSUE if colour is None else colour).hue() // 6, (cloud, voxel)
    case.toggle_overlay()
    assert hue_at(IN_TUMOUR) == tumour.hue() // 6, "the mask is hidden, its points are not"
    case.set_overlay(case.overlay.with_label(TUMOUR, visible=False))
    assert colour_at(case, picture, IN_TUMOUR).saturation() == 0


def test_the_mask_is_outlined_around_its_points_and_not_filled(case: Case):
    picture = Picture(case, AXIAL)
    case.set_overlay(replace(case.overlay, outlined=True))
    case.set_display(points=True)
    assert case.scene is None  # the 3-D objects are not ready yet
    assert colour_at(case, picture, IN_KIDNEY).saturation() == 0
    assert picture._outlined == [KIDNEY, TUMOUR, CYST]


def test_a_view_is_drawn_again_when_the_points_are_ready(case: Case, qtbot: QtBot):
    view = SliceView(case, AXIAL)
    qtbot.addWidget(view)
    view.resize(480, 400)
    view.show()
    case.set_display(points=True, crosshair=False)
    case.set_crosshair(IN_KIDNEY)
    view.grab()
    scene = build_scene(case.mask, case.result, None, case.volume, Progress())
    painted = []
    view.paintEvent = lambda _event: painted.append(True)
    case.set_scene(scene)
    qtbot.waitUntil(lambda: bool(painted), timeout=1000)
