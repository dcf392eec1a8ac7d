"""The two stages: a first network finds the kidneys among the sampled points, a second looks closely there."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.errors import ResourceError
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import KIDNEY, TISSUE, TUMOUR, PointCloud
from kidneyseg.points.features import hu_features, kidney_level, stage2_features
from kidneyseg.points.grid import paper_cells
from kidneyseg.points.resample import lattice_for, resample_hu
from kidneyseg.points.roi import Region, beyond_margin, grown, near_find
from kidneyseg.points.sampling import LOWEST_HU
from kidneyseg.progress import Progress
from kidneyseg.settings import RefineSettings
from kidneyseg.sparse import SparseUNet, memory
from kidneyseg.sparse.engines import SparseConvNetUNet

# A find smaller than this is no kidney (a child's has some 20 mL) and not worth stage 2's time.
_SMALLEST_FIND_ML = 1.5

_TRIED_AGAIN = "The GPU ran out of memory; it was freed, and that part of the CT was run again by itself."
_CPU_INSTEAD = "The GPU has too little memory for this CT; the CPU was used instead."

# Less find than this makes stage 1 look again as if the patient lay prone. With fold networks 14 CTs and as many made
# to look like ones without contrast agent give 186 mL or more as they are and 0 to 217 mL turned, at most half as much.
_ENOUGH_KIDNEY_ML, _LEAST_KIDNEY_ML, _FAR_MORE = 220.0, 40.0, 1.5
_PRONE = "Far more kidney was found in this CT turned over; it was read as one of a patient lying prone."

# A tumour that reaches beyond what stage 2 was shown is followed so many times.
_MOST_GROWTH = 5

Note = Callable[[str], None]
_Part = tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.float16]]


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
    probability = _with_mirror(model, cloud.index * np.array(turn, np.int32), features, device, progress, note)
    labels = probability.argmax(1).astype(np.uint8)
    _drop_small(cloud, labels)
    return replace(cloud, labels=labels, probability=probability)


def _with_mirror(
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


def separate_tumour(
    find: PointCloud,
    volume: Volume,
    settings: RefineSettings,
    lowest_hu: int,
    model: Model,
    device: torch.device,
    progress: Progress,
    note: Note = lambda _: None,
) -> PointCloud:
    """Stage 2 on a fine lattice near stage 1's find: TISSUE, KIDNEY, TUMOUR and their probabilities (N, 3).

    Probabilities are the mean of what is shown and of its mirror image, as in stage 1.

    Args:
        find: stage 1's labelled cloud.
        volume: the CT.
        settings: grid and margin; `grid_mm` must not be None.
        lowest_hu: cells darker than this (never below LOWEST_HU) are left out.

    Where a tumour reaches the border of what was looked at, as large ones do of which stage 1 finds a part, the find
    grows by it and its surroundings are looked at anew.
    """
    grid = settings.grid_mm
    if grid is None:
        raise ValueError("stage 2 on stage 1's own points is `label_band`")
    whole = lattice_for(volume, grid)
    cell_ml = grid**3 / 1000.0
    seen: dict[Hashable, _Part] = {}
    for turn in range(1 + _MOST_GROWTH):
        regions = near_find(find, volume, grid, settings.margin_mm)
        fresh = [region for region in regions if region.key not in seen]
        reached = []
        for i, region in enumerate(fresh):
            share = progress.part(*_share_of(turn, i, len(fresh)))
            part = _look(region, volume, lowest_hu, model, device, share, note)
            seen[region.key] = part
            tumour_mm = whole.centres_mm(part[0][part[2].argmax(1) == TUMOUR])
            reached.append(beyond_margin(find, tumour_mm, cell_ml, settings.margin_mm))
        parts = [seen[region.key] for region in regions]
        if not sum(map(len, reached)):
            break
        find = grown(find, np.concatenate(reached))
    if not parts:
        classes = model.network.config["classes"]
        none = np.zeros((0, classes), np.float16)
        return PointCloud(whole, np.zeros((0, 3), np.int32), np.zeros(0, np.int16), np.zeros(0, np.uint8), none)
    index, hu, probability = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort(index.T[::-1])
    index, hu, probability = index[order], hu[order], probability[order]
    return PointCloud(whole, index, hu, probability.argmax(1).astype(np.uint8), probability)


def _share_of(turn: int, i: int, count: int) -> tuple[float, float]:
    """Of stage 2's progress: 0.9 for the first turn, since mostly there is no other."""
    first, width = (0.0, 0.9) if turn == 0 else (0.9 + 0.1 * (turn - 1) / _MOST_GROWTH, 0.1 / _MOST_GROWTH)
    return first + width * i / count, first + width * (i + 1) / count


def _look(
    region: Region,
    volume: Volume,
    lowest_hu: int,
    model: Model,
    device: torch.device,
    progress: Progress,
    note: Note,
) -> _Part:
    """Stage 2 on one region: cells of the whole lattice, their HU and probabilities."""
    lattice, inside, found = region
    hu = resample_hu(volume, lattice, progress=progress)
    kept = inside & (hu >= max(lowest_hu, LOWEST_HU))
    cells = np.argwhere(kept).astype(np.int32)
    channels = model.network.config["in_channels"]
    features = stage2_features(hu[kept], kidney_level(hu[kept], found[kept]), channels)
    probability = _with_mirror(model, cells, features, device, progress, note)
    origin = np.rint(np.asarray(lattice.origin_mm) / lattice.step_mm).astype(np.int32)
    return cells + origin, hu[kept], probability


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
