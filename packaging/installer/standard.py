"""Shortens highdicom's copy of the DICOM standard: 23 MB, of which the objects that the program writes need 1 MB.

highdicom looks up the modules of what it writes completely. Of the images that it refers to, which may be of any kind,
it asks what they have themselves, not what the items of their sequences have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path


def shorten(folder: Path, written: Iterable[str]) -> None:
    """Keep what highdicom's folder `_standard` says of the SOP classes `written`; of the rest no items of sequences."""
    kinds: dict[str, str] = json.loads((folder / "sop_class_iod_map.json").read_text())
    modules: dict[str, list[dict[str, str]]] = json.loads((folder / "iod_module_map.json").read_text())
    table = folder / "module_attribute_map.json"
    attributes: dict[str, list[dict[str, object]]] = json.loads(table.read_text())
    complete = {module["key"] for sop_class in written for module in modules[kinds[sop_class]]}
    kept = {
        name: entries if name in complete else [entry for entry in entries if not entry["path"]]
        for name, entries in attributes.items()
    }
    table.write_text(json.dumps(kept, separators=(",", ":")))
