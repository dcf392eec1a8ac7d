"""Finishes a case in the real window by mouse and keys, in processes of its own, and prints the gestures as JSON.

    python tests/acceptance/editing_driver.py edit|recover|stalls CT FOLDER

`edit` segments, deletes a piece, clicks twice, paints, undoes and redoes; then the process kills itself. `recover`
takes what the first left and exports it to FOLDER. Both leave a picture of the window there. `stalls` paints, undoes
and redoes, and prints the longest time in ms that the window answered nothing, and the peak memory.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QSettings, Qt, QTimer
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton
from scipy import ndimage

from kidneyseg.arrays import bounding_box
from kidneyseg.cli.terminal import peak_mb
from kidneyseg_gui import application
from kidneyseg_gui.main_window import MainWindow
from kidneyseg_gui.prompts import Prompts

NONE, SHIFT, CTRL = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
)
LEFT = Qt.MouseButton.LeftButton


class _Answers(Prompts):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save_mask(self, parent: object, proposed: Path) -> Path:
        return self.folder / proposed.name

    def confirm(self, *_question: object) -> bool:
        return True


class Driver(MainWindow):
    """The window, with a script that runs on its own event loop."""

    phase: str
    folder: Path

    def __init__(self) -> None:
        settings = QSettings(str(self.folder / "options.ini"), QSettings.Format.IniFormat)
        super().__init__(None, settings, _Answers(self.folder), self.folder / "autosave")
        self.resize(1440, 900)
        self.gestures: list[dict[str, Any]] = []
        self._longest, self._last_beat = 0.0, 0.0
        self._beat = QTimer(self, interval=5)
        self._beat.timeout.connect(self._count_beat)
        QTimer.singleShot(0, self.script)

    def _count_beat(self) -> None:
        now = time.perf_counter()
        if self._last_beat:
            self._longest = max(self._longest, now - self._last_beat)
        self._last_beat = now

    def wait(self, until: Callable[[], bool], seconds: float = 120) -> None:
        """Process events until `until()` holds."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise TimeoutError(f"{until} did not come true; {self.notices.texts()}")
            QApplication.processEvents()
            time.sleep(0.002)

    def script(self) -> None:
        """Run the phase."""
        try:
            self.wait(lambda: self.case.volume is not None and not self.jobs.busy)
            self.wait(lambda: self.quad.cloud._backend is not None)
            self.activateWindow()
            self.wait(self.isActiveWindow)  # shortcuts go to the active window
            {"edit": self._edit, "recover": self._recover, "stalls": self._stalls}[self.phase]()
        except Exception as error:
            print(json.dumps({"error": repr(error)}), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    def _edit(self) -> None:
        QTest.keyClick(self, Qt.Key.Key_F5)
        self.wait(lambda: self.case.result is not None and not self.jobs.busy)
        self._settle()
        self._beat.start()
        self._delete()
        kidney = self._inside_largest()
        QTest.keyClick(self, "k")
        QTest.keyClick(self, Qt.Key.Key_2, SHIFT)
        self._click(kidney)
        self._click(self._kidney_near(kidney))
        QTest.keyClick(self, "b")
        for number in range(4):
            QTest.keyClick(self, "]" if number % 2 else "[")
            self._stroke(kidney, number)
            if number == 1:
                self._key("undo", Qt.Key.Key_Z, CTRL)
                self._key("redo", Qt.Key.Key_Z, CTRL | SHIFT)
            if number == 2:
                self._key("undo", Qt.Key.Key_Z, CTRL)
        self._settle()
        self.grab().toImage().save(str(self.folder / "edited.png"))
        by_hand = {str(label): count for label, count in self.case.edits.mask.by_hand.items()}
        seen = {"gestures": self.gestures, "longest_stall_s": round(self._longest, 3), "by_hand": by_hand}
        end = time.monotonic() + 2.0  # what was done earlier than this must be on disk
        self.wait(lambda: time.monotonic() > end)
        print(json.dumps(seen), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def _recover(self) -> None:
        self.wait(lambda: any("edits are kept" in text for text in self.notices.texts()))
        button = next(one for one in self.notices.findChildren(QPushButton) if one.text() == "Recover")
        QTest.mouseClick(button, LEFT)
        self.wait(lambda: self.case.mask is not None and not self.jobs.busy)
        self._settle()
        self.grab().toImage().save(str(self.folder / "recovered.png"))
        seen = {"steps": self.case.edits.stack.count(), "position": self.case.edits.stack.index()}
        QTest.keyClick(self, Qt.Key.Key_S, CTRL)
        self.wait(lambda: not self.case.dirty)
        print(json.dumps(seen), flush=True)
        self.close()

    def _stalls(self) -> None:
        QTest.keyClick(self, Qt.Key.Key_F5)
        self.wait(lambda: self.case.result is not None and not self.jobs.busy)
        kidney = self._inside_largest()
        QTest.keyClick(self, "b")
        self._settle()
        self._beat.start()
        stalls: dict[str, list[int]] = {}

        def note(gesture: str) -> None:
            self._settle()
            stalls.setdefault(gesture, []).append(round(1000 * self._longest))
            self._longest = self._last_beat = 0.0

        for number in range(8):
            QTest.keyClick(self, "]" if number % 2 else "[")
            self._stroke(kidney, number)
            note("stroke")
        for name, modifiers in [("undo", CTRL)] * 4 + [("redo", CTRL | SHIFT)] * 4:
            self._key(name, Qt.Key.Key_Z, modifiers)
            note(name)
        QTest.keyClick(self, "k")
        QTest.keyClick(self, Qt.Key.Key_2, SHIFT)
        self._click(self._kidney_near(kidney))
        note("click")
        print(json.dumps({"stalls_ms": stalls, "peak_mb": peak_mb()}), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def _settle(self) -> None:
        end = time.monotonic() + 0.4
        self.wait(lambda: time.monotonic() > end and not self.jobs.in_background)

    def _delete(self) -> None:
        """Delete the smaller of the two largest pieces: the mouse over it, and the key."""
        parts, _count = ndimage.label(self.case.mask > 0, np.ones((3, 3, 3)))
        second = int(np.argsort(-np.bincount(parts.ravel())[1:])[1]) + 1
        x, y, z = np.argwhere(parts == second)[int((parts == second).sum()) // 2].tolist()
        self.case.set_crosshair((x, y, z))
        view, steps = self.quad.slices[0].slices, self.case.edits.stack.index()
        self._mouse(QEvent.Type.MouseMove, view.position_of((x, y, z)))
        QTest.keyClick(view, Qt.Key.Key_Delete)
        self.wait(lambda: self.case.edits.stack.index() > steps)
        self._note({"do": "delete", "voxel": [x, y, z]})

    def _inside_largest(self) -> tuple[int, int, int]:
        box = bounding_box(self.case.mask, margin=1)
        parts, _count = ndimage.label(self.case.mask[box] > 0, np.ones((3, 3, 3)))
        largest = parts == int(np.bincount(parts.ravel())[1:].argmax()) + 1
        deep = ndimage.distance_transform_edt(largest, sampling=self.case.volume.spacing_mm)
        deepest = np.unravel_index(int(deep.argmax()), deep.shape)
        x, y, z = (int(index) + side.start for index, side in zip(deepest, box, strict=True))
        self.case.set_crosshair((x, y, z))
        return x, y, z

    def _kidney_near(self, voxel: tuple[int, int, int]) -> tuple[int, int, int]:
        """The nearest voxel of the slice that is still kidney, and some further into the kidney."""
        places = np.argwhere(self.case.mask[:, :, voxel[2]] == 1)
        apart = np.linalg.norm(places - np.array(voxel[:2]), axis=1)
        x, y = places[np.argsort(apart)[len(apart) // 8]].tolist()
        return int(x), int(y), voxel[2]

    def _click(self, voxel: tuple[int, int, int]) -> None:
        view, steps = self.quad.slices[0].slices, self.case.edits.stack.index()
        place = view.position_of(voxel).toPoint()
        QTest.mouseClick(view, LEFT, NONE, place)
        self.wait(lambda: self.case.edits.stack.index() > steps)
        hit = view.voxel_at(place.toPointF())  # a pixel may be larger than a voxel
        self._note({"do": "click", "voxel": list(hit), "label": self.case.tool.label})

    def _stroke(self, kidney: tuple[int, int, int], number: int) -> None:
        """Drag over the axial slice; the engine gets the path in the pieces in which the mouse reports it."""
        self._settle()  # a notice may come and move the view
        view = self.quad.slices[0].slices
        start, points = view.position_of(kidney), []
        path = [start + QPointF(4 * step, (3 - number) * step) for step in range(12)]
        for position in path:
            kind = QEvent.Type.MouseButtonPress if position is path[0] else QEvent.Type.MouseMove
            at = view.transform().inverted()[0].map(position)
            points.append([at.x() - 0.5, at.y() - 0.5, kidney[2]])
            self._mouse(kind, position, LEFT)
            QApplication.processEvents()
        self._mouse(QEvent.Type.MouseButtonRelease, path[-1], LEFT)
        stroke = {"label": self.case.tool.label, "radius_mm": self.case.tool.radius_mm, "points": points}
        self._note({"do": "stroke", **stroke})

    def _note(self, gesture: dict[str, Any]) -> None:
        if self.phase != "stalls":  # there the sum would be the longest stall
            self.gestures.append({**gesture, "mask": zlib.crc32(self.case.mask.tobytes(order="F"))})

    def _mouse(self, kind: QEvent.Type, position: QPointF, button: Qt.MouseButton = Qt.MouseButton.NoButton) -> None:
        view = self.quad.slices[0].slices
        held = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else button
        pressed = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else button
        event = QMouseEvent(kind, position, view.mapToGlobal(position), pressed, held, NONE)
        QApplication.sendEvent(view, event)

    def _key(self, name: str, key: Qt.Key, modifiers: Qt.KeyboardModifier) -> None:
        steps = self.case.edits.stack.index()
        QTest.keyClick(self, key, modifiers)
        self.wait(lambda: self.case.edits.stack.index() != steps)
        self._note({"do": name})


def main() -> int:
    """Run the program with the driver in place of its window."""
    Driver.phase, ct, Driver.folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    application.MainWindow = Driver  # type: ignore[misc]
    return application.run(ct)


if __name__ == "__main__":
    sys.exit(main())
