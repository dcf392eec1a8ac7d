"""A method's networks, and the class probabilities that they predict for points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Floats
from kidneyseg.errors import ResourceError
from kidneyseg.models import Model, Stage, load_model, model_name
from kidneyseg.progress import Progress
from kidneyseg.sparse.inference import NativeUNet
from kidneyseg.sparse.memory import GpuMemoryError
from kidneyseg.sparse.network import Runner

_TRIED_AGAIN = "The GPU ran out of memory; its memory was freed and that part of the CT was run again by itself."
_CPU_INSTEAD = "The GPU has too little memory for this CT; the CPU was used instead."

Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Networks:
    """A method's networks."""

    stage1: Model
    stage2: Model

    @property
    def all(self) -> tuple[Model, ...]:
        """Both, in the order in which they run."""
        return self.stage1, self.stage2


def load_networks(method: str, directory: Path | None = None, backend: str = "auto") -> Networks:
    """A method's networks, by default the bundled ones.

    Raises:
        ModelError: when one is missing or damaged.
    """
    stages = (Stage.STAGE1, Stage.STAGE2)
    return Networks(*(load_model(model_name(method, stage), directory, backend) for stage in stages))


def predict_mirrored(
    model: Model,
    cells: NDArray[np.int32],
    features: NDArray[np.float32],
    device: str,
    progress: Progress,
    note: Note,
) -> NDArray[np.float16]:
    """`predict`, the mean over the points and their mirror image, left and right exchanged. Cells may be negative."""
    total = np.zeros((len(cells), model.network.config["classes"]), np.float32)
    for probability in _of_both_sides(model, cells, features, device, progress, note):
        total += probability
    return np.asarray(total / 2, np.float16)


def predict(
    model: Model,
    cells: NDArray[np.integer],
    features: NDArray[np.float32],
    device: str,
    progress: Progress,
    note: Note = lambda _: None,
) -> NDArray[np.float16]:
    """Class probabilities (N, classes) of points on cells (N, 3) >= 0 with features (N, in_channels).

    Where a GPU runs out of memory, its memory is freed and this part of the CT is run again by itself; if it still does
    not fit, the CPU runs it. `note` receives a sentence on either.

    Raises:
        ResourceError: when the computer's memory does not suffice.
    """
    if len(cells) == 0:
        return np.zeros((0, model.network.config["classes"]), np.float16)
    # int32 takes half of the memory, and is what most callers have.
    coords = np.ascontiguousarray(cells, np.int32)
    for where, remedy in ((device, _TRIED_AGAIN), (device, _CPU_INSTEAD)):
        try:
            return _run(model.runner(where), coords, features, progress)
        except GpuMemoryError:
            note(remedy)
    return _run(model.runner("cpu"), coords, features, progress)


def _of_both_sides(
    model: Model,
    cells: NDArray[np.int32],
    features: NDArray[np.float32],
    device: str,
    progress: Progress,
    note: Note,
) -> Iterator[NDArray[np.float16]]:
    """Class probabilities of the points, and then of their mirror image."""
    runner = model.runner(device)
    if isinstance(runner, NativeUNet) and len(cells):
        coords = np.ascontiguousarray(cells - cells.min(0), dtype=np.int32)
        with _enough_memory_for(coords):
            yield from map(_softmax, runner.of_both_sides(coords, features, report=partial(progress.update, "network")))
        return
    for i, side in enumerate((1, -1)):
        mirrored = cells * np.array((side, 1, 1), np.int32)
        mirrored -= mirrored.min(0) if len(cells) else 0
        yield predict(model, mirrored, features, device, progress.part(i / 2, (i + 1) / 2), note)


def _run(runner: Runner, coords: NDArray[np.int32], features: Floats, progress: Progress) -> NDArray[np.float16]:
    with _enough_memory_for(coords):
        return _softmax(runner(coords, features, report=partial(progress.update, "network")))


@contextmanager
def _enough_memory_for(coords: NDArray[np.int32]) -> Iterator[None]:
    """Say what to do where the computer's memory does not suffice for these points."""
    try:
        yield
    except GpuMemoryError:
        raise
    except MemoryError as error:
        raise ResourceError(
            f"{len(coords)} points need more memory than is free; close other programs, or lower the kept intensity"
        ) from error


def _softmax(logits: Floats) -> NDArray[np.float16]:
    """Probabilities (N, classes)."""
    by_class = np.ascontiguousarray(logits.T)  # long rows: a reduction over few columns is slow
    by_class -= by_class.max(axis=0)
    np.exp(by_class, out=by_class)
    by_class /= by_class.sum(axis=0)
    out = np.empty(logits.shape, np.float16)
    for class_, probability in enumerate(by_class):  # numpy rounds long rows three times as fast as columns
        out[:, class_] = probability
    return out
