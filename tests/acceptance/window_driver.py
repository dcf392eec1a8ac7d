"""Drives the real window in a process of its own, on a real (virtual) display, and prints what it saw as JSON.

    python tests/acceptance/window_driver.py CT FOLDER [--segment | --picture | --surface | --frames | --at-once]

FOLDER gets a screenshot, window.png. With --segment the bundled networks run, a fill setting is changed and the mask
is exported. With --picture they run, and the crosshair goes to the result, as in the README's picture. With --surface
a fake pipeline labels by threshold, and the surface is shown. With --frames the bundled networks run, and the time of
a frame is measured while the 3-D view turns and while the slices' window and level change. With --at-once Segment is
pressed as soon as it can be, and the seconds from the start of the process to the CT and to its mask are measured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
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

    def save_mask(self, parent: object, proposed: Path) -> Path:
        return self.folder / proposed.name

    def confirm(self, *_question: object) -> bool:
        return True


class Driver(MainWindow):
    """The window, with a script that runs on its own event loop."""

    ct: Path
    folder: Path
    segments = poses = surfaces = frames = at_once = False

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

    def wait(self, until: Callable[[], bool], seconds: float) -> None:
        """Process events until `until()` holds."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise TimeoutError(f"{until} did not come true; {self.notices.texts()}")
            QApplication.processEvents()
            time.sleep(0.002)

    def script(self) -> None:
        """Use the window; print what was seen."""
        try:
            self._script()
        except Exception as error:
            self.seen["error"] = repr(error)
        print(json.dumps(self.seen), flush=True)
        self.case.mark_saved()
        self.close()

    def _script(self) -> None:
        self.wait(lambda: self.case.volume is not None and not self.jobs.busy, 120)
        if self.at_once:
            self.seen["seconds to the CT"] = _since_the_start()
            self.controller.segment()
            self.wait(lambda: self.case.mask is not None, 120)
            self.seen["seconds to the mask"] = _since_the_start()
        self.wait(lambda: self.quad.cloud._backend is not None, 120)
        self.seen["canvas"] = type(self.quad.cloud._backend.widget).__name__
        self.wait(lambda: not self.jobs.in_background, 120)
        self.seen["title"] = self.windowTitle()
        self._beat.start()
        if self.segments or self.poses or self.surfaces or self.frames:
            self._segment()
        if self.surfaces:
            self._show_surface()
        if self.frames:
            self._measure_frames()
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

    def _measure_frames(self) -> None:
        """The shortest time from a change to the end of its repaint, in ms."""
        backend = self.quad.cloud._backend

        def turn(_number: int) -> None:
            backend._plotter.renderer.GetActiveCamera().Azimuth(6)
            backend._canvas.redraw()

        for cloud, name, change in (
            ("sampled", "turn the points", turn),
            ("surface", "turn the surface", turn),
            ("surface", "window the slices", lambda number: self.case.set_window(350 + number, 40)),
        ):
            self.case.set_display(cloud=cloud)
            spent = []
            for number in range(30):
                end = time.monotonic() + 0.1  # the repaint that is not measured
                self.wait(lambda end=end: time.monotonic() > end, 5)
                began = time.perf_counter()
                change(number)
                QApplication.processEvents()
                spent.append(1000 * (time.perf_counter() - began))
            self.seen[f"{name} ms"] = round(min(spent[1:]), 1)

    def _pose(self) -> None:
        middles = [tumour.centre for tumour in self.case.findings.tumours]
        found = np.argwhere(self.case.mask[::4, ::4] == 1) * [4, 4, 1]
        if middles:
            self.case.set_crosshair(middles[0])
        elif len(found):
            self.case.set_crosshair(tuple(int(v) for v in found[found[:, 0] > found[:, 0].mean()].mean(axis=0)))
        self.case.set_window(350, 40)
        end = time.monotonic() + 1
        self.wait(lambda: time.monotonic() > end, 5)

    def _change_and_export(self) -> None:
        stage2 = self.case.result.stage2
        self.case.set_settings(self.case.settings.with_(fill={"algorithm": "hull"}))
        began = time.monotonic()
        self.wait(lambda: self.case.result.settings.fill.algorithm == "hull", 60)
        self.seen["update_s"] = round(time.monotonic() - began, 2)
        self.seen["networks_again"] = self.case.result.stage2 is not stage2
        self.controller.ask_export()
        self.wait(lambda: not self.case.dirty, 60)
        self.seen["exported"] = sorted(path.name for path in self.folder.iterdir())


def _fake_services() -> Services:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
    from fakes import FakePipeline, provenance_of  # noqa: PLC0415 - from the folder just added

    return Services(pipeline=lambda volume, device: FakePipeline(volume, device=device), provenance=provenance_of)


def _copy(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4).copy()


def _different_colours(image: QImage) -> int:
    image = image.scaled(64, 64)
    return len({image.pixel(x, y) for x in range(64) for y in range(64)})


def _since_the_start() -> float:
    """Seconds since this process began."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return round(time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"), 2)


if __name__ == "__main__":
    Driver.ct, Driver.folder = Path(sys.argv[1]), Path(sys.argv[2])
    Driver.segments, Driver.poses = "--segment" in sys.argv, "--picture" in sys.argv
    Driver.surfaces, Driver.frames = "--surface" in sys.argv, "--frames" in sys.argv
    Driver.at_once = "--at-once" in sys.argv
    application.MainWindow = Driver
    sys.exit(application.run(Driver.ct))
