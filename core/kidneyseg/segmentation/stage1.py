"""Stage 1 of the method `default`: detects the kidneys among the sampled cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import dense_mask
from kidneyseg.models import Model
from kidneyseg.points.cloud import KIDNEY, TISSUE, PointCloud
from kidneyseg.points.features import hu_features
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.networks import Note

# A smaller detection is not a kidney (a child's has some 20 mL) and would only cost stage 2 time.
_SMALLEST_DETECTION_ML = 1.5

# With less kidney than this, stage 1 also runs on the CT as if the patient lay prone. With fold networks, 14 CTs and as
# many with simulated missing contrast give 202 mL or more as they are and 0 to 144 mL turned, at most .44 as much.
_ENOUGH_KIDNEY_ML, _LEAST_KIDNEY_ML, _FAR_MORE = 220.0, 40.0, 1.5
_PRONE = "Far more kidney was found in this CT turned over; it was read as one of a patient lying prone."


def detect_kidneys(
    cloud: PointCloud, model: Model, device: torch.device, progress: Progress, note: Note = lambda _: None
) -> PointCloud:
    """The cloud, on lattice cells, with labels TISSUE or KIDNEY and their probabilities (N, 2).

    Probabilities are the mean over the CT and its mirror image, left and right exchanged. Connected detections under
    1.5 mL become tissue. Where little is detected the patient may lie prone, unlike in all training CTs: if far more is
    detected in the CT turned by 180 degrees about the long axis, that result is taken and `note` is told.
    """
    supine = _detected(cloud, model, device, progress.part(0.0, 0.9), note, (1, 1, 1))
    little = _kidney_ml(supine)
    if len(cloud) == 0 or little >= _ENOUGH_KIDNEY_ML:
        return supine
    prone = _detected(cloud, model, device, progress.part(0.9, 1.0), note, (-1, -1, 1))
    if _kidney_ml(prone) < max(_LEAST_KIDNEY_ML, _FAR_MORE * little):
        return supine
    note(_PRONE)
    return prone


def remove_small_detections(detected: NDArray[np.bool_], cell_ml: float) -> NDArray[np.bool_]:
    """Detections without connected groups under 1.5 mL, cells connected by faces, edges or corners.

    Args:
        detected: bool (X, Y, Z).
        cell_ml: volume of a cell in mL.
    """
    parts, _ = ndimage.label(detected, ndimage.generate_binary_structure(3, 3))
    large = np.bincount(parts.ravel()) * cell_ml >= _SMALLEST_DETECTION_ML
    return np.asarray(detected & large[parts])


def _detected(
    cloud: PointCloud, model: Model, device: torch.device, progress: Progress, note: Note, turn: tuple[int, int, int]
) -> PointCloud:
    """Stage 1 on the cloud with axes reversed where `turn` is -1."""
    features = hu_features(cloud.hu, model.network.config["in_channels"])
    cells = cloud.index * np.array(turn, np.int32)
    probability = networks.predict_mirrored(model, cells, features, device, progress, note)
    labels = probability.argmax(1).astype(np.uint8)
    rows = np.flatnonzero(labels == KIDNEY)
    if len(rows):
        dense, local = dense_mask(cloud.index[rows])
        stays = remove_small_detections(dense, float(np.prod(cloud.lattice.step_mm)) / 1000.0)
        labels[rows[~stays[tuple(local.T)]]] = TISSUE
    return replace(cloud, labels=labels, probability=probability)


def _kidney_ml(cloud: PointCloud) -> float:
    return float((np.asarray(cloud.labels) == KIDNEY).sum() * np.prod(cloud.lattice.step_mm)) / 1000.0
