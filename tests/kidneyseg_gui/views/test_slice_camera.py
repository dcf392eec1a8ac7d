from __future__ import annotations

import pytest
from PySide6.QtCore import QPointF, QSize

from fakes import make_volume
from kidneyseg_gui.case import Case
from kidneyseg_gui.slices import AXIAL
from kidneyseg_gui.views.slice_camera import SliceCamera

SIZE = QSize(400, 300)


@pytest.fixture
def camera(qtbot: object) -> SliceCamera:
    case = Case()
    case.open(make_volume((60, 40, 20), (1.0, 1.5, 4.0)))
    return SliceCamera(case, AXIAL)


def test_a_slice_fits_into_the_view_at_first(camera: SliceCamera):
    assert camera.pixels_per_mm(SIZE) == 300 / 60  # 60 mm high and wide
    assert camera.transform(SIZE).map(QPointF(30, 20)) == QPointF(200, 150)


def test_a_zoom_keeps_the_place_under_the_mouse(camera: SliceCamera):
    fixed = QPointF(320, 40)
    before = camera.transform(SIZE).inverted()[0].map(fixed)
    camera.zoom_at(2.0, fixed, SIZE)
    after = camera.transform(SIZE).inverted()[0].map(fixed)
    assert (after.x(), after.y()) == pytest.approx((before.x(), before.y()))
    assert camera.pixels_per_mm(SIZE) == 10
    camera.zoom_at(1e6, fixed, SIZE)
    assert camera.pixels_per_mm(SIZE) == 40 * 5  # no further


def test_a_view_of_another_size_shows_the_same_place(camera: SliceCamera):
    camera.move(QPointF(20, -10))
    before = camera.transform(SIZE).inverted()[0].map(QPointF(200, 150))
    camera.resize(2.0)
    after = camera.transform(SIZE * 2).inverted()[0].map(QPointF(400, 300))
    assert (after.x(), after.y()) == pytest.approx((before.x(), before.y()))
    camera.reset()
    assert camera.transform(SIZE).map(QPointF(30, 20)) == QPointF(200, 150)
