"""Places that cannot be written to: one clear sentence each, nothing is harmed; and what a saved mask is like."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.errors import OutputError
from kidneyseg.imaging.nifti import load_mask, load_volume, save_mask
from kidneyseg.imaging.volume import Volume
from nifti_files import HU, as_a_user_without_rights, saved

MASK = np.asfortranarray((HU > 0).astype(np.uint8))


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return load_volume(saved(tmp_path / "ct.nii.gz", HU))


def not_written(volume: Volume, path: Path, *words: str) -> None:
    """Saving is refused with these words, and no temporary file is left."""
    before = sorted(path.parent.iterdir()) if path.parent.is_dir() else None
    with pytest.raises(OutputError) as caught:
        save_mask(MASK, volume, path)
    message = str(caught.value)
    assert message.endswith(".")
    for word in words:
        assert word in message, message
    assert before == (sorted(path.parent.iterdir()) if path.parent.is_dir() else None)


def test_wrong_suffix(volume: Volume, tmp_path: Path) -> None:
    not_written(volume, tmp_path / "mask.png", "mask.png", ".nii.gz")


def test_ct_is_never_overwritten(volume: Volume, tmp_path: Path) -> None:
    content = (tmp_path / "ct.nii.gz").read_bytes()
    (tmp_path / "link.nii.gz").symlink_to("ct.nii.gz")
    os.link(tmp_path / "ct.nii.gz", tmp_path / "hard.nii.gz")
    (tmp_path / "sub").mkdir()
    for name in ("ct.nii.gz", "link.nii.gz", "hard.nii.gz", "sub/../ct.nii.gz"):
        not_written(volume, tmp_path / name, "CT itself")
    assert (tmp_path / "ct.nii.gz").read_bytes() == content
    (tmp_path / "ct.nii.gz").unlink()
    (tmp_path / "hard.nii.gz").unlink()
    not_written(volume, tmp_path / "ct.nii.gz", "CT itself")


def test_neither_half_of_a_pair_is_overwritten(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(HU, np.eye(4)), tmp_path / "ct.hdr")
    for opened, other in (("ct.hdr", "ct.img"), ("ct.img", "ct.hdr")):
        pair = load_volume(tmp_path / opened)
        (tmp_path / f"{other}.nii").symlink_to(other)
        not_written(pair, tmp_path / f"{other}.nii", "CT itself")


def test_no_write_permission(volume: Volume) -> None:
    with as_a_user_without_rights() as folder:
        locked = folder / "locked"
        locked.mkdir(mode=0o555)
        with pytest.raises(OutputError, match="may not be written"):
            save_mask(MASK, volume, locked / "mask.nii.gz")
        protected = folder / "mask.nii.gz"
        protected.write_bytes(b"precious")
        protected.chmod(0o444)
        not_written(volume, protected, "may not be written")
        assert protected.read_bytes() == b"precious"


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_full_disk(volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    target = tmp_path / "mask.nii.gz"
    target.write_bytes(b"the mask of yesterday")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = {"write": "imaging.nifti._write", "fsync": "files.os.fsync", "replace": "files.os.replace"}[failing]
    monkeypatch.setattr(f"kidneyseg.{place}", full)
    not_written(volume, target, "disk is full", "Free")
    assert target.read_bytes() == b"the mask of yesterday"


def test_really_full_disk(volume: Volume, tmp_path: Path) -> None:
    """A device that is full for every write, standing in for the temporary file."""
    if not Path("/dev/full").exists():
        # Only Linux has this device, the one way to a full disk that needs no root.
        pytest.skip("no /dev/full here")

    def on_full_device(**_: object) -> tuple[int, str]:
        (tmp_path / "temporary").touch()
        return os.open("/dev/full", os.O_WRONLY), str(tmp_path / "temporary")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kidneyseg.files.tempfile.mkstemp", on_full_device)
        not_written(volume, tmp_path / "mask.nii", "disk is full")


def test_quota_and_other_faults(volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for code, word in ((errno.EDQUOT, "disk is full"), (errno.EROFS, "may not"), (errno.EIO, "Choose another place")):

        def fail(*_: object, code: int = code) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr("kidneyseg.imaging.nifti._write", fail)
        not_written(volume, tmp_path / "mask.nii", word)
    not_written(volume, tmp_path / ("m" * 300 + ".nii"), "Choose another place")


def test_interrupted_write_leaves_nothing(volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kidneyseg.imaging.nifti._write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_mask(MASK, volume, tmp_path / "mask.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["ct.nii.gz"]


def test_overwrite_only_when_allowed(volume: Volume, tmp_path: Path) -> None:
    target = tmp_path / "mask.nii.gz"
    save_mask(MASK, volume, target, overwrite=False)
    with pytest.raises(OutputError, match="exists already"):
        save_mask(MASK, volume, target, overwrite=False)
    save_mask(np.zeros_like(MASK), volume, target)
    assert not load_mask(target)[0].any()


def test_permissions_are_those_of_any_new_file(volume: Volume, tmp_path: Path) -> None:
    target = tmp_path / "mask.nii"
    old = os.umask(0o027)
    try:
        save_mask(MASK, volume, target)
    finally:
        os.umask(old)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    target.chmod(0o600)
    save_mask(MASK, volume, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_link_to_a_mask_is_followed(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "real.nii").write_bytes(b"")
    (tmp_path / "link.nii").symlink_to("real.nii")
    save_mask(MASK, volume, tmp_path / "link.nii")
    assert (tmp_path / "link.nii").is_symlink()
    np.testing.assert_array_equal(load_mask(tmp_path / "real.nii")[0], MASK)


def test_mask_must_fit_the_volume(volume: Volume, tmp_path: Path) -> None:
    for wrong in (MASK[:-1], MASK.astype(np.int16)):
        with pytest.raises(ValueError, match="uint8 mask"):
            save_mask(wrong, volume, tmp_path / "mask.nii.gz")
    save_mask(MASK > 0, volume, tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.nii.gz")[0], MASK)


def test_a_suffix_in_capitals_is_one_too(volume: Volume, tmp_path: Path) -> None:
    save_mask(MASK, volume, tmp_path / "M3.NII.GZ")
    assert (tmp_path / "M3.NII.GZ").read_bytes()[:2] == b"\x1f\x8b"
    np.testing.assert_array_equal(load_mask(tmp_path / "M3.NII.GZ")[0], MASK)
