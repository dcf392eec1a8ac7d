"""Invalid voxels in the padding outside the body; apart from `intensities`, as few CTs need it and it imports scipy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.errors import InputError
from kidneyseg.imaging.intensities import AIR_HU, NOT_A_NUMBER, OUT_OF_RANGE

# Darker voxels are air or lung, also in obese patients.
_TISSUE_FROM_HU = -200
# With a smaller share of tissue the image shows no body that padding could surround.
_LEAST_TISSUE = 0.02
_BODY_CELLS = 128  # along x and y: the outline of the body need not be exact


def fill_padding(hu: NDArray[np.int16], invalid: NDArray[np.uint8], affine: NDArray[np.float64], name: str) -> str:
    """Set invalid voxels outside the body to air, in place.

    Args:
        hu: int16 (X, Y, Z).
        invalid: uint8 (X, Y, Z), the marks of `round_valid`.
        affine: (4, 4), from voxel index to RAS mm, for messages.
        name: the file's name, for messages.

    Returns:
        A note for the user.

    Raises:
        InputError: an invalid voxel lies inside the body; the message gives its position.
    """
    first = _first_inside(hu, invalid)
    if first is None:
        hu[invalid != 0] = AIR_HU
        kinds = [
            what
            for kind, what in ((NOT_A_NUMBER, "NaN or infinite"), (OUT_OF_RANGE, "beyond any HU"))
            if (invalid == kind).any()
        ]
        return f"Voxels outside the body that are {' or '.join(kinds)} were taken as air."
    x, y, z = affine[:3, :3] @ first + affine[:3, 3]
    what = "NaN or infinite" if invalid[first] == NOT_A_NUMBER else "outside the -32768 to 32767 of HU"
    raise InputError(
        f"{name} has voxels inside the body that are {what}, the first at {x:.0f}, {y:.0f}, {z:.0f} mm "
        "(right, anterior, superior). Replace them and save it again."
    )


def _first_inside(hu: NDArray[np.int16], invalid: NDArray[np.uint8]) -> tuple[int, int, int] | None:
    """The first invalid voxel that tissue encloses in its axial slice; without tissue, the first of all."""
    across = tuple(max(1, n // _BODY_CELLS) for n in hu.shape[:2])
    steps = tuple(slice(None, None, n) for n in across)
    tissue = (hu[steps] > _TISSUE_FROM_HU) & (invalid[steps] == 0)
    without_body = tissue.mean() < _LEAST_TISSUE
    for k in np.flatnonzero(invalid.any(axis=(0, 1))):
        body = np.ones(tissue.shape[:2], np.bool_) if without_body else _body(tissue[:, :, k])
        for axis, count in enumerate(across):
            body = body.repeat(count, axis)
        inside = np.argwhere((invalid[:, :, k] != 0) & body[: hu.shape[0], : hu.shape[1]])
        if len(inside):
            return int(inside[0, 0]), int(inside[0, 1]), int(k)
    return None


def _body(tissue: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest component of tissue (X, Y) with its holes filled, without its rim."""
    components, count = ndimage.label(tissue)
    if count == 0:
        return tissue
    largest = components == 1 + int(np.bincount(components.ravel())[1:].argmax())
    # A rim cell holds voxels on both sides of the body's outline, or of padding that cuts the body.
    return np.asarray(ndimage.binary_erosion(ndimage.binary_fill_holes(largest), np.ones((3, 3), np.bool_)))
