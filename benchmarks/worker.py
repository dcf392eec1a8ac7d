"""An engine in a process of its own, so that its peak memory and its threads are its own."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.engines import Case
from kidneyseg.sparse import native

# name: module and class of the engine, and the package it needs
ENGINES = {
    "native": ("benchmarks.engines", "Native", "kidneyseg"),
    "torch": ("benchmarks.engines", "Torch", "kidneyseg"),
    "spconv": ("benchmarks.peers", "Spconv", "spconv"),
    "sparseconvnet": ("benchmarks.peers", "SparseConvNet", "sparseconvnet"),
    "minkowski": ("benchmarks.minkowski", "Minkowski", "MinkowskiEngine"),
}
# spconv's scatter-add on the CPU races with two threads or more, and its outputs are wrong then.
ONE_THREAD_ONLY = ("spconv",)
_NO_MORE_THAN_AVX2 = {
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
}
_GEMM = ("benchmarks.engines", "MatrixProduct", "torch")


def installed() -> list[str]:
    """The engines that can run here, ours first."""
    names = [name for name, (*_, package) in ENGINES.items() if find_spec(package)]
    return names if native.available() else names[1:]


class EngineError(RuntimeError):
    """An engine could not do a case; the message is its own."""


class Worker:
    """Runs one engine on one case. The libraries read their environment when they start, so it is set before.

    Raises:
        EngineError: when the engine fails or its process ends, e.g. for lack of memory; from each method.
    """

    def __init__(self, engine: str, case: Case) -> None:
        self._connection, theirs = get_context("spawn").Pipe()
        self._process = get_context("spawn").Process(target=_serve, args=(engine, case, theirs), daemon=True)
        with _environment({"OMP_NUM_THREADS": str(case.threads)} | (_NO_MORE_THAN_AVX2 if case.avx2 else {})):
            self._process.start()
        theirs.close()
        self.version = self._receive()

    def measure(self) -> dict[str, float]:
        """One timed run: seconds by part."""
        return self._ask("measure")

    def peak_mb(self) -> float:
        """The most memory the process has held, its libraries included, in MB of 10^6 bytes."""
        return self._ask("peak")

    def outcome(self, folder: Path) -> dict[str, Path]:
        """Writes the results of the latest run as .npy into the folder."""
        return self._ask(folder)

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(timeout=5)
        self._process.kill()

    def _ask(self, what: Any) -> Any:
        self._connection.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            kind, value = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise EngineError(f"its process ended with {self._process.exitcode}") from None
        if kind == "error":
            raise EngineError(value)
        return value


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """The variables set, for processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _serve(name: str, case: Case, connection: Connection) -> None:
    torch.set_num_threads(case.threads)
    if case.avx2 and native.available():
        native.limit_instruction_set("avx2")
    module, kind, _ = _GEMM if name == "torch.mm" else ENGINES[name]
    try:
        engine = getattr(import_module(module), kind)()
        engine.prepare(case)
        connection.send(("done", engine.version()))
        while True:
            asked = connection.recv()
            if asked == "measure":
                connection.send(("done", engine.measure()))
            elif asked == "peak":
                connection.send(("done", _peak_mb()))
            else:
                paths = {key: asked / f"{name}-{key}.npy" for key in ("output", "gradient")}
                outcome = engine.outcome()
                for key, value in outcome.items():
                    np.save(paths[key], value.detach().numpy())
                connection.send(("done", {key: paths[key] for key in outcome}))
    except EOFError:
        return
    except Exception as error:
        connection.send(("error", f"{type(error).__name__}: {error}"))


def _peak_mb() -> float:
    """Linux starts a process's ru_maxrss at its parent's size, which here holds a whole CT; VmHWM is its own."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
