"""A run's state on disk: checksummed, written whole or not at all, with the one before it as a spare."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from kidneyseg.errors import KidneySegError, ModelError, OutputError, SettingsError
from kidneyseg.files import make_folder, write_whole
from kidneyseg.training.distributed import Ranks

log = logging.getLogger(__name__)

_MAGIC = b"kidneyseg-checkpoint-1\n"
_MEND = "another folder to begin anew"
_DIGEST = hashlib.sha256().digest_size


def save_checkpoint(state: Mapping[str, Any], folder: Path) -> None:
    """Write `folder`/checkpoint.pth; the checkpoint before it becomes checkpoint-before.pth.

    Raises:
        OutputError: when the disk does not take it.
    """
    content = io.BytesIO()
    torch.save(dict(state), content)
    payload = content.getvalue()
    path = folder / "checkpoint.pth"
    try:
        if path.is_file():
            path.replace(folder / "checkpoint-before.pth")
        write_whole(path, _MAGIC + hashlib.sha256(payload).digest() + payload)
    except (OSError, OutputError) as error:
        raise OutputError(f"the checkpoint {path} cannot be written ({error}); free some space, then go on") from error


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The state last saved in `folder`, on the CPU; None where there is none. A damaged one falls back to the spare.

    Raises:
        ModelError: when all that is there is damaged.
    """
    paths = [path for path in (folder / "checkpoint.pth", folder / "checkpoint-before.pth") if path.is_file()]
    for path in paths:
        content = path.read_bytes()
        start = len(_MAGIC) + _DIGEST
        if content.startswith(_MAGIC) and hashlib.sha256(content[start:]).digest() == content[len(_MAGIC) : start]:
            state: dict[str, Any] = torch.load(io.BytesIO(content[start:]), map_location="cpu", weights_only=True)
            return state
        log.warning("the checkpoint %s is damaged and cannot be used", path)
    if paths:
        raise ModelError(f"every checkpoint in {folder} is damaged; remove that folder to begin anew")
    return None


@contextmanager
def claimed(folder: Path, ranks: Ranks | None = None) -> Iterator[None]:
    """Keep other processes from training in `folder` meanwhile; of several ranks the first asks for all.

    Raises:
        BusyError: when another process is at it; on every rank.
        OutputError: when the folder cannot be made or written.
    """
    ranks = ranks or Ranks()
    with ExitStack() as held:
        refused = _lock(folder, held) if ranks.first else None
        if refused := ranks.from_first(refused):
            raise BusyError(refused)
        yield


def _lock(folder: Path, held: ExitStack) -> str | None:
    """Hold the folder's lock, or say why not."""
    make_folder(folder)
    try:
        file = held.enter_context((folder / ".lock").open("wb"))
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be written: {error.strerror}. Choose another one.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"another process works in {folder}; wait for it, or stop it"
    except OSError:
        log.info("%s lies on a file system without locks", folder)
    return None


class BusyError(KidneySegError):
    """A folder in which another process works."""


def claim(folder: Path, arguments: Mapping[str, Any], mend: str = _MEND) -> None:
    """Take `folder` for a run with these arguments, or go on with a run that was begun with the same ones.

    Args:
        folder: made when it is missing; the arguments are kept there in run.json.
        arguments: all that the run's result depends on; values that JSON can hold.
        mend: what to do otherwise, for the message.

    Raises:
        SettingsError: when the folder was begun with others; the message names the first difference.
    """
    path = folder / "run.json"
    wanted: dict[str, Any] = json.loads(json.dumps(dict(arguments)))
    if path.is_file():
        try:
            begun = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelError(f"{path} is damaged; remove {folder} to begin anew") from error
        refuse_difference(begun, wanted, folder, mend)
        return
    make_folder(folder)
    write_whole(path, json.dumps(wanted, indent=1).encode())


def refuse_difference(begun: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path, mend: str = _MEND) -> None:
    """Raise SettingsError when a run in `folder` was begun with other values than are wanted now, naming the first."""
    for name in dict.fromkeys([*begun, *wanted]):
        if begun.get(name) != wanted.get(name):
            was, now = _difference(begun.get(name), wanted.get(name))
            raise SettingsError(
                f"the run in {folder} was begun with another {name}: {was}, not {now}; "
                f"give the same arguments to go on with it, or {mend}"
            )


def _difference(was: Any, now: Any) -> tuple[str, str]:
    """Both values in short; of mappings only what differs."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        names = [name for name in dict.fromkeys([*was, *now]) if was.get(name) != now.get(name)]
        was, now = ({name: each[name] for name in names if name in each} for each in (was, now))
    return _in_short(was), _in_short(now)


def _in_short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."
