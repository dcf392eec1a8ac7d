"""A run's folder: locked against other processes, and continued only by the run that began it."""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kidneyseg.errors import KidneySegError, ModelError, OutputError, SettingsError
from kidneyseg.imaging.files import atomic_write, make_folder
from kidneyseg.training.distributed import Ranks

log = logging.getLogger(__name__)

# Raise it when run.json or the checkpoints of another version can no longer be continued.
FORMAT = 2
_REMEDY = "choose another folder to start anew"


class BusyError(KidneySegError):
    """A folder in which another process works."""


@contextmanager
def lock(folder: Path, ranks: Ranks | None = None) -> Iterator[None]:
    """Keep other processes from training in `folder` meanwhile; of several ranks the first holds the lock for all.

    Raises:
        BusyError: when another process holds it; on every rank.
        OutputError: when the folder cannot be made or written.
    """
    ranks = ranks or Ranks()
    with ExitStack() as held:
        refusal = _try_lock(folder, held) if ranks.first else None
        if refusal := ranks.from_first(refusal):
            raise BusyError(refusal)
        yield


def _try_lock(folder: Path, held: ExitStack) -> str | None:
    """Hold the folder's lock in `held`; returns the reason why not, if any."""
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


def require_same_run(folder: Path, identity: Mapping[str, Any], remedy: str = _REMEDY) -> None:
    """Begin a run in `folder`, or continue the one that was begun there with the same identity.

    Args:
        folder: made when it is missing; the identity is kept there in run.json.
        identity: all that the run's result depends on, as values that JSON can hold.
        remedy: what to do otherwise, for the message.

    Raises:
        SettingsError: when another run, or another version of the program, began the folder; the message names the
            first difference.
        ModelError: when run.json is damaged.
    """
    path = folder / "run.json"
    wanted: dict[str, Any] = {"format": FORMAT, **json.loads(json.dumps(dict(identity)))}
    if not path.is_file():
        make_folder(folder)
        with atomic_write(path) as file:
            file.write(json.dumps(wanted, indent=1).encode())
        return
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        begun = None
    if not isinstance(begun, dict):
        raise ModelError(f"{path} is damaged; remove {folder} to start anew")
    if begun.get("format") != FORMAT:
        raise SettingsError(f"the run in {folder} was begun by another version of KidneySeg; {remedy}")
    refuse_difference(begun, wanted, folder, remedy)


def refuse_difference(begun: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path, remedy: str = _REMEDY) -> None:
    """Raise SettingsError when the run in `folder` was begun with other values, naming the first that differs."""
    for name in dict.fromkeys([*begun, *wanted]):
        if begun.get(name) != wanted.get(name):
            was, now = _difference(begun.get(name), wanted.get(name))
            raise SettingsError(
                f"the run in {folder} was begun with another {name}: {was}, not {now}; "
                f"give the same arguments to continue it, or {remedy}"
            )


def _difference(was: Any, now: Any) -> tuple[str, str]:
    """Both values, abbreviated; of mappings only what differs."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        names = [name for name in dict.fromkeys([*was, *now]) if was.get(name) != now.get(name)]
        was, now = ({name: each[name] for name in names if name in each} for each in (was, now))
    return _abbreviated(was), _abbreviated(now)


def _abbreviated(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."
