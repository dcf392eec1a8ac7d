from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QRect
from PySide6.QtGui import QImage, QPainter
from pytestqt.qtbot import QtBot

from fakes import make_volume
from kidneyseg_gui.case import Case
from kidneyseg_gui.slices import AXIAL, CORONAL, Plane
from kidneyseg_gui.views.annotations import Annotations, position_text

AREA = QRect(0, 0, 400, 300)


def texts_of(case: Case, plane: Plane, monkeypatch: pytest.MonkeyPatch, **more: object) -> list[str]:
    """What is written into a view of 400 × 300 pixels."""
    written: list[str] = []
    monkeypatch.setattr(Annotations, "_write", lambda _self, _painter, text, *_at, **_more: written.append(text))
    image = QImage(AREA.size(), QImage.Format.Format_RGB32)
    painter = QPainter(image)
    values = {"cross": QPointF(50, 50), "pixels_per_mm": 2.0, "pointed": None, **more}
    Annotations(case, plane).draw(painter, AREA, **values)
    painter.end()
    return written


@pytest.fixture
def case(qtbot: QtBot) -> Case:
    made = Case()
    made.open(make_volume())
    return made


def test_position_is_given_by_the_patients_directions():
    affine = np.array([[2.0, 0, 0, -20], [0, 2, 0, 10], [0, 0, 5, -50], [0, 0, 0, 1]])
    assert position_text(affine, (0, 0, 10)) == "L 20.0  A 10.0  S 0.0 mm"
    assert position_text(affine, (15, 1, 0)) == "R 10.0  A 12.0  I 50.0 mm"


def test_letters_scale_and_window_are_written(case: Case, monkeypatch: pytest.MonkeyPatch):
    assert texts_of(case, AXIAL, monkeypatch) == ["R", "L", "A", "P", "2 cm", "W 350  L 40"]
    case.set_display(radiological=False)
    case.set_window(1500, 300)
    assert texts_of(case, CORONAL, monkeypatch, pixels_per_mm=20.0) == ["L", "R", "S", "I", "2 mm", "W 1500  L 300"]


def test_the_value_under_the_mouse_is_in_hu_only_where_it_is(case: Case, monkeypatch: pytest.MonkeyPatch):
    at = (24, 20, 12)
    assert f"{case.volume.hu[at]} HU" in texts_of(case, AXIAL, monkeypatch, pointed=at)
    case.open(make_volume(calibrated=False))
    written = texts_of(case, AXIAL, monkeypatch, pointed=at)
    assert f"{case.volume.hu[at]} (uncalibrated)" in written
    assert "voxel 24 20 12" in written


@pytest.mark.parametrize(("plane", "drawn"), [(AXIAL, True), (CORONAL, False)])
def test_the_invitation_stands_in_the_axial_view(qtbot: QtBot, plane: Plane, drawn: bool):
    image = QImage(AREA.size(), QImage.Format.Format_RGB32)
    image.fill(0)
    before = image.copy()
    painter = QPainter(image)
    Annotations(Case(), plane).draw_invitation(painter, AREA)
    painter.end()
    assert (image != before) is drawn
