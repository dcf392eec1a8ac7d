"""A window for tests: answers instead of dialogs, a fake 3-D view, and short methods for common steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from fakes import FakeCloud, FakeServices
from kidneyseg_gui.main_window import MainWindow
from kidneyseg_gui.outcomes import FoundStudy
from kidneyseg_gui.prompts import Prompts


class Answers(Prompts):
    """Answers every question without a dialog, and remembers the questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = True
        self.choice: str | None = None
        self.path: Path | None = None
        self.proposed: Path | None = None
        self.series: Callable[[FoundStudy], str | None] = lambda _found: None

    def open_file(self, parent: QWidget, folder: Path) -> Path | None:
        return self.path

    def open_study(self, parent: QWidget, folder: Path) -> Path | None:
        return self.path

    def choose_series(self, parent: QWidget, found: FoundStudy) -> str | None:
        return self.series(found)

    def save_mask(self, parent: QWidget, proposed: Path) -> Path | None:
        self.proposed = proposed
        return self.path

    def open_mask(self, parent: QWidget, title: str, folder: Path) -> Path | None:
        return self.path

    open_settings = open_file
    save_dicom = save_mask
    save_settings = save_mask

    def choose(self, parent: QWidget, question: str, about: str, answers: tuple[str, ...]) -> str | None:
        self.asked.append(f"{question} {answers}")
        return self.choice

    def confirm(self, parent: QWidget, question: str, consequence: str, go_on: str, stay: str) -> bool:
        self.asked.append(f"{question} {consequence}")
        return self.go_on


class WindowFixture:
    """A window with everything that a test inspects."""

    def __init__(self, qtbot: QtBot, fake: FakeServices, folder: Path) -> None:
        self.qtbot, self.fake, self.folder = qtbot, fake, folder
        self.answers = Answers()
        self.store = QSettings(str(folder / "options.ini"), QSettings.Format.IniFormat)
        self.main = MainWindow(fake.services(), self.store, self.answers, folder / "autosave")
        self.cloud = FakeCloud()
        self.main.quad.cloud.set_backend(self.cloud)
        self.main.resize(1280, 800)
        self.main.show()
        qtbot.waitExposed(self.main)
        self.case, self.jobs = self.main.case, self.main.jobs

    def file(self, name: str = "case_7.nii.gz", content: bytes = b"good") -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def open(self, name: str = "case_7.nii.gz") -> Path:
        path = self.file(name)
        with self.qtbot.waitSignal(self.case.volume_changed, timeout=5000):
            self.main.controller.open(path)
        return path

    def segment(self) -> None:
        self.main.controller.segment()
        self.idle()
        self.qtbot.waitUntil(
            lambda: self.case.scene is not None and self.case.scene.result is self.case.result, timeout=20000
        )

    def idle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.jobs.busy, timeout=10000)

    def notices(self) -> str:
        """All notices."""
        return "\n".join(self.main.notices.texts())
