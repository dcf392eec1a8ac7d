"""What lies in folders, discs and zips is found, and nothing that a name or an archive says is trusted."""

from __future__ import annotations

import os
import resource
import shutil
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from pydicom import Dataset, config
from pydicom.data import get_testdata_file

from dicom_series import Frames, frames_of, header, save, slices, write_series
from kidneyseg import load
from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom.discovery import find_instances, holds_dicom, is_dicom
from kidneyseg.imaging.dicom.series import find_study
from kidneyseg.progress import Progress
from volumes import abdomen

DEFLATED = "1.2.840.10008.1.2.1.99"


def ct() -> Frames:
    volume, _ = abdomen((24, 20, 10))
    return frames_of(volume)


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def test_files_are_found_whatever_their_names_are(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "a" / "b", ct())
    paths[0].rename(tmp_path / "picture.jpg")
    paths[1].rename(tmp_path / "a" / "no suffix at all")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").touch()
    (tmp_path / ".hidden").write_bytes(paths[2].read_bytes())
    found = find_instances(tmp_path, Progress())
    assert len(found.instances) == 10
    assert found.unreadable == 0


@pytest.mark.parametrize("kind", ["folder", "fifo", "socket", "broken link", "loop"])
def test_what_is_no_file_is_passed_over(tmp_path: Path, kind: str) -> None:
    write_series(tmp_path / "a", ct())
    odd = tmp_path / "a" / "odd"
    if kind == "folder":
        odd.mkdir(mode=0o000)
    elif kind == "fifo":
        os.mkfifo(odd)
    elif kind == "socket":
        os.mknod(odd, 0o140600)
    elif kind == "broken link":
        odd.symlink_to(tmp_path / "nowhere")
    else:
        odd.symlink_to(tmp_path, target_is_directory=True)
    assert load(tmp_path).shape == (24, 20, 10)


def test_a_link_to_a_folder_is_not_followed_out_of_the_study(tmp_path: Path) -> None:
    write_series(tmp_path / "study", ct())
    write_series(tmp_path / "others", ct())
    (tmp_path / "study" / "more").symlink_to(tmp_path / "others", target_is_directory=True)
    assert len(find_instances(tmp_path / "study", Progress()).instances) == 10


def test_a_dicomdir_stands_for_its_folder_and_its_paths_are_not_followed(tmp_path: Path) -> None:
    write_series(tmp_path / "disc" / "IMAGES", ct())
    write_series(tmp_path / "outside", ct())
    directory = header("1.2.3", Modality=None, ImageType=None)
    directory.SOPClassUID = "1.2.840.10008.1.3.10"
    with config.disable_value_validation():
        records = []
        for parts in (["..", "outside", "IM00000"], ["/etc", "passwd"], [str(tmp_path / "outside" / "IM00000")]):
            record = Dataset()
            record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", parts
            records.append(record)
        directory.DirectoryRecordSequence = records
        save(directory, tmp_path / "disc" / "DICOMDIR")
    found = find_instances(tmp_path / "disc" / "DICOMDIR", Progress())
    assert {Path(one.source.folder).name for one in found.instances} == {"disc", "IMAGES"}
    assert load(tmp_path / "disc" / "DICOMDIR").shape == (24, 20, 10)


def test_pydicoms_dicomdir_says_what_its_disc_holds() -> None:
    path = get_testdata_file("DICOMDIR")
    assert path is not None
    with pytest.raises(InputError, match=r"holds no CT series, but .*MR objects"):
        find_study(Path(path))


def test_names_in_a_zip_are_never_paths(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series", ct())
    place = tmp_path / "work"
    place.mkdir()
    with zipfile.ZipFile(place / "study.zip", "w") as archive:
        for number, path in enumerate(paths):
            name = ("../../../escaped", "/tmp/escaped", "C:\\escaped", "a/./b/../escaped")[number % 4]
            archive.writestr(f"{name}{number}", path.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    assert load(place / "study.zip").shape == (24, 20, 10)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bomb_in_a_zip_costs_little(tmp_path: Path) -> None:
    before = peak_mb()
    prefix = save(slices(ct())[0], tmp_path / "one").read_bytes()[:900]
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            with archive.open(f"{number}", "w", force_zip64=True) as member:
                member.write(prefix)
                for _ in range(16):
                    member.write(bytes(1 << 22))
    began = time.process_time()
    with pytest.raises(InputError):
        load(tmp_path / "bomb.zip")
    assert time.process_time() - began < 10
    assert peak_mb() - before < 60


def test_a_bomb_in_a_deflated_object_costs_little(tmp_path: Path) -> None:
    plain = save(slices(ct())[0], tmp_path / "one", DEFLATED).read_bytes()
    start = 132 + 12 + struct.unpack_from("<L", plain, 140)[0]
    content = zlib.decompress(plain[start:], -15)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(content)
    for _ in range(32):
        bomb += packer.compress(bytes(1 << 22))
    for number in range(10):
        (tmp_path / f"bomb{number}").write_bytes(plain[:start] + bomb + packer.copy().flush())
    (tmp_path / "one").unlink()
    before = peak_mb()
    with pytest.raises(InputError, match="10 damaged files"):
        load(tmp_path)
    assert peak_mb() - before < 120


@pytest.mark.parametrize("kind", ["cut off", "encrypted", "long directory", "no zip", "empty"])
def test_a_zip_that_cannot_be_read_is_answered_in_a_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        if kind != "empty":
            archive.writestr("a", b"x" * 1000)
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\x05\x06")
    words = "cannot be read as a zip"
    if kind == "cut off":
        del data[end + 10 :]
    elif kind == "encrypted":
        data[data.rfind(b"PK\x01\x02") + 8] |= 1
        data[6] |= 1
        words = "is encrypted"
    elif kind == "long directory":
        struct.pack_into("<L", data, end + 12, 1 << 30)
        words = "lists too many files"
    elif kind == "no zip":
        data = bytearray(b"PK\x03\x04 something else")
    else:
        words = "holds no DICOM files"
    path.write_bytes(data)
    with pytest.raises(InputError, match=words):
        load(path)


def test_a_missing_path_and_an_empty_folder_are_answered(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        load(tmp_path / "nothing.dcm")
    with pytest.raises(InputError, match="holds no DICOM files"):
        load(tmp_path)


def test_damaged_files_are_counted(tmp_path: Path) -> None:
    write_series(tmp_path, ct())
    deep = b"\0" * 128 + b"DICM" + b"\x09\x00\x01\x00LO\0\0" * 30_000
    (tmp_path / "endless").write_bytes(deep)
    read = load(tmp_path)
    assert read.notes == ("Not read: 1 unreadable file.",)


def test_dicom_is_recognised_by_its_content(tmp_path: Path) -> None:
    path = save(slices(ct())[0], tmp_path / "one.txt")
    assert is_dicom(path)
    assert holds_dicom(tmp_path)
    text = tmp_path / "two" / "two.dcm"
    text.parent.mkdir()
    text.write_text("not DICOM at all")
    assert not is_dicom(text)
    assert not holds_dicom(text.parent)
    shutil.copy(path, text.parent / "z")
    assert holds_dicom(text.parent)
    bare = tmp_path / "bare"
    bare.write_bytes(path.read_bytes()[132 + 12 + struct.unpack_from("<L", path.read_bytes(), 140)[0] :])
    assert is_dicom(bare)  # without preamble and meta information
