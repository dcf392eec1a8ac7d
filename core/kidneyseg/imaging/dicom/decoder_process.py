# ruff: noqa: PLC0415 - the process limits its memory first
"""A process that decodes compressed frames: they come by standard input, their pixels go to standard output."""

from __future__ import annotations

import json
import resource
import struct
import sys
import warnings
from typing import Any, BinaryIO

_MOST_MEMORY = 1 << 30
_LARGEST_FRAME = 1 << 28


def serve() -> int:
    """Decode until standard input ends; `decoding.DecoderPool` says how they talk. Returns an exit code."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(8):
        facts_length, data_length = struct.unpack("<LL", head)
        facts, data = json.loads(source.read(facts_length)), source.read(data_length)
        try:
            kind, pixels = _decode(facts, data)
        except Exception:  # a library of decoders raises anything for a damaged frame
            kind, pixels = b"fail", b""
        _answer(target, kind, pixels)
    return 0


def _answer(target: BinaryIO, kind: bytes, pixels: bytes) -> None:
    target.write(struct.pack("<4sL", kind, len(pixels)))
    target.write(pixels)
    target.flush()


def _decode(facts: dict[str, Any], data: bytes) -> tuple[bytes, bytes]:
    """The numpy type of the pixels, padded to four characters, and the pixels."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    if facts["rows"] * facts["columns"] * facts["allocated"] // 8 > _LARGEST_FRAME:
        return b"fail", b""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(facts["syntax"])
    image.Rows, image.Columns, image.SamplesPerPixel = facts["rows"], facts["columns"], 1
    image.BitsAllocated, image.BitsStored = facts["allocated"], facts["stored"]
    image.HighBit, image.PixelRepresentation = facts["stored"] - 1, int(facts["signed"])
    image.PhotometricInterpretation = facts["photometric"]
    image.PixelData = encapsulate([data])
    image["PixelData"].VR = "OB"
    array, _ = get_decoder(image.file_meta.TransferSyntaxUID).as_array(image, raw=True, index=0)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.dtype.str.encode().ljust(4), little.tobytes()
