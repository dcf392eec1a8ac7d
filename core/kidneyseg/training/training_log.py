"""The metrics of a run: log.csv, and TensorBoard where that is installed."""

from __future__ import annotations

import csv
import importlib.util
import io
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kidneyseg.files import write_whole
from kidneyseg.libraries import is_installed_program

log = logging.getLogger(__name__)


class TrainingLog:
    """Writes `folder`/log.csv, one row per check, and `folder`/tensorboard; nothing where `folder` is None.

    Rows after `step` are dropped: a killed run wrote them after its last checkpoint, and this run writes them again.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        self._path = folder / "log.csv" if folder else None
        self._rows = [row for row in self._read() if int(row["step"]) <= step]
        self._write()
        self._board = _summary_writer(folder / "tensorboard", step) if folder else None

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def note(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add the row of a step, with metrics by name."""
        if self._path is None:
            return
        row = {"step": str(step)} | {name: f"{value:.4g}" for name, value in metrics.items()}
        log.info("%s", ", ".join(f"{name} {value}" for name, value in row.items()))
        self._rows.append(row)
        self._write()
        if self._board is not None:
            for name, value in metrics.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()

    def _read(self) -> list[dict[str, str]]:
        if self._path is None or not self._path.is_file():
            return []
        with self._path.open(newline="") as file:
            return [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]

    def _write(self) -> None:
        if self._path is None:
            return
        if not self._rows:
            self._path.unlink(missing_ok=True)
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in self._rows for name in row)))
        writer.writeheader()
        writer.writerows(self._rows)
        write_whole(self._path, text.getvalue().encode())


def time_left(seconds: float) -> str:
    """A duration as "35 s", "12 min" or "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _summary_writer(folder: Path, step: int) -> Any:
    """TensorBoard's writer, or None where it is not installed."""
    if not tensorboard_installed():
        return None
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - fails without the optional package

    return SummaryWriter(str(folder), purge_step=step + 1)


@cache
def tensorboard_installed() -> bool:
    """Whether TensorBoard can be written; warns once when it cannot."""
    if importlib.util.find_spec("tensorboard") is not None:
        return True
    how = "" if is_installed_program() else " (pip install 'kidneyseg[train]')"
    log.warning("TensorBoard is not installed%s; log.csv holds the same metrics", how)
    return False
