"""Stage 1 of the method `default`: detects kidneys among the sampled cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage

from kidneyseg.arrays import Mask, dense_mask
from kidneyseg.models import Model
from kidneyseg.points.cloud import AS_STORED, KIDNEY, TISSUE, Orientation, PointCloud
from kidneyseg.points.features import hu_features
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.networks import Note
from kidneyseg.segmentation.orientation import best_orientation, turned

# A smaller detection is not a kidney (a child's has about 20 mL) and would only slow down stage 2.
_SMALLEST_DETECTION_ML = 1.5


def detect_kidneys(
    cloud: PointCloud, model: Model, device: torch.device, progress: Progress, note: Note = lambda _: None
) -> PointCloud:
    """Label the cloud TISSUE or KIDNEY, with probabilities (N, 2).

    Probabilities are the mean over the CT and its left-right mirror image. Connected detections under 1.5 mL become
    tissue. Where little kidney is detected, other orientations are tried; see `best_orientation`.

    Args:
        cloud: sampled cells.
        model: stage 1's network.
        device: where it runs.
        progress: 0...1 of the stage.
        note: takes a sentence for the user.

    Raises:
        ResourceError: when memory does not suffice.
    """
    stored = _detected(cloud, model, device, progress.part(0.0, 0.9), note, AS_STORED)
    return best_orientation(
        stored, lambda other, share: _detected(cloud, model, device, share, note, other), progress.part(0.9, 1.0), note
    )


def remove_small_detections(detected: Mask, cell_ml: float) -> Mask:
    """Detections without connected groups under 1.5 mL, cells connected by faces, edges or corners.

    Args:
        detected: bool (X, Y, Z).
        cell_ml: volume of a cell in mL.
    """
    parts, _ = ndimage.label(detected, ndimage.generate_binary_structure(3, 3))
    large = np.bincount(parts.ravel()) * cell_ml >= _SMALLEST_DETECTION_ML
    return np.asarray(detected & large[parts])


def _detected(
    cloud: PointCloud, model: Model, device: torch.device, progress: Progress, note: Note, orientation: Orientation
) -> PointCloud:
    """Stage 1 in the given orientation."""
    features = hu_features(cloud.hu, model.network.config["in_channels"])
    probability = networks.predict_mirrored(model, turned(cloud.index, orientation), features, device, progress, note)
    labels = probability.argmax(1).astype(np.uint8)
    rows = np.flatnonzero(labels == KIDNEY)
    if len(rows):
        dense, local = dense_mask(cloud.index[rows])
        kept = remove_small_detections(dense, cloud.lattice.cell_ml)
        labels[rows[~kept[tuple(local.T)]]] = TISSUE
    return replace(cloud, labels=labels, probability=probability, orientation=orientation)
