"""The log file, without the names of the user's files, and the handling of errors that nothing else caught."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QStandardPaths

from kidneyseg.errors import KidneySegError
from kidneyseg_gui.wording import in_the_windows_words

log = logging.getLogger(__name__)

# Names of the user's files and folders, each with what stands for it in the log.
_private: dict[str, str] = {}


def log_folder() -> Path:
    """Where the log file is."""
    return Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppLocalDataLocation)) / "logs"


def keep_private(path: Path) -> None:
    """Keep this file's name and folders out of the log from now on: they can hold a patient's name."""
    home = Path.home()
    for file in (path.absolute(), path.resolve()):
        pieces = file.name.split(".")
        names = {".".join(pieces[: n + 1]) for n in range(len(pieces))}  # "a", "a.nii" and "a.nii.gz"
        _private.update(dict.fromkeys({str(path), str(file), *names} - {""}, "<file>"))
        folders = [str(p) for p in file.parents if p.name and p != home and p not in home.parents]
        _private.update(dict.fromkeys(folders, "<folder>"))


def scrub(text: str) -> str:
    """The text with a stand-in for every name that was given to `keep_private`."""
    for word in sorted(_private, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", _private[word], text)
    return text


class _PrivateFormatter(logging.Formatter):
    """Formats a record, its traceback included, without the names of the user's files."""

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))


def start_log() -> Path | None:
    """Write the program's log to `log_folder()`/kidneyseg.log. Returns its path, None where it cannot be written."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    formatter = _PrivateFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    console.setFormatter(formatter)
    root.addHandler(console)
    try:
        log_folder().mkdir(parents=True, exist_ok=True)
        path = log_folder() / "kidneyseg.log"
        handler = RotatingFileHandler(path, maxBytes=1_000_000, backupCount=3, encoding="utf-8")
    except OSError as error:
        log.warning("the log file cannot be written: %s", error)
        return None
    handler.setFormatter(formatter)
    root.addHandler(handler)
    return path


def log_failure(what: str, error: BaseException) -> None:
    """Log that `what` failed: one line for an error that a user can expect, with a traceback for any other."""
    if isinstance(error, KidneySegError | MemoryError):
        log.warning("%s failed: %s: %s", what, type(error).__name__, error)
    elif isinstance(error, OSError) and error.strerror:
        log.warning("%s failed: %s: %s", what, type(error).__name__, error.strerror)
    else:
        log.error("%s failed", what, exc_info=error)


def sentence(error: BaseException) -> str:
    """One clear sentence for the user; the log has the details."""
    if isinstance(error, KidneySegError):
        return in_the_windows_words(str(error))
    if isinstance(error, MemoryError):
        return "There is not enough memory for this; close other programs, or use a machine with more memory."
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}."
    return f"Something unexpected went wrong ({type(error).__name__}: {error}); the log holds the details (Help menu)."


def catch_errors(show: Callable[[str], object]) -> None:
    """From now on log every error that nothing else caught, and give `show` one sentence."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        log.critical("an error was not caught", exc_info=(kind, error, trace))
        show(
            f"Something unexpected went wrong ({kind.__name__}). The open case is still there; details are in the log."
        )

    sys.excepthook = hook
