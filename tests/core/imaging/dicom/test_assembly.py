"""Damaged series become a volume or a sentence: see tests/helpers/dicom_fuzz.py, which can read thousands."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pydicom.data
import pytest

from dicom_fuzz import NATIVE, PACKED, read_damaged
from dicom_series import Frames, enhanced, save, write_series
from kidneyseg import load
from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom.assembly import read_frames
from kidneyseg.imaging.dicom.dicom_reader import load_chosen
from kidneyseg.imaging.dicom.discovery import is_dicom
from kidneyseg.imaging.dicom.instances import FileSource, read_instance
from kidneyseg.imaging.dicom.series import find_study
from kidneyseg.imaging.dicom.slices import slices_of
from kidneyseg.progress import Progress

# KIDNEYSEG_FUZZ=5000 reads as many damaged files.
FILES = int(os.environ.get("KIDNEYSEG_FUZZ", "300"))
PYDICOMS = sorted(
    path
    for path in (Path(pydicom.data.__file__).parent / "test_files").rglob("*")
    if path.is_file() and path.suffix not in {".py", ".pyc", ".json", ".txt", ".icc"}
)


@pytest.mark.parametrize("seed", [11, 12])
def test_damaged_files_are_read_or_refused(seed: int) -> None:
    outcomes = read_damaged(FILES, seed, NATIVE)
    assert outcomes["refused"] > 0
    assert outcomes["a volume"] + outcomes["a volume with notes"] > 0


def test_damaged_compressed_files_are_read_or_refused() -> None:
    assert read_damaged(max(20, FILES // 20), 13, PACKED).total() > 0


def test_pydicoms_own_files_open_or_say_why(tmp_path: Path) -> None:
    """All are single images, so the reader says what it lacks; their pixels are read where they are grey."""
    assert len(PYDICOMS) > 100
    read = 0
    for number, path in enumerate(PYDICOMS):
        alone = tmp_path / f"{number}" / path.name
        alone.parent.mkdir()
        shutil.copy(path, alone)
        with pytest.raises(InputError, match=r"^[^\n]{10,300}\.$"):
            load(alone)
        instance = read_instance(FileSource(path, path.stat().st_size)) if is_dicom(path) else None
        if instance is not None and instance.pixels is not None and instance.syntax in NATIVE:
            try:
                read += sum(frame.numbers.size > 0 for frame in read_frames(slices_of(instance), Progress()))
            except InputError as error:
                assert str(error).endswith((".", "it."))  # noqa: PT017 - other files go on to be read
    assert read > 60


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_planes_between_slices_are_blended_by_their_distance(tmp_path: Path, share: float) -> None:
    hu = np.zeros((12, 16, 16), np.int16) + (100 * np.arange(12)).astype(np.int16)[:, None, None]
    frames = Frames(hu, np.diag([0.8, 0.8, 1.0, 1.0]))
    at = np.arange(12) * 1.0
    at[6:] += share

    def move(index: int, one: object) -> None:
        one.ImagePositionPatient = [0, 0, float(at[index])]

    write_series(tmp_path, frames, change=move)
    read = load(tmp_path)
    positions = read.spacing_mm[2] * np.arange(read.shape[2])
    np.testing.assert_allclose(read.hu[8, 8], np.interp(positions, at, 100 * np.arange(12)), atol=1.5)


def test_frames_of_a_zip_are_unpacked_once_whatever_their_order(tmp_path: Path) -> None:
    hu = np.random.default_rng(4).integers(-100, 100, (80, 256, 256), np.int16)
    seconds = []
    for step in (1.0, -1.0):
        scan = save(enhanced(Frames(hu, np.diag([0.8, 0.8, step, 1.0]))), tmp_path / f"{step}")
        with zipfile.ZipFile(tmp_path / f"{step}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(scan, "IM1")
        began = time.process_time()
        read = load(tmp_path / f"{step}.zip")
        seconds.append(time.process_time() - began)
        np.testing.assert_array_equal(read.geometry.in_file_order(read.hu).T, hu[:: int(step)])
    assert seconds[1] < 4 * seconds[0] + 0.2


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"])
def test_a_file_that_grows_after_it_was_found_is_not_misread(tmp_path: Path, syntax: str) -> None:
    hu = np.random.default_rng(4).integers(-100, 100, (10, 16, 16), np.int16)
    paths = write_series(tmp_path / "ct", Frames(hu, np.diag([0.8, 0.8, 2.0, 1.0])), syntax=syntax)
    study = find_study(tmp_path / "ct")
    content = paths[4].read_bytes()
    paths[4].write_bytes(content[:132] + content[132:164] + content[132:])  # its pixels lie further back
    with pytest.raises(InputError, match="Image 5 of the series"):
        load_chosen(study, None, tmp_path / "ct")


def test_a_rescale_slope_of_zero_is_refused(tmp_path: Path) -> None:
    frames = Frames(np.zeros((10, 16, 16), np.int16), np.diag([0.8, 0.8, 2.0, 1.0]))
    write_series(tmp_path, frames, change=lambda k, one: setattr(one, "RescaleSlope", "0" if k == 3 else "1"))
    with pytest.raises(InputError, match="rescale slope of 0"):
        load(tmp_path)
