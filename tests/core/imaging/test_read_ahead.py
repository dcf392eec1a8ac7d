from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kidneyseg.errors import InputError
from kidneyseg.imaging.read_ahead import ReadAhead, read_ahead
from kidneyseg.imaging.volume import Volume
from volumes import abdomen

NAMES = [Path("a"), Path("b"), Path("c")]


def test_the_next_ct_is_read_and_hashed_during_the_work_on_one() -> None:
    reading = {name: threading.Event() for name in NAMES}
    volume, _ = abdomen()

    def read(path: Path) -> Volume:
        reading[path].set()
        return volume

    order = []
    for number, (path, found) in enumerate(read_ahead(NAMES, read)):
        order.append(path)
        assert found is volume
        for following in NAMES[number + 1 : number + 2]:
            assert reading[following].wait(10)  # while this loop's body runs
        assert not any(reading[later].is_set() for later in NAMES[number + 2 :])
    assert order == NAMES
    assert "hu_sha256" in vars(volume)


def test_a_ct_that_cannot_be_read_does_not_end_the_rest() -> None:
    volume, _ = abdomen()

    def read(path: Path) -> Volume:
        if path == NAMES[1]:
            raise InputError("no CT")
        return volume

    found = [one.volume for one in read_ahead(NAMES, read)]
    assert [found[0], found[2]] == [volume, volume]
    assert isinstance(found[1], InputError)


def test_another_error_is_raised() -> None:
    def read(_path: Path) -> Volume:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        next(read_ahead(NAMES, read))


def test_no_cts() -> None:
    assert not list(read_ahead([]))


@pytest.mark.parametrize("first", [0, 1])
def test_a_ct_can_be_begun_before_it_is_known_to_be_needed(first: int) -> None:
    read_paths: list[Path] = []
    begun = threading.Event()
    volume, _ = abdomen()

    def read(path: Path) -> Volume:
        read_paths.append(path)
        begun.set()
        return volume

    with ReadAhead(read) as reading:
        reading.begin(NAMES[0])
        assert begun.wait(10)
        assert [one.path for one in reading.each(NAMES[first:])] == NAMES[first:]
    assert read_paths == NAMES  # each once, also the one that was begun in vain


def test_reading_waits_for_no_import_of_scipy() -> None:
    """`segment` imports the rest of the engine while the first CT is read."""
    code = (
        "import sys, kidneyseg.imaging.read_ahead as _; print(*(name for name in sys.modules if name[:6] == 'scipy.'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy.ndimage", "scipy.special", "scipy.spatial"} & set(done.stdout.split())
