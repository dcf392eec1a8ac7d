from __future__ import annotations

import json
import struct
import subprocess
import sys

COMMAND = [sys.executable, "-m", "kidneyseg", "decode-frames"]
FACTS = {
    "syntax": "1.2.840.10008.1.2.4.80",
    "rows": 8,
    "columns": 8,
    "allocated": 16,
    "stored": 16,
    "signed": False,
    "photometric": "MONOCHROME2",
}


def ask(*frames: bytes, **facts: object) -> bytes:
    head = json.dumps(FACTS | facts).encode()
    asked = b"".join(struct.pack("<LL", len(head), len(frame)) + head + frame for frame in frames)
    return subprocess.run(COMMAND, input=asked, capture_output=True, timeout=100, check=True).stdout


def test_a_frame_that_cannot_be_decoded_is_answered_and_the_next_one_is_tried() -> None:
    assert ask(b"", b"garbage", b"\xff\xd8\xff\xf7") == struct.pack("<4sL", b"fail", 0) * 3


def test_a_frame_of_an_unknown_or_endless_kind_is_answered() -> None:
    assert ask(b"x", syntax="1.2.3") == struct.pack("<4sL", b"fail", 0)
    assert ask(b"x", rows=65535, columns=65535) == struct.pack("<4sL", b"fail", 0)
