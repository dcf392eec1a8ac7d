"""What the 3-D pane draws where the processor draws it."""

from __future__ import annotations

import numpy as np
import pyvista
from pytestqt.qtbot import QtBot

from kidneyseg.points.cloud import KIDNEY, TUMOUR
from kidneyseg_gui.scene import Scene
from kidneyseg_gui.views.pyvista_cloud import PyVistaCloud
from kidneyseg_gui.views.screen import Screen


def test_a_tumour_at_the_rim_is_not_striped_by_the_kidneys_surface(qtbot: QtBot):
    screen = Screen()
    qtbot.addWidget(screen, before_close_func=lambda _: screen.finish())
    cloud = PyVistaCloud(screen, software=True)
    whole = pyvista.Sphere(radius=30.0, theta_resolution=60, phi_resolution=60)
    scene = Scene({}, {KIDNEY: whole, TUMOUR: whole.copy()}, (), None, None)
    cloud.show_scene(scene, "surface", {KIDNEY: (255, 0, 0), TUMOUR: (0, 255, 0)})
    red, green, _ = np.moveaxis(screen.plotter.screenshot(return_img=True).astype(int), 2, 0)
    ball = (green > 100) | (red > 100)
    assert ball.mean() > 0.1
    assert np.mean(red[ball] > green[ball] / 2) < 0.01
