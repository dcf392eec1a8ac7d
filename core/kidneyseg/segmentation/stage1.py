"""Stage 1 of the method `default`: detects kidneys among the sampled cells."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import Mask, dense_mask
from kidneyseg.imaging.labels import KIDNEY, TISSUE
from kidneyseg.points.cloud import AS_STORED, Orientation, PointCloud
from kidneyseg.points.features import hu_features
from kidneyseg.points.region import with_layers_beyond
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.method import Context
from kidneyseg.segmentation.orientation import best_orientation, turned

# A smaller detection is not a kidney (a child's has about 20 mL) and would only slow down stage 2.
_SMALLEST_DETECTION_ML = 1.5


def detect_kidneys(cloud: PointCloud, context: Context) -> PointCloud:
    """Label the sampled cells TISSUE or KIDNEY, with probabilities (N, 2).

    Probabilities are the mean over the CT and its left-right mirror image; where it ends, its last layer is repeated
    beyond its end. Connected detections under 1.5 mL become tissue. Where little kidney is detected, other orientations
    are tried; see `best_orientation`.

    Raises:
        ResourceError: when memory does not suffice.
    """
    detect, progress = partial(_detected, cloud, context), context.progress
    return best_orientation(detect(AS_STORED, progress.part(0.0, 0.9)), detect, progress.part(0.9, 1.0), context.note)


def remove_small_detections(detected: Mask, cell_ml: float) -> Mask:
    """Detections without connected groups under 1.5 mL, cells connected by faces, edges or corners.

    Args:
        detected: bool (X, Y, Z).
        cell_ml: volume of a cell in mL.
    """
    parts, _ = ndimage.label(detected, ndimage.generate_binary_structure(3, 3))
    large = np.bincount(parts.ravel()) * cell_ml >= _SMALLEST_DETECTION_ML
    return np.asarray(detected & large[parts])


def _detected(cloud: PointCloud, context: Context, orientation: Orientation, progress: Progress) -> PointCloud:
    """Stage 1 in the given orientation."""
    model = context.networks.stage1
    features = hu_features(cloud.hu, model.network.config["in_channels"])
    index, rows = with_layers_beyond(cloud.index, cloud.lattice, context.volume.slice_axis)
    cells = turned(index, orientation)
    probability = networks.predict_mirrored(model, cells, features[rows], context.device, progress, context.note)
    probability = probability[: len(cloud)]
    labels = probability.argmax(1).astype(np.uint8)
    rows = np.flatnonzero(labels == KIDNEY)
    if len(rows):
        dense, local = dense_mask(cloud.index[rows])
        kept = remove_small_detections(dense, cloud.lattice.cell_ml)
        labels[rows[~kept[tuple(local.T)]]] = TISSUE
    return replace(cloud, labels=labels, probability=probability, orientation=orientation)
