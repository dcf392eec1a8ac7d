"""Engines taking turns at one case: medians, peak memory, and whether their outputs agree."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.engines import Case, MatrixProduct
from benchmarks.worker import EngineError, Worker

# Between independent engines 1e-6 to 1e-5 is usual.
OUTPUT_TOLERANCE = 1e-4
# In training torch sums a channel's statistics in float32, which over 500k sites puts the scores 1.4e-4 off float64.
TRAINING_TOLERANCE = 1e-3
# The first layer's gradient has come back through every ReLU: where a unit lies within rounding of zero, engines decide
# differently, and it is wholly on or off. Compared as a whole, it was 2 % off float64 with torch's norms and .3 % with
# ours at 100k sites, 9 % and 0 % at 20k, which leave few at the deepest levels. A wrong adapter is off by all of it.
GRADIENT_TOLERANCE = 0.2


@dataclass
class Row:
    """What one engine did at one case.

    Attributes:
        engine, version: who. sites: on how many. threads: with how many.
        seconds: by part ("maps", "network", "total"): every repeat, in order.
        peak_mb: of its whole process.
        difference, gradient_difference: of the outputs (largest) and of the first layer's gradient (norm) from the
            reference engine, relative; None for the reference itself or where nothing is compared.
        agrees: whether they are within the tolerances; its times mean nothing where it is not.
        gemm_percent: arithmetic per second of the network part against torch.mm's in the same run.
        failure: why there are no figures.
    """

    engine: str
    version: str = ""
    sites: int = 0
    threads: int = 1
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_mb: float = 0.0
    difference: float | None = None
    gradient_difference: float | None = None
    agrees: bool = True
    gemm_percent: float | None = None
    failure: str = ""

    def median(self, part: str) -> float | None:
        """Seconds of a part."""
        return statistics.median(self.seconds[part]) if part in self.seconds else None


def compare(case: Case, engines: Sequence[str], repeats: int, gflop: float | None = None) -> list[Row]:
    """Run a case on every engine, one repeat of each in turn after a warm-up that also shows whether they agree.

    With `gflop`, the arithmetic of the network part (of the whole step in training), torch.mm takes turns too.
    The torch kernels are the reference where they take part, else the first engine.
    """
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="kidneyseg-bench-") as folder:
        rows = {
            name: Row(name, sites=case.sites, threads=case.threads)
            for name in (*engines, *(["torch.mm"] if gflop else []))
        }
        workers: dict[str, Worker] = {}
        for name, row in rows.items():
            try:
                workers[name] = stack.enter_context(closing(Worker(name, case)))
                row.version = workers[name].version
                workers[name].measure()
            except EngineError as error:
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
        _judge(rows, results, training=case.kind == "training")
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
    except EngineError as error:
        row.failure = str(error)


def _judge(rows: dict[str, Row], results: dict[str, dict[str, Path]], *, training: bool) -> None:
    results = {name: paths for name, paths in results.items() if paths}
    reference = "torch" if "torch" in results else next(iter(results), None)
    for name in results:
        if reference is None or name == reference:
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
