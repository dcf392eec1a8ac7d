"""A run's state on disk: checksummed, written completely or not at all, with the previous one kept as a spare."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kidneyseg.errors import ModelError, OutputError, SettingsError
from kidneyseg.imaging.files import atomic_write
from kidneyseg.training.run_folder import FORMAT

log = logging.getLogger(__name__)

_NAMES = ("checkpoint.pth", "checkpoint-before.pth")
_MAGIC_OF_ANY_VERSION = b"kidneyseg-checkpoint-"
_MAGIC = _MAGIC_OF_ANY_VERSION + b"%d\n" % FORMAT
_DIGEST_BYTES = hashlib.sha256().digest_size


def save_checkpoint(state: Mapping[str, Any], folder: Path) -> None:
    """Write `folder`/checkpoint.pth; the previous checkpoint becomes checkpoint-before.pth.

    Raises:
        OutputError: when it cannot be written.
    """
    content = io.BytesIO()
    torch.save(dict(state), content)
    payload = content.getvalue()
    path, spare = (folder / name for name in _NAMES)
    try:
        if path.is_file():
            path.replace(spare)
    except OSError as error:
        raise OutputError(f"{path} cannot be replaced: {error.strerror}") from error
    with atomic_write(path) as file:
        file.write(_MAGIC + hashlib.sha256(payload).digest() + payload)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The state last saved in `folder`, on the CPU; None where there is none. A damaged one falls back to the spare.

    Raises:
        SettingsError: when another version of the program wrote it.
        ModelError: when every checkpoint is damaged.
    """
    paths = [folder / name for name in _NAMES if (folder / name).is_file()]
    for path in paths:
        content = path.read_bytes()
        start = len(_MAGIC) + _DIGEST_BYTES
        if content.startswith(_MAGIC) and hashlib.sha256(content[start:]).digest() == content[len(_MAGIC) : start]:
            state: dict[str, Any] = torch.load(io.BytesIO(content[start:]), map_location="cpu", weights_only=True)
            return state
        if content.startswith(_MAGIC_OF_ANY_VERSION) and not content.startswith(_MAGIC):
            raise SettingsError(f"another version of KidneySeg wrote {path}; remove {folder} to start anew")
        log.warning("the checkpoint %s is damaged and cannot be used", path)
    if paths:
        raise ModelError(f"every checkpoint in {folder} is damaged; remove that folder to start anew")
    return None
