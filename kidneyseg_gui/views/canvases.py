# ruff: noqa: PLC0415 - imports inside functions: only the front that is used is imported
"""Which widget the 3-D pane is drawn in.

With a graphics card it is pyvistaqt's `QtInteractor`. Where the processor draws (llvmpipe and its kin), and on Qt's
offscreen platform, it is an ordinary widget that shows what PyVista draws out of sight (see `screen`). The environment
variable KIDNEYSEG_3D=pyvistaqt or KIDNEYSEG_3D=offscreen chooses one.
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


class Front(Protocol):
    """A widget with a PyVista plotter drawn in it.

    Attributes:
        widget: what the pane shows.
        plotter: where meshes are added.
        moving: whether the user turns, pans or zooms at present.
    """

    widget: QWidget
    plotter: Any
    moving: bool

    def redraw(self) -> None:
        """Something changed: draw it at the next paint."""

    def finish(self) -> None:
        """Let go of the graphics; nothing is drawn afterwards."""


@dataclass(frozen=True)
class Choice:
    """A front's name, and whether the processor draws (so that fewer points should be drawn)."""

    front: str
    software: bool


def choose() -> Choice:
    """Choose the front and import it. For a thread: both take a second or more."""
    software = _draws_by_processor()
    wish = os.environ.get(_VARIABLE, "").strip().lower()
    if QGuiApplication.platformName() == "offscreen":  # pyvistaqt's widget would end the process there
        front = OFFSCREEN
    elif wish in (PYVISTAQT, OFFSCREEN):
        front = wish
    else:
        if wish:
            log.warning("%s=%s is not known; it may be %s or %s", _VARIABLE, wish, PYVISTAQT, OFFSCREEN)
        front = OFFSCREEN if software else PYVISTAQT
    log.info("3-D by %s, drawn by the %s", front, "processor" if software else "graphics card")
    if front == PYVISTAQT:
        os.environ.setdefault("QT_API", "pyside6")
        import kidneyseg_gui.views.interactor_canvas
    else:
        import kidneyseg_gui.views.offscreen_canvas  # noqa: F401
    return Choice(front, software)


def make(choice: Choice, parent: QWidget | None) -> Front:
    """Build the chosen front, in the window's thread."""
    if choice.front == PYVISTAQT:
        from kidneyseg_gui.views.interactor_canvas import InteractorFront

        return InteractorFront(parent)
    from kidneyseg_gui.views.offscreen_canvas import Screen

    return Screen(parent)


def _draws_by_processor() -> bool:
    """Ask a window out of sight who draws in it."""
    import pyvista

    plotter = pyvista.Plotter(off_screen=True)
    try:
        capabilities = plotter.render_window.ReportCapabilities().lower()
    finally:
        plotter.close()
    return "opengl" not in capabilities or any(name in capabilities for name in _SOFTWARE)
