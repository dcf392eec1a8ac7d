"""Label values, and checks of label maps: what is one, and whether its labels are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError

# Values of a label map. Networks and masks use the first three.
TISSUE, KIDNEY, TUMOUR, CYST = 0, 1, 2, 3
LABEL_NAMES = ("background", "kidney", "tumour", "cyst")

# A CT with fewer values than this shows nothing. Of a label map with more of them, at least this share of neighbouring
# labelled voxels are equal: .94 to .97 in the masks of BTCV and KiTS, whereas greys of a CT have .3 to .6.
_FEW_VALUES, _EQUAL_NEIGHBOURS = 16, 0.85
_LARGEST_LABEL = 255


def without_cysts(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels for what has no class for cysts: they are kidney. The same array where there are none."""
    cyst = labels == CYST
    return np.where(cyst, np.uint8(KIDNEY), labels) if cyst.any() else labels


def looks_like_labels(values: NDArray[np.int16]) -> bool:
    """Whether the voxels (X, Y, Z) of a file are labels and not HU: small whole numbers in areas of one value.

    A CT in HU has negative values, and one that was saved as greys of 0 to 255 has noise.
    """
    counts = np.zeros(_LARGEST_LABEL + 1, np.int64)
    equal = labelled = 0
    for k in range(values.shape[2]):
        plane = values[:, :, k]
        if plane.min(initial=0) < 0 or plane.max(initial=0) > _LARGEST_LABEL:
            return False
        counts += np.bincount(plane.ravel(), minlength=len(counts))
        for one, other in ((plane[1:], plane[:-1]), (plane[:, 1:], plane[:, :-1])):
            either = (one | other) > 0
            labelled += int(np.count_nonzero(either))
            equal += int(np.count_nonzero(either & (one == other)))
    return int(np.count_nonzero(counts)) <= _FEW_VALUES or equal >= _EQUAL_NEIGHBOURS * labelled


def require_known(labels: NDArray[np.uint8], name: str) -> None:
    """Raise InputError when the file `name` holds labels other than 0, 1 kidney, 2 tumour, 3 cyst."""
    largest = int(labels.max(initial=0))
    if largest > CYST:
        raise InputError(
            f"{name} holds the label {largest}; known are 0, 1 kidney, 2 tumour and 3 cyst. Change its labels to these."
        )
