from __future__ import annotations

import threading
from pathlib import Path

import pytest

from kidneyseg.errors import InputError
from kidneyseg.imaging.read_ahead import read_ahead
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
