"""Which dropped files are accepted, where a mask is proposed to go, and settings as files."""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import QMimeData, QStandardPaths

from kidneyseg.files import atomic_write
from kidneyseg.imaging.dicom.discovery import holds_dicom, is_dicom
from kidneyseg.phantom.sample import is_sample
from kidneyseg.settings import Settings
from kidneyseg_gui.case import Case

_LOOKED_AT = 8  # of dropped files, while the mouse holds them
BY_NAME = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")
# DICOM is known by its content; these are its common names.
SUFFIXES = (*BY_NAME, ".dcm", ".zip", "DICOMDIR")


def judge_drop(mime: QMimeData) -> tuple[Path | None, str]:
    """The one CT among dropped files, or None and a sentence that says what to drop instead.

    Several DICOM files of one folder are one CT: the first of them finds the rest of its series.
    """
    paths = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
    if not paths:
        return None, "Only files can be dropped here: one CT as .nii or .nii.gz, or a DICOM study."
    if len(paths) > 1 and not _are_pair(paths) and not _are_of_one_series(paths):
        return None, f"{len(paths)} files were dropped; drop one CT (.nii, .nii.gz or a DICOM folder) at a time."
    path = paths[0]
    if path.is_dir():
        fits = holds_dicom(path)
        return (path, "") if fits else (None, f"{path.name} is a folder without DICOM; drop one CT.")
    if not path.name.lower().endswith(BY_NAME) and not is_dicom(path):
        return None, f"{path.name} is not a NIfTI file, nor DICOM; drop a CT as .nii, .nii.gz or a DICOM study."
    return path, ""


def _are_of_one_series(paths: list[Path]) -> bool:
    """Whether these are DICOM files of one folder; the first ones are looked at."""
    one_folder = len({path.parent for path in paths}) == 1
    return one_folder and all(path.is_file() and is_dicom(path) for path in paths[:_LOOKED_AT])


def _are_pair(paths: list[Path]) -> bool:
    """Whether these are the header and the image of one .hdr/.img pair."""
    names = [Path(path.name.lower().removesuffix(".gz")) for path in paths]
    return len({name.stem for name in names}) == 1 and sorted(name.suffix for name in names) == [".hdr", ".img"]


def proposed_mask(case: Case) -> Path:
    """<case>_mask.nii.gz beside the CT, or among the user's documents where that folder cannot be written."""
    volume = case.volume
    name = "CT" if volume is None else volume.name
    for suffix in (".gz", ".nii"):
        name = name.removesuffix(suffix)
    path = None if volume is None or volume.path is None else Path(volume.path)
    folder = None if path is None or is_sample(path) else path.resolve().parent
    if folder is None or not os.access(folder, os.W_OK):
        folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation))
        folder = folder if folder.is_dir() else Path.home()
    return folder / f"{name}_mask.nii.gz"


def write_settings(settings: Settings, path: Path) -> None:
    """Write a settings file, which `kidneyseg segment --settings` reads, too. Raises OutputError if it cannot."""
    with atomic_write(path) as file:
        file.write(f"{settings.to_json()}\n".encode())


def read_settings(path: Path) -> Settings:
    """The settings of a settings file or of a mask's sidecar. Raises OSError or SettingsError."""
    return Settings.from_json(path.read_text(encoding="utf-8", errors="replace"))
