"""Drives the real window in a process of its own, on a real (virtual) display, and prints what it saw as JSON.

    python tests/acceptance/window_driver.py CT FOLDER [--segment | --picture | --surface]

FOLDER gets a screenshot, window.png. With --segment the bundled networks run, a fill setting is changed and the mask
is exported; with --picture they run, and the crosshair goes into what was found: the README's picture is made so;
with --surface a stand-in for the networks labels by threshold, and the surface is shown.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import QSettings, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from kidneyseg_gui import application
from kidneyseg_gui.main_window import MainWindow
from kidneyseg_gui.prompts import Prompts
from kidneyseg_gui.services import Services


class _Answers(Prompts):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save_file(self, _parent: object, proposed: Path) -> Path:
        return self.folder / proposed.name

    def confirm(self, *_question: object) -> bool:
        return True


class Driver(MainWindow):
    """The window, with a script that runs on its own event loop."""

    ct: Path
    folder: Path
    segments = poses = surfaces = False

    def __init__(self) -> None:
        super().__init__(
            _fake_services() if self.surfaces else None,
            QSettings(str(self.folder / "options.ini"), QSettings.Format.IniFormat),
            _Answers(self.folder),
        )
        self.resize(1440, 900)
        self.seen: dict[str, object] = {}
        self._longest, self._last_beat = 0.0, 0.0
        self._beat = QTimer(self, interval=10)
        self._beat.timeout.connect(self._count_beat)
        QTimer.singleShot(0, self.script)

    def _count_beat(self) -> None:
        now = time.perf_counter()
        if self._last_beat:
            self._longest = max(self._longest, now - self._last_beat)
        self._last_beat = now

    def wait(self, until: object, seconds: float) -> None:
        """Let the window live until `until()` holds."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise TimeoutError(f"{until} did not come true; {self.notices.texts()}")
            QApplication.processEvents()
            time.sleep(0.002)

    def script(self) -> None:
        """See that everything is there; use it."""
        try:
            self._script()
        except Exception as error:
            self.seen["error"] = repr(error)
        print(json.dumps(self.seen), flush=True)
        self.case.dirty = False
        self.close()

    def _script(self) -> None:
        self.wait(lambda: self.case.volume is not None and not self.jobs.busy, 120)
        self.wait(lambda: self.quad.cloud._backend is not None, 120)
        self.seen["front"] = type(self.quad.cloud._backend.widget).__name__
        self.wait(lambda: not self.jobs._quiet, 120)
        self.seen["title"] = self.windowTitle()
        self._beat.start()
        if self.segments or self.poses or self.surfaces:
            self._segment()
        if self.surfaces:
            self._show_surface()
        if self.segments:
            self._change_and_export()
        self.seen["longest_stall_s"] = round(self._longest, 3)
        if self.poses:
            self._pose()
        QApplication.processEvents()
        picture = self.grab().toImage()
        picture.save(str(self.folder / "window.png"))
        for pane in self.quad.panes:
            self.seen[f"greys {pane.title}"] = _different_colours(pane.view.grab().toImage())

    def _segment(self) -> None:
        self.controller.segment()
        self.wait(lambda: self.case.scene is not None and not self.jobs.busy, 500)
        self.seen["voxels"] = int((self.case.mask > 0).sum())

    def _show_surface(self) -> None:
        self.case.set_display(cloud="sampled")
        QApplication.processEvents()
        points = _copy(self.quad.cloud.view.grab().toImage())
        self.case.set_display(cloud="surface")
        QApplication.processEvents()
        surface = _copy(self.quad.cloud.view.grab().toImage())
        self.seen["changed by the surface"] = float((points != surface).any(axis=-1).mean())
        self.seen["surface pixels"] = float((np.ptp(surface[..., :3].astype(int), axis=-1) > 60).mean())

    def _pose(self) -> None:
        middles = self.case.scene.tumours
        found = np.argwhere(self.case.mask[::4, ::4] == 1) * [4, 4, 1]
        if middles:
            self.case.set_crosshair(middles[0])
        elif len(found):
            self.case.set_crosshair(tuple(int(v) for v in found[found[:, 0] > found[:, 0].mean()].mean(axis=0)))
        self.case.set_window(350, 40)
        end = time.monotonic() + 1
        self.wait(lambda: time.monotonic() > end, 5)

    def _change_and_export(self) -> None:
        self.case.set_settings(self.case.settings.with_(fill={"method": "hull"}))
        began = time.monotonic()
        self.wait(lambda: self.case.result.settings.fill.method == "hull", 60)
        self.seen["update_s"] = round(time.monotonic() - began, 2)
        self.seen["networks_again"] = self.case.result.timings["stage 2"] > 0
        self.controller.ask_export()
        self.wait(lambda: not self.case.dirty, 60)
        self.seen["exported"] = sorted(path.name for path in self.folder.iterdir())


def _fake_services() -> Services:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
    from fakes import FakePipeline  # noqa: PLC0415 - only where it is wanted, from the folder just added

    return Services(pipeline=lambda volume, device: FakePipeline(volume, device=device))


def _copy(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4).copy()


def _different_colours(image: QImage) -> int:
    image = image.scaled(64, 64)
    return len({image.pixel(x, y) for x in range(64) for y in range(64)})


if __name__ == "__main__":
    Driver.ct, Driver.folder = Path(sys.argv[1]), Path(sys.argv[2])
    Driver.segments, Driver.poses = "--segment" in sys.argv, "--picture" in sys.argv
    Driver.surfaces = "--surface" in sys.argv
    application.MainWindow = Driver
    sys.exit(application.run(Driver.ct))
