# ruff: noqa: PLC0415 - PyVista takes seconds to import, so functions import it after the first paint
"""Starts the program: what is slow to import comes after the first paint."""

from __future__ import annotations

import gc
import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QMessageBox

from kidneyseg.lazy import quick_imports
from kidneyseg.version import __version__
from kidneyseg_gui.jobs import JobQueue
from kidneyseg_gui.logs import catch_errors, start_log
from kidneyseg_gui.main_window import MainWindow
from kidneyseg_gui.theme import apply_theme
from kidneyseg_gui.widgets import single_shot

if TYPE_CHECKING:
    from kidneyseg_gui.views.canvases import Choice

log = logging.getLogger(__name__)
_IDLE_MS = 300
_NO_3D = "The 3-D view is not available here.\nEverything else works without it."


class _CloudLoader(QObject):
    """Imports PyVista in a thread and signals which canvas to build, None where there is no 3-D.

    What corrections need comes before it, so that the first one does not wait.
    """

    loaded = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.Thread(target=self._import, name="3-D import", daemon=True)

    def start(self) -> None:
        """Begin importing."""
        self._thread.start()

    def wait(self) -> None:
        """Wait for the import's end: Python must not end during it, VTK would abort."""
        if self._thread.is_alive():
            self._thread.join()

    def _import(self) -> None:
        with quick_imports():
            import kidneyseg.editing.click
            import kidneyseg.editing.shape  # noqa: F401 - loads scipy in this thread, so that the first correction need not wait
        try:
            import kidneyseg_gui.views.pyvista_cloud  # noqa: F401 - imported here, in a thread; `_build_cloud` uses it
            from kidneyseg_gui.views.canvases import choose

            self.loaded.emit(choose())
        except Exception:  # whatever the graphics driver does to VTK, the rest of the window must work
            log.exception("the 3-D view cannot be loaded")
            self.loaded.emit(None)


def run(ct: Path | None, mask: Path | None = None) -> int:
    """Show the window, with `ct` and its mask, or the sample case. Returns the exit status."""
    began = time.monotonic()
    asked = _note_interrupts()
    existing = QApplication.instance()
    application = existing if isinstance(existing, QApplication) else QApplication(["kidneyseg-gui"])
    QGuiApplication.setDesktopFileName("kidneyseg")
    application.setApplicationName("KidneySeg")
    application.setApplicationVersion(__version__)
    start_log()
    apply_theme(application)
    window = MainWindow()
    catch_errors(lambda text: QMessageBox.critical(window, "KidneySeg", text))
    pulse = _answer_interrupts(window, asked)
    window.show()
    loader = _CloudLoader()
    loader.loaded.connect(lambda choice: _build_cloud(window, choice))

    def after_first_paint() -> None:
        log.info("KidneySeg %s, first paint after %.2f s", __version__, time.monotonic() - began)
        window.controller.open(ct)
        _after_opening(window, mask)
        _spare_collections(window)
        window.jobs.warm_up()
        when_idle(window.jobs, loader.start)

    QTimer.singleShot(0, lambda: QTimer.singleShot(30, after_first_paint))
    status = application.exec()
    pulse.stop()
    loader.wait()
    return status


def when_idle(jobs: JobQueue, start: Callable[[], None]) -> None:
    """Call `start` once, after no work was in hand for a moment.

    PyVista takes two seconds of the interpreter. What the user waits for comes first: the CT, and its mask where
    Segment is pressed at once.
    """

    def began_or_ended() -> None:
        (timer.stop if jobs.busy else timer.start)()

    def finish() -> None:
        jobs.busy_changed.disconnect(began_or_ended)
        start()

    timer = single_shot(jobs, _IDLE_MS, finish)
    jobs.busy_changed.connect(began_or_ended)
    began_or_ended()


def _spare_collections(window: MainWindow) -> None:
    """Keep what the imports have left out of garbage collections, which would stall the window for half a second."""

    once = Qt.ConnectionType.SingleShotConnection
    for imported in (window.jobs.warmed_up, window.jobs.segmented):  # the first segmentation imports the rest
        imported.connect(lambda *_: gc.freeze(), once)


def _after_opening(window: MainWindow, mask: Path | None) -> None:
    """Lay the mask over the CT, and offer what a crash has left, once the first CT is open or cannot be."""

    def go_on(*_: object) -> None:
        for ended in endings:
            ended.disconnect(go_on)
        QTimer.singleShot(0, finish)  # after the window has shown how it went

    def finish() -> None:
        if mask is not None and window.case.volume is not None:
            window.mask_files.open(mask)
        window.recovering.offer()

    endings = (window.jobs.opened, window.jobs.label_map_found, window.jobs.failed)
    for ended in endings:
        ended.connect(go_on)


def _build_cloud(window: MainWindow, choice: Choice | None) -> None:
    if choice is None:
        window.quad.cloud.fail(_NO_3D)
        return
    from kidneyseg_gui.views import canvases
    from kidneyseg_gui.views.pyvista_cloud import PyVistaCloud

    try:
        canvas = canvases.make(choice, window.quad.cloud)
        window.quad.cloud.set_backend(PyVistaCloud(canvas, software=choice.software))
    except Exception:  # as when it is loaded
        log.exception("the 3-D view cannot be built")
        window.quad.cloud.fail(_NO_3D)


def _note_interrupts() -> threading.Event:
    """An event that Ctrl+C in the terminal, or the session's end, sets from now on.

    A handler runs between any two steps of the window's thread, also in an import that the working thread waits for, so
    it does no more than that.
    """
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    return asked


def _answer_interrupts(window: MainWindow, asked: threading.Event) -> QTimer:
    """End the program once it is asked to; options are saved as by closing the window, and edits for the next start.

    Python handles signals only while it runs, hence the timer.
    """

    def stop_if_asked() -> None:
        if asked.is_set():
            pulse.stop()
            window.save_options()
            window.case.edits.finish_stroke()
            window.hide()
            window.autosave.flush()
            window.jobs.shutdown()
            window.autosave.close(keep=window.case.dirty)  # the next start offers it
            QApplication.exit(130)

    pulse = QTimer(interval=200)
    pulse.timeout.connect(stop_if_asked)
    pulse.start()
    return pulse
