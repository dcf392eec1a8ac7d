"""Networks on points: stage 1 finds the kidneys among those sampled, and the paper's stages label their bands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.errors import ResourceError
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model, load_model, model_name
from kidneyseg.points.cloud import KIDNEY, TISSUE, PointCloud
from kidneyseg.points.features import hu_features
from kidneyseg.points.grid import paper_cells
from kidneyseg.progress import Progress
from kidneyseg.sparse import SparseUNet, memory
from kidneyseg.sparse.engines import SparseConvNetUNet

# A find smaller than this is no kidney (a child's has some 20 mL) and not worth stage 2's time.
_SMALLEST_FIND_ML = 1.5

_TRIED_AGAIN = "The GPU ran out of memory; it was freed, and that part of the CT was run again by itself."
_CPU_INSTEAD = "The GPU has too little memory for this CT; the CPU was used instead."

# Less find than this makes stage 1 look again as if the patient lay prone. With fold networks 14 CTs and as many made
# to look like ones without contrast agent give 202 mL or more as they are and 0 to 144 mL turned, at most .44 as much.
_ENOUGH_KIDNEY_ML, _LEAST_KIDNEY_ML, _FAR_MORE = 220.0, 40.0, 1.5
_PRONE = "Far more kidney was found in this CT turned over; it was read as one of a patient lying prone."

Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Networks:
    """A preset's networks."""

    stage1: Model
    stage2: Model

    @property
    def all(self) -> tuple[Model, ...]:
        """In the order in which they run."""
        return self.stage1, self.stage2


def load_networks(preset: str, directory: Path | None = None, engine: str = "auto") -> Networks:
    """A preset's networks, by default the bundled ones.

    Raises:
        ModelError: when one is missing or damaged.
    """
    return Networks(*(load_model(model_name(preset, stage), directory, engine) for stage in (1, 2)))


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


def find_kidneys(
    cloud: PointCloud, model: Model, device: torch.device, progress: Progress, note: Note = lambda _: None
) -> PointCloud:
    """Stage 1 on lattice cells: the cloud with labels TISSUE or KIDNEY and their probabilities (N, 2).

    Probabilities are the mean of the CT's and of its mirror image's, left and right exchanged. Separate finds under
    1.5 mL are put back to tissue. Where little is found the patient may lie prone, as in no CT that was learnt from:
    if far more is found in the CT turned by half about the long axis, that is taken.
    """
    supine = _found(cloud, model, device, progress.part(0.0, 0.9), note, (1, 1, 1))
    little = _kidney_ml(supine)
    if len(cloud) == 0 or little >= _ENOUGH_KIDNEY_ML:
        return supine
    prone = _found(cloud, model, device, progress.part(0.9, 1.0), note, (-1, -1, 1))
    if _kidney_ml(prone) < max(_LEAST_KIDNEY_ML, _FAR_MORE * little):
        return supine
    note(_PRONE)
    return prone


def _found(
    cloud: PointCloud,
    model: Model,
    device: torch.device,
    progress: Progress,
    note: Note,
    turn: tuple[int, int, int],
) -> PointCloud:
    """Stage 1 on the cloud with axes reversed where `turn` is -1."""
    features = hu_features(cloud.hu, model.network.config["in_channels"])
    probability = with_mirror(model, cloud.index * np.array(turn, np.int32), features, device, progress, note)
    labels = probability.argmax(1).astype(np.uint8)
    _drop_small(cloud, labels)
    return replace(cloud, labels=labels, probability=probability)


def with_mirror(
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
        shown = cells * np.array((side, 1, 1), np.int32)
        shown = shown - (shown.min(0) if len(cells) else 0)
        total = total + predict(model, shown, features, device, progress.part(i / 2, (i + 1) / 2), note)
    return np.asarray(total / 2, np.float16)


def _kidney_ml(cloud: PointCloud) -> float:
    return float((np.asarray(cloud.labels) == KIDNEY).sum() * np.prod(cloud.lattice.step_mm)) / 1000.0


def label_band(
    band: PointCloud,
    volume: Volume,
    model: Model,
    device: torch.device,
    progress: Progress,
    note: Note = lambda _: None,
) -> PointCloud:
    """One of the paper's intensity bands through one network: labels and probabilities for every point."""
    features = hu_features(band.hu, model.network.config["in_channels"])
    probability = predict(model, paper_cells(band, volume), features, device, progress, note)
    return replace(band, labels=probability.argmax(1).astype(np.uint8), probability=probability)


def unite(clouds: list[PointCloud]) -> PointCloud:
    """Disjoint labelled clouds on one lattice as one, rows in lexicographic order."""
    first = clouds[0]
    if len(clouds) == 1:
        return first
    index = np.concatenate([cloud.index for cloud in clouds])
    order = np.lexsort(index.T[::-1])
    labels = [cloud.labels for cloud in clouds if cloud.labels is not None]
    probability = [cloud.probability for cloud in clouds if cloud.probability is not None]
    return PointCloud(
        first.lattice,
        index[order],
        np.concatenate([cloud.hu for cloud in clouds])[order],
        np.concatenate(labels)[order] if labels else None,
        np.concatenate(probability)[order] if probability else None,
    )


def predict(
    model: Model,
    cells: NDArray[np.integer],
    features: NDArray[np.float32],
    device: torch.device,
    progress: Progress,
    note: Note = lambda _: None,
) -> NDArray[np.float16]:
    """Class probabilities (N, classes) of points on cells (N, 3) >= 0 with features (N, in_channels).

    Without a point nothing is run.

    Where a GPU runs out of memory, its memory is freed and this part of the CT is tried again by itself; if it does not
    fit even so, the CPU takes it. `note` is told of either.

    Raises:
        ResourceError: when the computer's memory does not suffice.
    """
    if len(cells) == 0:
        return np.zeros((0, model.network.config["classes"]), np.float16)
    coords = torch.from_numpy(np.ascontiguousarray(cells, dtype=np.int64))
    shown = torch.from_numpy(features)
    for where, after in ((device, _TRIED_AGAIN), (device, _CPU_INSTEAD)):
        try:
            return _run(model.runs, coords, shown, where, progress)
        except torch.OutOfMemoryError:
            said = after
        # Not in the handler: the error holds what the failed pass had allocated.
        note(said)
        torch.cuda.empty_cache()
    return _run(model.runs, coords, shown, torch.device("cpu"), progress)


def _run(
    network: SparseUNet | SparseConvNetUNet,
    coords: torch.Tensor,
    features: torch.Tensor,
    device: torch.device,
    progress: Progress,
) -> NDArray[np.float16]:
    def report(share: float) -> None:
        progress.update("network", share)  # which is also where a cancel takes effect

    try:
        network = network.to(device)
        # Not our network's pass alone: SparseConvNet's and what is made of the scores can run out of memory too.
        with memory.shortage_said(), torch.inference_mode():
            logits = network(coords.to(device), features.to(device), report=report)
            probability: NDArray[np.float16] = logits.softmax(1).to(torch.float16).cpu().numpy()
            return probability
    except MemoryError as error:
        raise ResourceError(
            f"{len(coords)} points need more memory than is free; close other programs, or lower the kept intensity"
        ) from error


def _drop_small(cloud: PointCloud, labels: NDArray[np.uint8]) -> None:
    """Set kidney labels in connected finds under `_SMALLEST_FIND_ML` back to tissue, in place."""
    rows = np.flatnonzero(labels == KIDNEY)
    if len(rows) == 0:
        return
    index = cloud.index[rows] - cloud.index[rows].min(0)
    dense = np.zeros(index.max(0) + 1, bool)
    dense[tuple(index.T)] = True
    parts, _ = ndimage.label(dense, ndimage.generate_binary_structure(3, 3))
    sizes = np.bincount(parts.ravel()) * float(np.prod(cloud.lattice.step_mm)) / 1000.0
    labels[rows[sizes[parts[tuple(index.T)]] < _SMALLEST_FIND_ML]] = TISSUE
