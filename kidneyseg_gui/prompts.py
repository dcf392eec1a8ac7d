"""Questions to the user, in one place so that tests can answer them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget


class Prompts:
    """Asks with ordinary dialogs."""

    def open_file(self, parent: QWidget, folder: str) -> Path | None:
        """Which CT to open."""
        chosen, _ = QFileDialog.getOpenFileName(
            parent, "Open a CT", folder, "CT volumes (*.nii *.nii.gz *.hdr *.img *.hdr.gz *.img.gz);;All files (*)"
        )
        return Path(chosen) if chosen else None

    def save_file(self, parent: QWidget, proposed: Path) -> Path | None:
        """Where to write the mask."""
        chosen, _ = QFileDialog.getSaveFileName(parent, "Export the mask", str(proposed), "NIfTI (*.nii.gz *.nii)")
        if not chosen:
            return None
        path = Path(chosen)
        return path if path.name.endswith((".nii", ".nii.gz")) else path.with_name(path.name + ".nii.gz")

    def confirm(self, parent: QWidget, question: str, consequence: str, go_on: str, stay: str) -> bool:
        """Whether to go on with something that loses work."""
        box = QMessageBox(QMessageBox.Icon.Question, "KidneySeg", question, parent=parent)
        box.setInformativeText(consequence)
        yes = box.addButton(go_on, QMessageBox.ButtonRole.DestructiveRole)
        no = box.addButton(stay, QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(no)
        box.setEscapeButton(no)
        box.exec()
        return box.clickedButton() is yes
