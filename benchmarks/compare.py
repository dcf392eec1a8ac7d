"""Alternating runs of several libraries on one case: seconds, peak memory, and whether their outputs agree."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.libraries import Case, MatrixProduct
from benchmarks.worker import LibraryError, Worker

# Independent libraries usually differ by 1e-6 to 1e-5.
OUTPUT_TOLERANCE = 1e-4
# In training torch sums a channel's statistics in float32: at 500k sites its logits differ from float64 by 1.4e-4.
TRAINING_TOLERANCE = 1e-3
# The first layer's gradient passed through every ReLU. Where a unit lies within rounding of zero, libraries decide
# differently, and its whole gradient is on or off. The norm of the difference from float64 was up to 9 % with torch's
# norms (20k sites); a wrong adapter is wrong by 100 %.
GRADIENT_TOLERANCE = 0.2


@dataclass
class Row:
    """The result of one library on one case."""

    name: str  #: of the library
    version: str = ""  #: its version
    sites: int = 0  #: number of sites
    threads: int = 1  #: number of threads
    #: of every repeat, by part ("maps", "network", "total", and "cpu" of the total)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_mb: float = 0.0  #: of its process
    #: largest difference of the outputs from the reference library, relative; None if not compared
    difference: float | None = None
    #: norm of the difference of the first layer's gradient, relative; None if not compared
    gradient_difference: float | None = None
    agrees: bool = True  #: whether both are within the tolerances; otherwise the times mean nothing
    #: operations per second of the network part as a share of torch.mm's in the same run
    gemm_percent: float | None = None
    failure: str = ""  #: why there are no figures

    @property
    def reason(self) -> str:
        """Why the times mean nothing: the failure, or how far the results are off."""
        if self.failure:
            return self.failure.splitlines()[0]
        return f"wrong: outputs differ by {self.difference or 0:.1e}, gradients by {self.gradient_difference or 0:.1e}"

    def median(self, part: str) -> float | None:
        """Median seconds of a part."""
        return statistics.median(self.seconds[part]) if part in self.seconds else None


def compare(case: Case, libraries: Sequence[str], repeats: int, gflop: float | None = None) -> list[Row]:
    """Run a case on every library, alternating between them, after one warm-up run each.

    The torch kernels are the reference if they take part, else the first library.

    Args:
        case: what to run.
        libraries: names from `worker.LIBRARIES`.
        repeats: timed runs of each.
        gflop: 10^9 operations of the network part (in training of the whole step); if given, torch.mm is timed too.
    """
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="kidneyseg-bench-") as folder:
        rows = {
            name: Row(name, sites=case.sites, threads=case.threads)
            for name in (*libraries, *(["torch.mm"] if gflop else []))
        }
        workers: dict[str, Worker] = {}
        for name, row in rows.items():
            try:
                workers[name] = stack.enter_context(closing(Worker(name, case)))
                row.version = workers[name].version
                workers[name].measure()
            except LibraryError as error:
                row.failure = str(error)
        running = [name for name in rows if not rows[name].failure]
        for _ in range(repeats):
            for name in running:
                _repeat(workers[name], rows[name])
        results = {}
        for name in running:
            if not rows[name].failure:
                rows[name].peak_mb = workers[name].peak_mb()
                results[name] = {} if name == "torch.mm" else workers[name].outcome(Path(folder))
        check_agreement(rows, results, training=case.kind == "training")
    gemm = rows.pop("torch.mm", None)
    if gemm is not None and gflop and gemm.seconds:
        peak = MatrixProduct.FLOP / 1e9 / (gemm.median("total") or 1)
        for row in rows.values():
            seconds = row.median("network") or row.median("total")
            row.gemm_percent = 100 * gflop / seconds / peak if seconds else None
    return list(rows.values())


def _repeat(worker: Worker, row: Row) -> None:
    if row.failure:
        return
    try:
        for part, seconds in worker.measure().items():
            row.seconds.setdefault(part, []).append(seconds)
    except LibraryError as error:
        row.failure = str(error)


def check_agreement(
    rows: Mapping[str, Row],
    results: Mapping[str, dict[str, Path]],
    *,
    reference: str = "torch",
    training: bool = False,
) -> None:
    """Note in the rows by how much their results differ from the reference's, else the first one's.

    Args:
        rows: by name.
        results: .npy files of each row by what they hold, "output" or "gradient".
        reference: name of the row to compare with.
        training: whether the outputs are those of a training step, which may differ more.
    """
    results = {name: paths for name, paths in results.items() if paths}
    reference = reference if reference in results else next(iter(results), "")
    for name in results:
        if name == reference:
            continue
        row = rows[name]
        for key, path in results[name].items():
            ours, theirs = np.load(path), np.load(results[reference][key])
            if key == "output":
                row.difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
                row.agrees &= row.difference <= (TRAINING_TOLERANCE if training else OUTPUT_TOLERANCE)
            else:
                row.gradient_difference = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
                row.agrees &= row.gradient_difference <= GRADIENT_TOLERANCE
