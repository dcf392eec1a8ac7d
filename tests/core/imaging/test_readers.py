"""The reader is chosen by the file's name; NIfTI by its content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.imaging import readers
from kidneyseg.imaging.nifti import save_volume
from kidneyseg.imaging.volume import Volume
from volumes import abdomen


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_readers", dict(readers._readers))


def _named(name: str) -> readers.Reader:
    return lambda path: Volume(np.zeros((8, 8, 8), np.int16), (1.0, 1.0, 1.0), np.eye(4), name=name, path=path)


def test_nifti_is_read_whatever_its_name(tmp_path: Path) -> None:
    volume, _ = abdomen()
    save_volume(volume, tmp_path / "ct.nii.gz")
    (tmp_path / "ct.nii.gz").rename(tmp_path / "0001.dat")
    assert np.array_equal(readers.load(tmp_path / "0001.dat").hu, volume.hu)


def test_a_registered_reader_gets_its_files_and_no_others(tmp_path: Path) -> None:
    readers.register_reader([".MHA", ".mhd"], _named("meta"))
    assert readers.load(tmp_path / "scan.mha").name == "meta"
    assert readers.load(str(tmp_path / "SCAN.MHD")).path == tmp_path / "SCAN.MHD"
    with pytest.raises(InputError, match="no file"):
        readers.load(tmp_path / "scan.nii.gz")


def test_the_longest_suffix_and_the_latest_registration_win(tmp_path: Path) -> None:
    readers.register_reader([".gz"], _named("any gzip"))
    readers.register_reader([".img.gz"], _named("first"))
    readers.register_reader([".img.gz"], _named("second"))
    assert readers.load(tmp_path / "a.img.gz").name == "second"
    assert readers.load(tmp_path / "a.gz").name == "any gzip"


def test_options_reach_the_reader(tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    def read(path: Path, **options: object) -> Volume:
        seen.update(options)
        return _named("raw")(path)

    readers.register_reader([".raw"], read)
    readers.load(tmp_path / "a.raw", hu_offset=-1024)
    assert seen == {"hu_offset": -1024}


def test_an_option_that_the_reader_does_not_know_is_refused(tmp_path: Path) -> None:
    readers.register_reader([".raw"], _named("raw"))
    with pytest.raises(InputError, match=r"a.raw is of a kind that is read without hu_offset"):
        readers.load(tmp_path / "a.raw", hu_offset=0)


def test_a_suffix_without_a_dot_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'\.mha'"):
        readers.register_reader(["mha"], _named("meta"))
