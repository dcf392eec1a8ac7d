"""Unique identifiers (UIDs) that follow from what an object says, and the program's own name in DICOM.

The same pixels of the same series, found with the same settings, networks and versions, give the same UIDs; anything
else gives others. So a result that is sent twice is stored once, and two different results never share a SOP Instance
UID. Only dates and times of writing differ between two exports of one result; a PACS keeps the first.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable
from typing import Any

MANUFACTURER = "KidneySeg"
# Of all UIDs below: any fixed UUID does.
_NAMESPACE = uuid.UUID("6f1f5b2e-0d39-5c0b-9c53-3a4d1a4e8a77")


def uid(*names: str) -> str:
    """The UID of what has these names, of at most 44 characters; other names give another one.

    It is a UUID under 2.25, the root that DICOM PS3.5 B.2 reserves for them, so no registered root is needed.
    """
    return f"2.25.{uuid.uuid5(_NAMESPACE, json.dumps(names)).int}"


def digest(values: Any, arrays: Iterable[memoryview]) -> str:
    """SHA-256, in hexadecimal digits, of plain values and of the bytes of arrays."""
    state = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode())
    for array in arrays:
        state.update(array)
    return state.hexdigest()
