"""One and two threads of our kernels on a machine that other processes keep busy."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace

from benchmarks.libraries import Case
from benchmarks.worker import Worker

THREADS = (1, 2)


@dataclass
class Contention:
    """Alternating runs on one and on two threads beside processes that never sleep."""

    spinning: int  #: number of those processes
    #: whether each has a session of its own: where the kernel groups processes by session (autogroup), all threads of
    #: this program together then get no more time than one of them
    sessions: bool
    seconds: dict[int, list[float]] = field(default_factory=lambda: {threads: [] for threads in THREADS})  #: by threads

    def median(self, threads: int) -> float:
        """Median seconds."""
        return statistics.median(self.seconds[threads])

    @property
    def ratio(self) -> float:
        """Median over the repeats of the time of two threads relative to that of one."""
        one, two = (self.seconds[threads] for threads in THREADS)
        return statistics.median(b / a for a, b in zip(one, two, strict=True))


def measure_contention(case: Case, repeats: int, beside: Sequence[tuple[int, bool]]) -> list[Contention]:
    """Run a case on one and two threads in turn. The order changes, so that neither always runs first.

    Args:
        case: its number of threads is replaced.
        repeats: timed runs of each number of threads beside each set of processes.
        beside: for each row, the number of processes that never sleep, and whether each has a session of its own.

    Raises:
        LibraryError: when a process of the kernels fails.
    """
    rows = [Contention(spinning, sessions) for spinning, sessions in beside]
    with ExitStack() as stack:
        workers = {
            threads: stack.enter_context(closing(Worker("native", replace(case, threads=threads))))
            for threads in THREADS
        }
        for worker in workers.values():
            worker.measure()
        for row in rows:
            with _spinning(row.spinning, sessions=row.sessions):
                for repeat in range(repeats):
                    for threads in THREADS[:: 1 if repeat % 2 else -1]:
                        row.seconds[threads].append(workers[threads].measure()["total"])
    return rows


def contention_table(rows: list[Contention]) -> str:
    """Markdown table."""
    lines = ["| spinning processes | 1 thread | 2 threads | ratio |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        where = ", each in its own session" if row.sessions else ""
        lines.append(f"| {row.spinning}{where} | {row.median(1):.3f} | {row.median(2):.3f} | {row.ratio:.2f} |")
    return "\n".join(lines)


@contextmanager
def _spinning(count: int, *, sessions: bool) -> Iterator[None]:
    """Processes that never sleep."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command, start_new_session=sessions) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
