"""Compares two masks over one CT: readers A and B, before and after, the networks' and the corrected one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import bounding_box, box_around
from kidneyseg.imaging.labels import CYST, KIDNEY, LABEL_NAMES, TUMOUR
from kidneyseg.imaging.volume import Volume

# Values of `Comparison.difference`.
SAME, ONLY_A, ONLY_B, OTHER_LABEL = 0, 1, 2, 3
# By label in a (row) and b (column).
_DIFFERENCE = np.full((CYST + 1, CYST + 1), OTHER_LABEL, np.uint8)
_DIFFERENCE[1:, 0], _DIFFERENCE[0, 1:] = ONLY_A, ONLY_B
np.fill_diagonal(_DIFFERENCE, SAME)


@dataclass(frozen=True, eq=False)
class Comparison:
    """How two masks, a and b, differ."""

    #: of "kidney", "tumour" and "cyst", and of "kidney_and_masses", all three together as in `metrics.KITS23_CLASSES`;
    #: 1 where neither mask has any of it
    dice: Mapping[str, float]
    ml_a: Mapping[str, float]  #: volume of each in a, in mL
    ml_b: Mapping[str, float]  #: volume of each in b, in mL
    #: uint8 (X, Y, Z), x fastest in memory: SAME, ONLY_A, ONLY_B, or OTHER_LABEL where both have one
    difference: NDArray[np.uint8]


def compare(a: NDArray[np.uint8], b: NDArray[np.uint8], volume: Volume) -> Comparison:
    """Compare two masks.

    Args:
        a: uint8 (X, Y, Z) on the volume's voxels: 0, 1 kidney, 2 tumour, 3 cyst.
        b: the other one.
        volume: the CT.

    Raises:
        ValueError: a mask does not fit the volume.
    """
    if not a.shape == b.shape == volume.shape:
        raise ValueError(f"masks of shape {volume.shape} are needed, not {a.shape} and {b.shape}")
    difference = np.zeros(volume.shape, np.uint8, order="F")
    # How many voxels have each label in a (row) and b (column); what is background in both does not matter.
    table = np.zeros((CYST + 1, CYST + 1), np.int64)
    boxes = [box for box in (bounding_box(a), bounding_box(b)) if box is not None]
    if boxes:
        box = box_around(*boxes)
        pairs = (a[box] * np.uint8(CYST + 1) + b[box]).transpose(2, 1, 0).ravel()  # x fastest, as in memory
        labelled = np.flatnonzero(pairs)
        found = pairs[labelled]
        table += np.bincount(found, minlength=table.size).reshape(table.shape)
        pairs[labelled] = _DIFFERENCE.ravel()[found]
        difference[box] = pairs.reshape(difference[box].shape[::-1]).transpose(2, 1, 0)
    groups = {LABEL_NAMES[label]: [label] for label in (KIDNEY, TUMOUR, CYST)} | {"kidney_and_masses": [1, 2, 3]}
    return Comparison(
        dice={name: _dice(table, labels) for name, labels in groups.items()},
        ml_a={name: float(table[labels].sum() * volume.voxel_ml) for name, labels in groups.items()},
        ml_b={name: float(table[:, labels].sum() * volume.voxel_ml) for name, labels in groups.items()},
        difference=difference,
    )


def _dice(table: NDArray[np.int64], labels: list[int]) -> float:
    both = int(table[np.ix_(labels, labels)].sum())
    total = int(table[labels].sum()) + int(table[:, labels].sum())
    return 2 * both / total if total else 1.0
