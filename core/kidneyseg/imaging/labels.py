"""Label values, and checks that a label map fits a CT: same voxels, known labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.affines import MOST_VOXELS_APART, corners_apart_mm
from kidneyseg.imaging.geometry import Geometry
from kidneyseg.imaging.volume import Volume

# Values of a label map. Networks and masks use the first three.
TISSUE, KIDNEY, TUMOUR, CYST = 0, 1, 2, 3
LABEL_NAMES = ("background", "kidney", "tumour", "cyst")


def require_same_place(name: str, one: Volume | Geometry, other: Volume | Geometry) -> None:
    """Raise InputError unless the file `name` has the shape of `other` and lies in its place, to half a voxel."""
    if one.shape != other.shape:
        raise InputError(
            f"{name} has {_times(one.shape)} voxels and should have {_times(other.shape)}; "
            "resample it to the CT (nearest neighbour)"
        )
    apart = corners_apart_mm(one.affine, other.affine, one.shape)
    if apart > MOST_VOXELS_APART * min(other.spacing_mm):
        raise InputError(
            f"{name} does not lie on the CT: its voxels are up to {apart:.3g} mm off; "
            "write the mask with the CT's own header"
        )


def require_known(labels: NDArray[np.uint8], name: str) -> None:
    """Raise InputError when the file `name` holds labels other than 0, 1 kidney, 2 tumour, 3 cyst."""
    largest = int(labels.max(initial=0))
    if largest > CYST:
        raise InputError(
            f"{name} holds the label {largest}; known are 0, 1 kidney, 2 tumour and 3 cyst. Change its labels to these."
        )


def _times(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape)
