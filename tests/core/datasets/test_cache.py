"""The disk cache of prepared cases: keyed by content, repaired when damaged, filled once by several processes."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.datasets.cache import Arrays, cache_size, cached


class Maker:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Arrays:
        self.count += 1
        return {"a": np.arange(1000), "b": np.ones((2, 3), np.uint8)}


def test_what_counts_is_content_and_settings(tmp_path: Path) -> None:
    source, cache, make = tmp_path / "ct", tmp_path / "cache", Maker()
    source.write_bytes(b"one")

    def ask(kind: str = "whole-4", path: Path = source) -> Arrays:
        return cached(cache, "case", kind, [path], make)

    first = ask()
    assert [np.array_equal(first[name], array) for name, array in Maker()().items()] == [True, True]
    os.utime(source, ns=(1, 1))
    shutil.copy(source, tmp_path / "copy")
    ask(path=tmp_path / "copy")
    assert make.count == 1
    ask(kind="whole-5")
    assert make.count == 2
    stamp = source.stat().st_mtime_ns
    source.write_bytes(b"two")
    os.utime(source, ns=(stamp + 1, stamp + 1))
    ask()
    assert make.count == 3
    files, size = cache_size(cache)
    assert files == 3
    assert size == sum(path.stat().st_size for path in cache.glob("*.npz"))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    source, make = tmp_path / "ct", Maker()
    source.write_bytes(b"one")
    cached(tmp_path, "case", "k", [source], make)
    (file,) = tmp_path.glob("*.npz")
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 255
    file.write_bytes({"cut": content[:-100], "flipped": content, "empty": b"", "text": b"hello"}[damage])
    again = cached(tmp_path, "case", "k", [source], make)
    assert make.count == 2
    assert np.array_equal(again["a"], np.arange(1000))
    assert "made again" in caplog.text
    cached(tmp_path, "case", "k", [source], make)
    assert make.count == 2


def test_a_full_disk_is_logged_once_and_costs_no_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source, make = tmp_path / "ct", Maker()
    source.write_bytes(b"one")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    for name in ("a", "b"):
        assert np.array_equal(cached(tmp_path / "full", name, "k", [source], make)["a"], np.arange(1000))
    assert make.count == 2
    assert caplog.text.count("No space left on device") == 1
    assert "(--cache)" in caplog.text
    assert cache_size(tmp_path / "full") == (0, 0)


def test_two_processes_make_it_once(tmp_path: Path) -> None:
    (tmp_path / "ct").write_bytes(b"one")
    code = """
import sys, time
from pathlib import Path
import numpy as np
from kidneyseg.datasets.cache import cached
def make():
    print("made", flush=True)
    time.sleep(1)
    return {"a": np.arange(3)}
folder = Path(sys.argv[1])
print(cached(folder, "case", "k", [folder / "ct"], make)["a"])
"""
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = "".join(process.communicate()[0] for process in both)
    assert said.count("made") == 1
    assert said.count("[0 1 2]") == 2
