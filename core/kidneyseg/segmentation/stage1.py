"""Stage 1 finds the kidneys among the sampled points; the paper's stages label their bands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import AS_STORED, KIDNEY, TISSUE, Orientation, PointCloud
from kidneyseg.points.features import hu_features
from kidneyseg.points.grid import paper_cells
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.networks import Note
from kidneyseg.segmentation.orientation import best_orientation, turned

# A find smaller than this is no kidney (a child's has some 20 mL) and not worth stage 2's time.
_SMALLEST_FIND_ML = 1.5


def find_kidneys(
    cloud: PointCloud, model: Model, device: torch.device, progress: Progress, note: Note = lambda _: None
) -> PointCloud:
    """Stage 1 on lattice cells: the cloud with labels TISSUE or KIDNEY and their probabilities (N, 2).

    Probabilities are the mean of the CT's and of its mirror image's, left and right exchanged. Separate finds under
    1.5 mL are put back to tissue. Where little is found, other orientations are tried; see `best_orientation`.
    """
    stored = _found(cloud, model, device, progress.part(0.0, 0.9), note, AS_STORED)
    return best_orientation(
        stored, lambda other, share: _found(cloud, model, device, share, note, other), progress.part(0.9, 1.0), note
    )


def _found(
    cloud: PointCloud,
    model: Model,
    device: torch.device,
    progress: Progress,
    note: Note,
    orientation: Orientation,
) -> PointCloud:
    """Stage 1 on the cloud as seen in another orientation."""
    features = hu_features(cloud.hu, model.network.config["in_channels"])
    probability = networks.predict_mirrored(model, turned(cloud.index, orientation), features, device, progress, note)
    labels = probability.argmax(1).astype(np.uint8)
    _drop_small(cloud, labels)
    return replace(cloud, labels=labels, probability=probability, orientation=orientation)


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
    probability = networks.predict(model, paper_cells(band, volume), features, device, progress, note)
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
