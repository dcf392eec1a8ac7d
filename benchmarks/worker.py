"""Runs a library in its own process, so that peak memory and threads are its own."""

from __future__ import annotations

import os
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

from benchmarks.libraries import Case
from kidneyseg.cli.terminal import peak_mb
from kidneyseg.sparse import native

# name: module, class and required package
LIBRARIES = {
    "native": ("benchmarks.libraries", "Native", "kidneyseg"),
    "torch": ("benchmarks.libraries", "Torch", "kidneyseg"),
    "cuda": ("benchmarks.cuda", "Cuda", "kidneyseg"),
    "spconv": ("benchmarks.peers", "Spconv", "spconv"),
    "sparseconvnet": ("benchmarks.peers", "SparseConvNet", "sparseconvnet"),
    "minkowski": ("benchmarks.minkowski", "Minkowski", "MinkowskiEngine"),
}
# spconv's scatter-add on the CPU has a data race: with two or more threads its outputs are wrong.
ONE_THREAD_ONLY = ("spconv",)
# Libraries that make kernel maps only inside their passes, so that these cannot be timed by themselves.
MAPS_INSIDE = ("sparseconvnet", "minkowski")
_NO_MORE_THAN_AVX2 = {
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
}
_GEMM = ("benchmarks.libraries", "MatrixProduct", "torch")


def installed() -> list[str]:
    """The libraries that can be run here, ours first."""
    missing = {name: not found() for name, found in (("native", native.available), ("cuda", torch.cuda.is_available))}
    return [name for name, (*_, package) in LIBRARIES.items() if find_spec(package) and not missing.get(name)]


class LibraryError(RuntimeError):
    """A library failed on a case, with its own message."""


class Worker:
    """Runs one library on one case. Libraries read their environment on import, so it is set before the process starts.

    Raises:
        LibraryError: from each method, when the library fails or its process ends, e.g. for lack of memory.
    """

    def __init__(self, library: str, case: Case) -> None:
        self._connection, theirs = get_context("spawn").Pipe()
        self._process = get_context("spawn").Process(target=_serve, args=(library, case, theirs), daemon=True)
        with _environment({"OMP_NUM_THREADS": str(case.threads)} | (_NO_MORE_THAN_AVX2 if case.avx2 else {})):
            self._process.start()
        theirs.close()
        self.version = self._receive()

    def measure(self) -> dict[str, float]:
        """One timed run: seconds by part."""
        return self._request("measure")

    def peak_mb(self) -> float:
        """Peak memory of the process in MB of 10^6 bytes."""
        return self._request("peak")

    def outcome(self, folder: Path) -> dict[str, Path]:
        """Write the results of the latest run to the folder as .npy files, by name."""
        return self._request(folder)

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(timeout=5)
        self._process.kill()

    def _request(self, what: Any) -> Any:
        self._connection.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            kind, value = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise LibraryError(f"its process ended with {self._process.exitcode}") from None
        if kind == "error":
            raise LibraryError(value)
        return value


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes that start meanwhile."""
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
    module, kind, _ = _GEMM if name == "torch.mm" else LIBRARIES[name]
    try:
        library = getattr(import_module(module), kind)()
        library.prepare(case)
        connection.send(("done", library.version))
        while True:
            request = connection.recv()
            if request == "measure":
                connection.send(("done", library.measure()))
            elif request == "peak":
                connection.send(("done", peak_mb()))
            else:
                paths = {key: request / f"{name}-{key}.npy" for key in ("output", "gradient")}
                outcome = library.outcome()
                for key, value in outcome.items():
                    np.save(paths[key], value.detach().numpy())
                connection.send(("done", {key: paths[key] for key in outcome}))
    except EOFError:
        return
    except Exception as error:
        connection.send(("error", f"{type(error).__name__}: {error}"))
