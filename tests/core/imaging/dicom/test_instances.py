"""Headers are read with and without preamble and meta information, and when the transfer syntax lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from dicom_series import Frames, save, slices
from kidneyseg.imaging.dicom import tags
from kidneyseg.imaging.dicom.elements import DamagedError
from kidneyseg.imaging.dicom.instances import FileSource, Instance, largest_unpacked, read_instance


def read(path: Path | str | None) -> Instance | None:
    assert path is not None
    return read_instance(FileSource(Path(path), Path(path).stat().st_size))


@pytest.mark.parametrize(
    "name", ["ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "MR_small_implicit.dcm", "rtplan.dcm"]
)
def test_pydicoms_files_in_each_encoding_are_read(name: str) -> None:
    found = read(get_testdata_file(name))
    assert found is not None
    assert found.elements.text(tags.MODALITY) in {"RTPLAN", "MR"}


@pytest.mark.parametrize("stated", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.3.4", ""])
def test_a_transfer_syntax_that_lies_about_the_encoding_is_not_believed(tmp_path: Path, stated: str) -> None:
    path = save(slices(Frames(np.zeros((1, 8, 8), np.int16), np.eye(4)))[0], tmp_path / "one")
    data = path.read_bytes()
    true = b"1.2.840.10008.1.2.1\0"
    assert data.count(true) == 1
    path.write_bytes(data.replace(true, stated.encode().ljust(len(true), b"\0")))
    found = read(path)
    assert found is not None
    assert found.elements.integer(tags.ROWS) == 8
    assert found.elements.text(tags.MODALITY) == "CT"


def test_other_files_are_no_dicom(tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"\x08", b"hello" * 100, b"\x89PNG\r\n\x1a\n" + bytes(300), bytes(500))):
        path = tmp_path / f"{number}"
        path.write_bytes(content)
        assert read(path) is None


def test_deflated_data_that_do_not_inflate_are_damaged(tmp_path: Path) -> None:
    path = save(slices(Frames(np.zeros((1, 8, 8), np.int16), np.eye(4)))[0], tmp_path / "one", "1.2.840.10008.1.2.1.99")
    path.write_bytes(path.read_bytes()[:-200] + b"\xff" * 300)
    with pytest.raises(DamagedError):
        read(path)


def test_deflated_data_that_are_cut_off_are_damaged(tmp_path: Path) -> None:
    path = save(slices(Frames(np.zeros((1, 8, 8), np.int16), np.eye(4)))[0], tmp_path / "one", "1.2.840.10008.1.2.1.99")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedError):
        read(path)


def test_small_packed_objects_may_hold_little() -> None:
    assert largest_unpacked(100) == 1 << 24
    assert largest_unpacked(1 << 20) == 250 << 20
    assert largest_unpacked(1 << 40) == 1 << 29
