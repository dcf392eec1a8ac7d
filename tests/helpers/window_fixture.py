"""A window on a test bench: answers instead of dialogs, a stand-in for the 3-D view, short words for long waits."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from fakes import FakeEngine
from kidneyseg_gui.main_window import MainWindow
from kidneyseg_gui.prompts import Prompts
from kidneyseg_gui.views.cloud_view import StandIn


class Answers(Prompts):
    """Answers every question without a dialog, and remembers the questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = True
        self.path: Path | None = None
        self.proposed: Path | None = None

    def open_file(self, _parent: QWidget, _folder: str) -> Path | None:
        return self.path

    def save_file(self, _parent: QWidget, proposed: Path) -> Path | None:
        self.proposed = proposed
        return self.path

    def confirm(self, _parent: QWidget, question: str, consequence: str, _go_on: str, _stay: str) -> bool:
        self.asked.append(f"{question} {consequence}")
        return self.go_on


class Bench:
    """A window with everything a test wants to see of it."""

    def __init__(self, qtbot: QtBot, engine: FakeEngine, folder: Path) -> None:
        self.qtbot, self.fake, self.folder = qtbot, engine, folder
        self.answers = Answers()
        self.store = QSettings(str(folder / "options.ini"), QSettings.Format.IniFormat)
        self.window = MainWindow(engine.services(), self.store, self.answers)
        self.cloud = StandIn()
        self.window.set_cloud_backend(self.cloud)
        self.window.resize(1280, 800)
        self.window.show()
        qtbot.waitExposed(self.window)
        self.case, self.engine = self.window.case, self.window.engine

    def file(self, name: str = "case_7.nii.gz", content: bytes = b"good") -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def open(self, name: str = "case_7.nii.gz") -> Path:
        path = self.file(name)
        with self.qtbot.waitSignal(self.case.volume_changed, timeout=5000):
            self.window.controller.open(path)
        return path

    def segment(self) -> None:
        self.window.controller.segment()
        self.idle()
        self.qtbot.waitUntil(
            lambda: self.case.scene is not None and self.case.scene.result is self.case.result, timeout=20000
        )

    def idle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.engine.busy, timeout=10000)

    def said(self) -> str:
        return "\n".join(self.window.notices.texts())
