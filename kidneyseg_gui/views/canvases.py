# ruff: noqa: PLC0415 - imports inside functions: only the canvas that is used is imported
"""Chooses the widget that the 3-D pane draws in.

With a graphics card it is pyvistaqt's `QtInteractor`; with software OpenGL (llvmpipe and its kin), and on Qt's
offscreen platform, it is an ordinary widget that shows an off-screen rendering (see `offscreen_canvas`). The
environment variable KIDNEYSEG_3D=pyvistaqt or KIDNEYSEG_3D=offscreen overrides the choice.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any, Protocol

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

log = logging.getLogger(__name__)
PYVISTAQT, OFFSCREEN = "pyvistaqt", "offscreen"
_VARIABLE = "KIDNEYSEG_3D"
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software rasterizer", "openswr", "gdi generic", "basic render")


class Canvas(Protocol):
    """A widget that shows a PyVista plotter.

    Attributes:
        widget: what the pane shows.
        plotter: a PyVista plotter, where meshes are added.
        moving: whether the user is turning, panning or zooming.
    """

    widget: QWidget
    plotter: Any
    moving: bool

    def redraw(self) -> None:
        """Draw at the next paint."""

    def finish(self) -> None:
        """Release the graphics; nothing is drawn afterwards."""


@dataclass(frozen=True)
class Choice:
    """The name of a canvas, and whether OpenGL is software (so that fewer points should be drawn)."""

    canvas: str
    software: bool


def choose() -> Choice:
    """Choose the canvas and import it. To be called in a thread, since imports take a second or more."""
    software = _renders_in_software()
    wish = os.environ.get(_VARIABLE, "").strip().lower()
    if QGuiApplication.platformName() == "offscreen":  # pyvistaqt's widget would end the process there
        canvas = OFFSCREEN
    elif wish in (PYVISTAQT, OFFSCREEN):
        canvas = wish
    else:
        if wish:
            log.warning("%s=%s is not known; it may be %s or %s", _VARIABLE, wish, PYVISTAQT, OFFSCREEN)
        canvas = OFFSCREEN if software else PYVISTAQT
    log.info("3-D canvas: %s, with %s OpenGL", canvas, "software" if software else "hardware")
    if canvas == PYVISTAQT:
        os.environ.setdefault("QT_API", "pyside6")
        import kidneyseg_gui.views.interactor_canvas
    else:
        import kidneyseg_gui.views.offscreen_canvas  # noqa: F401 - imported in this thread for `make`
    return Choice(canvas, software)


def make(choice: Choice, parent: QWidget | None) -> Canvas:
    """Build the chosen canvas. To be called in the window's thread."""
    if choice.canvas == PYVISTAQT:
        from kidneyseg_gui.views.interactor_canvas import InteractorCanvas

        return InteractorCanvas(parent)
    from kidneyseg_gui.views.offscreen_canvas import OffscreenCanvas

    return OffscreenCanvas(parent)


def _renders_in_software() -> bool:
    """Whether OpenGL is software, from what an off-screen window reports of its driver."""
    import pyvista

    plotter = pyvista.Plotter(off_screen=True)
    try:
        window = plotter.render_window
        capabilities = window.ReportCapabilities().lower() if window is not None else ""
    finally:
        plotter.close()
    return "opengl" not in capabilities or any(name in capabilities for name in _SOFTWARE)
