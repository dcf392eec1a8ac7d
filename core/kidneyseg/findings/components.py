"""The connected components of a mask, with the voxels of each label that they hold in every x."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Box, separate_boxes
from kidneyseg.imaging.labels import CYST

LABELS = CYST + 1


class Components(NamedTuple):
    """Some connected components of a mask, with empty planes around their box."""

    box: Box  #: where they lie in the mask
    labels: NDArray[np.uint8]  #: uint8 (X, Y, Z), the mask in the box
    number: NDArray[np.int32]  #: int32 (X, Y, Z), the component of each voxel from 1 upward; 0 for background
    #: int64 (components, LABELS, width of the mask), voxels of each component by label and x in the mask
    profiles: NDArray[np.int64]


def connected_components(mask: NDArray[np.uint8]) -> list[Components]:
    """Components of all labels together in a mask (X, Y, Z), box by box; voxels that share a corner are connected."""
    found = []
    for box in separate_boxes(mask):
        labels = mask[box]
        number, count = label_components(labels > 0)
        keys = number * LABELS
        keys += labels
        profiles = np.zeros((count, LABELS, len(mask)), np.int64)
        for x, plane in enumerate(keys, start=box[0].start):
            counts = np.bincount(plane.ravel(order="K"), minlength=(count + 1) * LABELS)
            profiles[:, :, x] = counts[LABELS:].reshape(count, LABELS)
        found.append(Components(box, labels, number, profiles))
    return found


def label_components(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """The component, from 1 upward, of each voxel inside (X, Y, Z), and how many there are."""
    # Transposed, since `label` is three times as fast where its last axis is contiguous; masks are in Fortran order.
    number, count = ndimage.label(inside.T, np.ones((3, 3, 3)))
    return np.asarray(number.T, np.int32), count
