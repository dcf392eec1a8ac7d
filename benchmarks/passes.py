"""The first pass of a process and a later one, of points in lexicographic and in random order."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.compare import Row, check_agreement
from benchmarks.libraries import Case
from benchmarks.worker import LibraryError, Worker

PASSES = ("first", "later")


@dataclass
class Passes(Row):
    """A library's passes over points in one order; parts are "first", "later", "first cpu" and "later cpu"."""

    shuffled: bool = field(default=False, kw_only=True)  #: whether the points are in random order


def measure_passes(case: Case, libraries: Sequence[str], repeats: int) -> list[Passes]:
    """Time a process's first pass, and a later one with new sites and maps. The libraries and orders alternate.

    In the first pass memory comes fresh from the system and the caches are empty. Each repeat starts new processes.

    Args:
        case: of the kind "inference".
        libraries: names from `worker.LIBRARIES`.
        repeats: processes for each library and order.
    """
    kinds = [(name, shuffled) for name in libraries for shuffled in (False, True)]
    rows = {f"{name} {shuffled}": Passes(name, sites=case.sites, shuffled=shuffled) for name, shuffled in kinds}
    with tempfile.TemporaryDirectory(prefix="kidneyseg-bench-") as folder:
        results: dict[str, dict[str, Path]] = {}
        for _ in range(repeats):
            for key, row in rows.items():
                if row.failure:
                    continue
                try:
                    results[key] = _repeat(row, replace(case, shuffled=row.shuffled), Path(folder) / key)
                except LibraryError as error:
                    row.failure = str(error)
        check_agreement(rows, results, reference="torch False")
    return list(rows.values())


def _repeat(row: Passes, case: Case, folder: Path) -> dict[str, Path]:
    """Two passes in a new process."""
    folder.mkdir(exist_ok=True)
    with closing(Worker(row.name, case)) as worker:
        row.version = worker.version
        for one in PASSES:
            seconds = worker.measure()
            row.seconds.setdefault(one, []).append(seconds["total"])
            row.seconds.setdefault(f"{one} cpu", []).append(seconds["cpu"])
        row.peak_mb = worker.peak_mb()
        return worker.outcome(folder)


def passes_table(rows: Sequence[Passes]) -> str:
    """Markdown table."""
    lines = [
        "| library | points | first pass | later pass | CPU, first | CPU, later | ratio of CPU | differs by |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        order = "shuffled" if row.shuffled else "sorted"
        parts = ("first", "later", "first cpu", "later cpu")
        medians = [value for part in parts if (value := row.median(part)) is not None]
        if row.failure or not row.agrees or len(medians) < len(parts):
            lines.append(f"| {row.name} | {order} | {row.reason} | | | | | |")
            continue
        seconds = " | ".join(f"{value:.3f}" for value in medians)
        differs = "" if row.difference is None else f"{row.difference:.0e}"
        lines.append(f"| {row.name} | {order} | {seconds} | {medians[2] / medians[3]:.2f} | {differs} |")
    return "\n".join(lines)
