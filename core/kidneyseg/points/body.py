"""The patient's body on a CT: without air and table, with lungs and bowel gas filled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Air is -125 once clipped to HU_WINDOW and fat about -100; obese patients have fat down to -115.
BODY_HU = -120

# A cell's neighbours in its axial slice. Scans end inside the patient, so z neither erodes nor dilates.
_CROSS = ndimage.generate_binary_structure(3, 1)
_CROSS[:, :, [0, 2]] = False


def body_mask_on(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """The patient's cells on a coarse lattice.

    Args:
        hu: int16 (X, Y, Z) from `resample_hu` on cells of about 4 mm, so clipped to HU_WINDOW before averaging: the
            result is then the same for the full-range and the clipped version of a CT.

    Returns:
        bool (X, Y, Z). The largest component after an opening that cuts thin tables, tubes and blankets off (the
        image's border counts as patient there, so that a body cut by a small field of view keeps its edge), with
        everything enclosed in an axial slice filled: lungs and gas stay filled where the scan ends in them. A lung
        that the field of view itself cuts open stays out. All False when nothing lies above BODY_HU.
    """
    above = hu > BODY_HU
    thick = _opened(above)
    if not thick.any():
        thick = above  # fewer than three cells across: nothing to cut off
    parts, count = ndimage.label(thick)
    if count == 0:
        return above
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return _filled_by_slice(parts == sizes.argmax())


def _filled_by_slice(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`ndimage.binary_fill_holes` of each axial slice, several times as fast."""
    holes, count = ndimage.label(~mask, _CROSS)
    outside = np.zeros(count + 1, np.bool_)
    for edge in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        outside[edge] = True
    outside[0] = False
    return ~outside[holes]


def _opened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """In-plane opening by one cell in each direction; cells beyond the image count as set."""
    return ndimage.binary_dilation(ndimage.binary_erosion(mask, _CROSS, border_value=1), _CROSS)
