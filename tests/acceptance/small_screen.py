"""Opens the window on the screen that is there, with a long file name and a few notices, and prints as JSON what fits.

    python tests/acceptance/small_screen.py FOLDER

FOLDER gets a screenshot, screen.png.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QRect, QSettings
from PySide6.QtWidgets import QApplication, QDialog, QLabel, QWidget

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
from fakes import FakeServices, make_volume
from kidneyseg_gui.main_window import MainWindow
from kidneyseg_gui.outcomes import Saved
from kidneyseg_gui.theme import apply_theme

LONG = "a" * 189 + ".nii.gz"
NOTES = tuple(f"Note {number}: the header of this file is odd in a way that takes some words." for number in range(4))


def wait(until: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def inside(widget: QWidget, screen: QRect) -> bool:
    """Whether all of a widget can be seen."""
    whole = QRect(widget.mapToGlobal(widget.rect().topLeft()), widget.size())
    return widget.isVisible() and screen.contains(whole) and widget.visibleRegion().boundingRect() == widget.rect()


def main(folder: Path) -> None:
    """Print the size of the screen and of the smallest view, and the names of what is not to be seen."""
    application = QApplication([])
    apply_theme(application)
    fake = FakeServices(notes=NOTES)
    fake.volumes[LONG] = make_volume(notes=NOTES[:1])
    window = MainWindow(fake.services(), QSettings(str(folder / "options.ini"), QSettings.Format.IniFormat))
    window.show()
    (folder / LONG).write_bytes(b"good")
    window.controller.open(folder / LONG)
    wait(lambda: window.case.volume is not None and not window.jobs.busy)
    window.controller.segment()
    wait(lambda: window.case.scene is not None)
    mask = window.case.edits.mask
    window.controller._on_exported(Saved(folder / LONG, mask, mask.version))
    wait(lambda: False, 0.5)
    screen = application.primaryScreen()
    area = screen.geometry()
    parts: dict[str, QWidget] = {pane.title: pane for pane in window.quad.panes}
    parts |= {"window": window, "segment": window.run_panel.button, "findings": window.findings.table}
    parts["disclaimer"] = window.findChild(QLabel, "disclaimer")
    hidden = [name for name, part in parts.items() if not inside(part, area)]
    views = [(pane.view.width(), pane.view.height()) for pane in window.quad.panes]
    screen.grabWindow(0).save(str(folder / "screen.png"))
    window.actions_.help.trigger()
    wait(lambda: False, 0.3)
    dialog = window.findChild(QDialog)
    hidden += [] if area.contains(dialog.frameGeometry()) else ["help"]
    print(json.dumps({"screen": area.size().toTuple(), "hidden": hidden, "smallest view": min(views)}))
    window.case.mark_saved()
    dialog.close()
    window.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
