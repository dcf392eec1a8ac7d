"""Draws a tumour and a kidney with the same surface, and prints the share of the tumour that the kidney tints.

In a process of its own: VTK keeps its X connection until the process ends, and the server must live that long.
"""

from __future__ import annotations

import numpy as np
import pyvista
from PySide6.QtWidgets import QApplication

from kidneyseg.points.cloud import KIDNEY, TUMOUR
from kidneyseg_gui.scene import Scene
from kidneyseg_gui.views.offscreen_canvas import OffscreenCanvas
from kidneyseg_gui.views.pyvista_cloud import PyVistaCloud


def main() -> None:
    """Red kidney, green tumour."""
    _application = QApplication([])
    canvas = OffscreenCanvas()
    whole = pyvista.Sphere(radius=30.0, theta_resolution=60, phi_resolution=60)
    scene = Scene({}, {KIDNEY: whole, TUMOUR: whole.copy()}, (), None, None)
    PyVistaCloud(canvas, software=True).show_scene(scene, "surface", {KIDNEY: (255, 0, 0), TUMOUR: (0, 255, 0)})
    red, green, _ = np.moveaxis(canvas.plotter.screenshot(return_img=True).astype(int), 2, 0)
    ball = (green > 100) | (red > 100)
    print(float(np.mean(red[ball] > green[ball] / 2)) if ball.mean() > 0.1 else "nothing was drawn")
    canvas.finish()


if __name__ == "__main__":
    main()
