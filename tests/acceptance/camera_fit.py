"""Draws a tall and a wide box after a reset, and one after a small box; prints how much of the view each fills.

The share is that of the dimension that fits tighter; 1 means that the view cuts the box.
In a process of its own, as rim_tumour.py.
"""

from __future__ import annotations

import numpy as np
import pyvista
from PySide6.QtWidgets import QApplication

from kidneyseg.imaging.labels import KIDNEY
from kidneyseg_gui.scene import Scene
from kidneyseg_gui.views.offscreen_canvas import OffscreenCanvas
from kidneyseg_gui.views.pyvista_cloud import PyVistaCloud


def main() -> None:
    """Print one share a line."""
    _application = QApplication([])
    canvas = OffscreenCanvas()
    cloud = PyVistaCloud(canvas, software=True)

    def show(across: float, up: float) -> None:
        surface = pyvista.Box((0, across, 0, 80, 0, up)).triangulate()
        cloud.show_scene(Scene({}, {KIDNEY: surface}, (), (), None, None), "surface", {KIDNEY: (255, 0, 0)})

    def print_share(width: int, height: int) -> None:
        canvas.grab()
        pixels = canvas._pixels.reshape(height, width, 4).astype(int)
        rows, columns = np.nonzero(pixels[..., 0] > pixels[..., 1] + 30)
        print(max(np.ptp(rows) + 1, 0) / height, max(np.ptp(columns) + 1, 0) / width)

    for across, up in ((60, 400), (400, 60)):
        show(across, up)
        for width, height in ((700, 300), (300, 700)):
            canvas.resize(width, height)
            cloud.reset_camera()
            print_share(width, height)
    show(30, 30)
    cloud.reset_camera()
    show(400, 60)  # so much larger that the camera is fitted again
    print_share(300, 700)
    canvas.finish()


if __name__ == "__main__":
    main()
