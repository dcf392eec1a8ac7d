"""A method's networks, their device, and the class probabilities that they predict for points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kidneyseg.errors import ResourceError
from kidneyseg.models import Model, Stage, load_model, model_name
from kidneyseg.progress import Progress
from kidneyseg.sparse import SparseUNet, memory
from kidneyseg.sparse.backends import SparseConvNetUNet

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


def pick_device(name: str) -> torch.device:
    """The device for "auto" (CUDA when there is one), "cpu" or "cuda".

    Raises:
        ResourceError: for "cuda" without a CUDA GPU, or an unknown name.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name.split(":", maxsplit=1)[0] == "cuda":
        if not torch.cuda.is_available():
            raise ResourceError("no CUDA GPU can be used here; choose the device auto or cpu")
        return torch.device(name)
    raise ResourceError(f"there is no device {name!r}; choose auto, cpu or cuda")


def predict_mirrored(
    model: Model,
    cells: NDArray[np.int32],
    features: NDArray[np.float32],
    device: torch.device,
    progress: Progress,
    note: Note,
) -> NDArray[np.float16]:
    """`predict`, the mean over the points and their mirror image, left and right exchanged. Cells may be negative."""
    total = np.zeros((len(cells), model.network.config["classes"]), np.float32)
    for i, side in enumerate((1, -1)):
        mirrored = cells * np.array((side, 1, 1), np.int32)
        mirrored -= mirrored.min(0) if len(cells) else 0
        total += predict(model, mirrored, features, device, progress.part(i / 2, (i + 1) / 2), note)
    return np.asarray(total / 2, np.float16)


def predict(
    model: Model,
    cells: NDArray[np.integer],
    features: NDArray[np.float32],
    device: torch.device,
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
    coords = torch.from_numpy(np.ascontiguousarray(cells, dtype=np.int64))
    inputs = torch.from_numpy(features)
    for where, remedy in ((device, _TRIED_AGAIN), (device, _CPU_INSTEAD)):
        try:
            return _run(model.runs, coords, inputs, where, progress)
        except torch.OutOfMemoryError:
            sentence = remedy
        # Outside the handler, since the error keeps the failed pass's tensors alive.
        note(sentence)
        torch.cuda.empty_cache()
    return _run(model.runs, coords, inputs, torch.device("cpu"), progress)


def _run(
    network: SparseUNet | SparseConvNetUNet,
    coords: torch.Tensor,
    features: torch.Tensor,
    device: torch.device,
    progress: Progress,
) -> NDArray[np.float16]:
    def report(share: float) -> None:
        progress.update("network", share)  # raises Cancelled on a cancel

    try:
        network = network.to(device)
        # SparseConvNet and the softmax can run out of memory too, not only our own network.
        with memory.memory_errors(), torch.inference_mode():
            logits = network(coords.to(device), features.to(device), report=report)
            probability: NDArray[np.float16] = logits.softmax(1).to(torch.float16).cpu().numpy()
            return probability
    except MemoryError as error:
        raise ResourceError(
            f"{len(coords)} points need more memory than is free; close other programs, or lower the kept intensity"
        ) from error
