"""Damaged DICOM series: bytes and tags changed at random, and what reading them may take.

`python tests/helpers/dicom_fuzz.py 5000 [SEED]` reads as many damaged files, and prints what came of them.
"""

from __future__ import annotations

import random
import resource
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dicom_series import Frames, enhanced, save, slices
from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom.dicom_reader import load_dicom

SLICES, SIZE = 10, 32
LONGEST_S = 20.0
MOST_MB = 1000
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
PACKED = ("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90")
# Tags that reading looks at, as they lie in a little-endian file.
TAGS = [
    struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    for tag in (
        *(0x00020010, 0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x0020000E, 0x00200011, 0x00200012),
        *(0x00200032, 0x00200037, 0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280030, 0x00280100),
        *(0x00280101, 0x00280102, 0x00280103, 0x00280120, 0x00281052, 0x00281053, 0x7FE00010, 0x52009229, 0x52009230),
        *(0x00209113, 0x00289110, 0xFFFEE000, 0xFFFEE0DD, 0xFFFEE00D),
    )
]
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
TEXTS = (b"NaN", b"inf", b"-1e999", b"1e300", b"0", b"-0", b"\\\\\\", b"", b"1\\2", b"../../etc/passwd", b"\xff\xfe")


def frames() -> Frames:
    hu = np.random.default_rng(0).integers(-1000, 400, (SLICES, SIZE, SIZE), np.int16)
    return Frames(hu, np.diag([0.8, 0.7, 2.0, 1.0]))


def originals(folder: Path, syntaxes: tuple[str, ...]) -> list[list[bytes]]:
    """The files of undamaged series, classic ones and one Enhanced CT, in each transfer syntax."""
    found = []
    for syntax in syntaxes:
        found.append([save(one, folder / "one", syntax).read_bytes() for one in slices(frames())])
        found.append([save(enhanced(frames()), folder / "one", syntax).read_bytes()])
    return found


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The file with one to four changes."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        chance.choice(CHANGES)(data, chance)
    return bytes(data)


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)


def _flip_header(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(min(len(data), 1200))] = chance.randrange(256)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[max(1, chance.randrange(len(data))) :]


def _remove(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randint(1, min(64, max(1, len(data) - 1)))]
    data += b"\0" * (not data)


def _insert(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start:start] = chance.randbytes(chance.randint(1, 64))


def _repeat(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randint(4, 256)]
    data[start:start] = piece * chance.randint(1, 20)


def _number(data: bytearray, chance: random.Random) -> None:
    """A value or length after a known tag becomes extreme."""
    at = data.find(chance.choice(TAGS))
    if at >= 0:
        start = at + chance.choice((4, 6, 8, 10, 12))
        piece = struct.pack("<L", chance.choice(EXTREMES))[: chance.choice((2, 4))]
        data[start : start + len(piece)] = piece


def _text(data: bytearray, chance: random.Random) -> None:
    at = data.find(chance.choice(TAGS))
    if at >= 0:
        piece = chance.choice(TEXTS)
        data[at + 8 : at + 8 + len(piece)] = piece


def _nest(data: bytearray, chance: random.Random) -> None:
    """Sequences in sequences, without ends."""
    start = min(len(data), 400)
    data[start:start] = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * chance.randint(
        1, 3000
    )


def _long_private(data: bytearray, chance: random.Random) -> None:
    start = min(len(data), 400)
    length = chance.choice((1 << 20, 0x7FFFFFFF, 0xFFFFFFFE))
    data[start:start] = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<L", length) + b"x" * 100


CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _flip_header, _flip_header, _cut, _remove, _insert, _repeat, _number, _number, _number, _text, _text),
    *(_nest, _long_private),
)


def read_damaged(files: int, seed: int, syntaxes: tuple[str, ...] = NATIVE) -> Counter[str]:
    """Read damaged series of that many files in all. Returns how often each outcome came.

    Raises:
        AssertionError: a series took too long, or reading them took too much memory.
        Exception: whatever else reading raised than InputError; that is a fault.
    """
    chance, outcomes = random.Random(seed), Counter[str]()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: other tests ran in this process
    before = _megabytes("VmRSS")
    with tempfile.TemporaryDirectory() as place:
        whole, folder = originals(Path(place), syntaxes), Path(place) / "series"
        done = 0
        while done < files:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            share = chance.choice((0.1, 0.5, 1.0))
            for number, content in enumerate(chance.choice(whole)):
                change = chance.random() < share or number == 0
                (folder / f"{number}").write_bytes(damaged(content, chance) if change else content)
                done += change
            outcomes[_outcome(folder, (seed, done))] += 1
    peak = _megabytes("VmHWM") - before
    assert peak < MOST_MB, f"{peak} MB"
    return outcomes


def _megabytes(which: str) -> int:
    """Of this process's memory: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:")) // 1024


def _outcome(folder: Path, which: tuple[int, int]) -> str:
    began, problem = time.process_time(), ""
    try:
        volume = load_dicom(folder)
        outcome = "a volume" if not volume.notes else "a volume with notes"
        assert volume.hu.dtype == np.int16
        _ = [one.get("SOPInstanceUID") for one in volume.geometry.headers]
    except InputError as error:
        outcome, problem = "refused", str(error)
    assert len(problem) < 500
    assert str(folder.parent) not in problem
    spent = time.process_time() - began
    assert spent < LONGEST_S, f"{which}: {spent:.1f} s"
    return outcome


if __name__ == "__main__":
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for name, chosen, share in (("uncompressed", NATIVE, 0.9), ("compressed", PACKED, 0.1)):
        start = time.monotonic()
        print(name, dict(read_damaged(round(count * share), seed, chosen)), f"{time.monotonic() - start:.0f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
