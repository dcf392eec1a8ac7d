"""The log a user can find, and the last net for errors nobody caught."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QStandardPaths

log = logging.getLogger(__name__)


def log_folder() -> Path:
    """Where the log file is."""
    return Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppLocalDataLocation)) / "logs"


def start_log() -> Path | None:
    """Write the program's log to `log_folder()`/kidneyseg.log; None where that cannot be written."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    console.setFormatter(form)
    root.addHandler(console)
    try:
        log_folder().mkdir(parents=True, exist_ok=True)
        path = log_folder() / "kidneyseg.log"
        handler = RotatingFileHandler(path, maxBytes=1_000_000, backupCount=3, encoding="utf-8")
    except OSError as error:
        log.warning("no log file can be written: %s", error)
        return None
    handler.setFormatter(form)
    root.addHandler(handler)
    return path


def catch_errors(show: Callable[[str], None]) -> None:
    """From now on an error that nobody caught goes to the log, and one sentence to `show`."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        log.critical("an error nobody caught", exc_info=(kind, error, trace))
        show(
            f"Something unexpected went wrong ({kind.__name__}). The open case is still there; details are in the log."
        )

    sys.excepthook = hook
