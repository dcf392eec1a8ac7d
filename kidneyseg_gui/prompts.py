"""Questions to the user, in one place so that tests can answer them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from kidneyseg_gui.files import SUFFIXES
from kidneyseg_gui.outcomes import FoundStudy
from kidneyseg_gui.series_picker import SeriesPicker
from kidneyseg_gui.widgets import shortened


class Prompts:
    """Asks with ordinary dialogs. A file question that is cancelled is answered with None.

    A file to write may exist: the caller asks with `confirm` before it is replaced.
    """

    def open_file(self, parent: QWidget, folder: Path) -> Path | None:
        """Which CT to open."""
        return _open(
            parent,
            "Open a CT",
            folder,
            f"CT volumes ({' '.join(f'*{suffix}' for suffix in SUFFIXES)});;All files (*)",
        )

    def open_study(self, parent: QWidget, folder: Path) -> Path | None:
        """Which folder with a DICOM study to open."""
        chosen = QFileDialog.getExistingDirectory(parent, "Open a DICOM folder", str(folder))
        return Path(chosen) if chosen else None

    def choose_series(self, parent: QWidget, found: FoundStudy) -> str | None:
        """The id of one series of a study."""
        picker = SeriesPicker(found, parent)
        return picker.chosen if picker.exec() else None

    def open_mask(self, parent: QWidget, title: str, folder: Path) -> Path | None:
        """Which mask of the open CT."""
        return _open(parent, title, folder, "Masks (*.nii *.nii.gz);;All files (*)")

    def open_settings(self, parent: QWidget, folder: Path) -> Path | None:
        """Which settings file, or sidecar of a mask, to load."""
        return _open(parent, "Load settings", folder, "Settings and masks' sidecars (*.json);;All files (*)")

    def save_mask(self, parent: QWidget, proposed: Path) -> Path | None:
        """Where to write the mask; the name ends in .nii.gz or .nii."""
        return _save(parent, "Export the mask", proposed, "NIfTI (*.nii.gz *.nii)", (".nii.gz", ".nii"))

    def save_dicom(self, parent: QWidget, proposed: Path) -> Path | None:
        """Where to write a DICOM object; the name ends in .dcm."""
        return _save(parent, "Export as DICOM", proposed, "DICOM (*.dcm)", (".dcm",))

    def save_settings(self, parent: QWidget, proposed: Path) -> Path | None:
        """Where to write the settings; the name ends in .json."""
        return _save(parent, "Save settings", proposed, "Settings (*.json)", (".json",))

    def confirm(self, parent: QWidget, question: str, consequence: str, go_on: str, stay: str) -> bool:
        """Whether to go on with something that loses work."""
        box = QMessageBox(QMessageBox.Icon.Question, "KidneySeg", shortened(question), parent=parent)
        box.setInformativeText(shortened(consequence))
        yes = box.addButton(go_on, QMessageBox.ButtonRole.DestructiveRole)
        no = box.addButton(stay, QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(no)
        box.setEscapeButton(no)
        box.exec()
        return box.clickedButton() is yes

    def choose(self, parent: QWidget, question: str, about: str, answers: tuple[str, ...]) -> str | None:
        """One of some answers, the first of them by default; None to cancel."""
        box = QMessageBox(QMessageBox.Icon.Question, "KidneySeg", shortened(question), parent=parent)
        box.setInformativeText(about)
        made = [box.addButton(answer, QMessageBox.ButtonRole.AcceptRole) for answer in answers]
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(made[0])
        box.exec()
        return next((button.text() for button in made if button is box.clickedButton()), None)


def _open(parent: QWidget, title: str, folder: Path, kinds: str) -> Path | None:
    chosen, _ = QFileDialog.getOpenFileName(parent, title, str(folder), kinds)
    return Path(chosen) if chosen else None


def _save(parent: QWidget, title: str, proposed: Path, kinds: str, suffixes: tuple[str, ...]) -> Path | None:
    # The dialog would ask about the name as typed, before it gets its suffix: the controller asks instead.
    quietly = QFileDialog.Option.DontConfirmOverwrite
    chosen, _ = QFileDialog.getSaveFileName(parent, title, str(proposed), kinds, "", quietly)
    if not chosen:
        return None
    path = Path(chosen)
    return path if path.name.lower().endswith(suffixes) else path.with_name(path.name + suffixes[0])
