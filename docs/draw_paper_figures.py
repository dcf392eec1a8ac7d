"""Draws the six pictures of docs/paper.md, as the window shows them: python docs/draw_paper_figures.py [CT]

Without a CT it is the synthetic sample case. It needs no display.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before anything of Qt is imported

import numpy as np
from PySide6.QtCore import QPoint, QRect, QSettings, QSize
from PySide6.QtWidgets import QApplication

from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.settings import PRESET_NAMES, preset
from kidneyseg_gui.main_window import MainWindow
from kidneyseg_gui.theme import apply_theme
from kidneyseg_gui.views.offscreen_canvas import OffscreenCanvas
from kidneyseg_gui.views.pyvista_cloud import PyVistaCloud

IMAGES = Path(__file__).resolve().parent / "images"
_SIZE = QSize(600, 470)
_SLICE = QSize(1080, 1080)  # of which the part around the kidneys is kept


class Figure(NamedTuple):
    """A picture: its file, the pane that is grabbed, and how the window is set for it."""

    file: str
    pane: str
    display: dict[str, Any]
    mask: bool = False


FIGURES = (
    Figure("paper-1-deck.png", "3D", {"cloud": "deck"}),
    Figure("paper-2-cloud.png", "3D", {"cloud": "sampled"}),
    Figure("paper-3-kidney-cloud.png", "3D", {"cloud": "detected"}),
    Figure("paper-4-class-cloud.png", "3D", {"cloud": "classes"}),
    Figure("paper-5-points.png", "Axial", {"cloud": "classes", "points": True}),
    Figure("paper-6-hulls.png", "Axial", {"cloud": "objects", "points": True}, mask=True),
)


def main() -> None:
    """Segment a CT in a window that nobody sees, and save what it shows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", nargs="?", type=Path, metavar="CT", help="the sample case, if none is given")
    parser.add_argument("-o", "--output", type=Path, default=IMAGES, metavar="FOLDER", help="docs/images")
    parser.add_argument("--preset", choices=PRESET_NAMES, default="paper", help="(%(default)s)")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    application = QApplication([])
    apply_theme(application)
    with tempfile.TemporaryDirectory() as folder:
        store = QSettings(f"{folder}/options.ini", QSettings.Format.IniFormat)
        window = MainWindow(None, store, None, Path(folder) / "autosave")
        # All points, however long they take to draw.
        window.quad.cloud.set_backend(PyVistaCloud(OffscreenCanvas(), software=False))
        window.show()
        try:
            _segment(window, arguments.ct, arguments.preset)
            for figure in FIGURES:
                print(_draw(window, figure, arguments.output))
        finally:
            window.case.mark_saved()
            window.close()


def _segment(window: MainWindow, ct: Path | None, method: str) -> None:
    case = window.case
    window.controller.open(ct)
    _wait(lambda: case.volume is not None and not window.jobs.busy)
    case.set_settings(preset(method))
    window.controller.segment()
    _wait(lambda: case.scene is not None and not window.jobs.busy and not window.jobs.in_background)
    case.set_display(crosshair=False)
    if case.mask is None or not (case.mask > 0).any():
        sys.exit("nothing was segmented, so there is nothing to draw")
    # The slice with most tumour, or most kidney.
    per_slice = [(case.mask == label).sum(axis=(0, 1)) for label in (TUMOUR, KIDNEY)]
    index = int(per_slice[0].argmax() if per_slice[0].any() else per_slice[1].argmax())
    x, y = (int(found.min() + found.max()) // 2 for found in np.nonzero(case.mask[:, :, index]))
    case.set_crosshair((x, y, index))


def _draw(window: MainWindow, figure: Figure, folder: Path) -> Path:
    case = window.case
    case.set_display(maximised=figure.pane, **{"points": False, **figure.display})
    case.set_overlay(replace(case.overlay, shown=True if figure.pane == "3D" else figure.mask))
    pane = next(one for one in window.quad.panes if one.title == figure.pane)
    _settle()
    window.resize(window.size() + (_SIZE if figure.pane == "3D" else _SLICE) - pane.view.size())
    _settle()
    window.quad.cloud.reset_camera()
    _settle()
    area = pane.view.rect()
    if figure.pane != "3D":
        middle = window.quad.slices[0].slices.position_of(case.crosshair).toPoint()
        area = QRect(middle - QPoint(_SIZE.width(), _SIZE.height()) / 2, _SIZE)
    path = folder / figure.file
    pane.view.grab(area).save(str(path))
    return path


def _settle() -> None:
    end = time.monotonic() + 0.15
    _wait(lambda: time.monotonic() > end)


def _wait(until: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            sys.exit("the window took too long")
        QApplication.processEvents()
        time.sleep(0.005)


if __name__ == "__main__":
    main()
