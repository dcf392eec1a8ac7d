"""Temporary files of killed writers are removed, those of running ones stay, and threads do not disturb each other."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kidneyseg import files
from kidneyseg.errors import OutputError
from kidneyseg.files import atomic_write, check_writable, write_whole

_WRITER = """
import sys, time
from kidneyseg.files import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half of it")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(".kidneyseg-*"))


def test_the_file_of_a_killed_writer_is_removed_and_that_of_a_running_one_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path / "mask.nii")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        (part,) = parts(tmp_path)
        write_whole(tmp_path / "other.nii", b"whole")
        assert parts(tmp_path) == [part]
        writer.send_signal(signal.SIGKILL)
    assert parts(tmp_path) == [part]
    write_whole(tmp_path / "other.nii", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.nii"]


def test_what_is_no_temporary_file_stays(tmp_path: Path) -> None:
    (tmp_path / "precious.part").write_bytes(b"mine")
    (tmp_path / ".kidneyseg-link.part").symlink_to("precious.part")
    (tmp_path / ".kidneyseg-folder.part").mkdir()
    write_whole(tmp_path / "mask.nii", b"whole")
    assert len(list(tmp_path.iterdir())) == 4
    assert (tmp_path / "precious.part").read_bytes() == b"mine"


def test_a_file_system_without_locks_takes_files_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(files.fcntl, "flock", unsupported)
    (tmp_path / ".kidneyseg-0.part").touch()
    write_whole(tmp_path / "mask.nii", b"whole")
    assert (tmp_path / "mask.nii").read_bytes() == b"whole"
    assert len(parts(tmp_path)) == 1


def test_a_file_removed_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = []

    def remove_first(*_: object) -> None:
        if not removed:
            removed.extend(parts(tmp_path))
            removed[0].unlink()

    monkeypatch.setattr(files.fcntl, "flock", remove_first)
    write_whole(tmp_path / "mask.nii", b"whole")
    assert removed
    assert (tmp_path / "mask.nii").read_bytes() == b"whole"


@pytest.mark.parametrize(
    ("name", "overwrite", "message"),
    [
        ("nowhere/mask.nii", True, "no folder .*Create it"),
        ("there.nii/mask.nii", True, "no folder"),
        ("folder", True, "is a folder"),
        ("there.nii", False, "exists already"),
    ],
)
def test_check_writable_refuses_what_writing_would_refuse(
    tmp_path: Path, name: str, overwrite: bool, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.nii").touch()
    with pytest.raises(OutputError, match=message):
        check_writable(tmp_path / name, overwrite=overwrite)
    with pytest.raises(OutputError, match=message), atomic_write(tmp_path / name, overwrite=overwrite):
        raise AssertionError("it was opened")
    check_writable(tmp_path / "new.nii", overwrite=False)
    check_writable(tmp_path / "there.nii")
    assert sorted(os.listdir(tmp_path)) == ["folder", "there.nii"]


def test_threads_that_write_new_files_leave_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.umask

    def slow(mask: int) -> int:
        before = real(mask)
        time.sleep(0.02)
        return before

    monkeypatch.setattr(os, "umask", slow)
    before = real(0o027)
    try:
        threads = [threading.Thread(target=write_whole, args=(tmp_path / str(n), b"x")) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = real(0o027)
    finally:
        real(before)
    assert left == 0o027
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}
