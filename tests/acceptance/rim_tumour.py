"""Draws a tumour and a kidney with the same surface, and prints two shares of the tumour: how much the kidney tints,
and how much of it is kidney-coloured once the tumour is hidden. Then draws points of a cyst in points of a kidney, and
prints the share of the drawn pixels that have the cyst's colour.

In a process of its own: VTK keeps its X connection until the process ends, and the server must live that long.
"""

from __future__ import annotations

import numpy as np
import pyvista
from PySide6.QtWidgets import QApplication

from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg_gui.scene import Dots, Scene
from kidneyseg_gui.views.offscreen_canvas import OffscreenCanvas
from kidneyseg_gui.views.pyvista_cloud import PyVistaCloud


def main() -> None:
    """Red kidney, green tumour."""
    _application = QApplication([])
    canvas = OffscreenCanvas()
    whole = pyvista.Sphere(radius=30.0, theta_resolution=60, phi_resolution=60)
    scene = Scene({}, {KIDNEY: whole, TUMOUR: whole.copy()}, None, None, None, pyvista.Sphere(radius=8.0))
    cloud = PyVistaCloud(canvas, software=True)
    cloud.show_scene(scene, "surface", {KIDNEY: (255, 0, 0), TUMOUR: (0, 255, 0)})
    red, green = colours_of(canvas)
    ball = (green > 100) | (red > 100)
    print(float(np.mean(red[ball] > green[ball] / 2)) if ball.mean() > 0.1 else "nothing was drawn")
    cloud.show_scene(scene, "surface", {KIDNEY: (255, 0, 0)})
    red, green = colours_of(canvas)
    print(float(np.mean(red[ball] > green[ball] + 30)))
    dots = {label: dots_on_a_ball(radius) for label, radius in ((KIDNEY, 30.0), (CYST, 15.0))}
    points = Scene({"classes": dots}, {}, None, None, None)
    cloud.show_scene(points, "classes", {KIDNEY: (255, 0, 0), CYST: (0, 255, 0)})
    red, green = colours_of(canvas)
    print(float(np.mean(green > red + 60)))
    canvas.finish()


def dots_on_a_ball(radius: float) -> Dots:
    """Points of full brightness."""
    points = pyvista.Sphere(radius=radius, theta_resolution=120, phi_resolution=120).points.astype(np.float32)
    return Dots(points, np.ones(len(points), np.float32))


def colours_of(canvas: OffscreenCanvas) -> tuple[np.ndarray, np.ndarray]:
    """The red and the green of every pixel."""
    canvas.plotter.render_window.Render()  # PyVista renders for the first screenshot only
    red, green, _ = np.moveaxis(canvas.plotter.screenshot(return_img=True).astype(int), 2, 0)
    return red, green


if __name__ == "__main__":
    main()
