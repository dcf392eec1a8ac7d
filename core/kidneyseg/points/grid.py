"""The paper's integer grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import ResourceError
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import PointCloud

# Cells along each axis of the paper's grid.
PAPER_FIELD = 1024


def paper_cells(cloud: PointCloud, volume: Volume) -> NDArray[np.int32]:
    """The paper's grid (N, 3): in-plane in pixels, across slices scaled by (slice distance / pixel size) * 0.5.

    Raises:
        ResourceError: for a volume that spans more than 1024 cells.
    """
    scale = np.ones(3)
    axis = volume.slice_axis
    pixel = min(volume.spacing_mm[i] for i in range(3) if i != axis)
    scale[axis] = volume.spacing_mm[axis] / pixel * 0.5
    cells = np.empty((len(cloud), 3), np.int32)
    for axis in range(3):  # each by itself, for the sake of memory
        cells[:, axis] = np.floor(cloud.index[:, axis] * scale[axis])
    largest = int(cells.max(initial=0))
    if largest >= PAPER_FIELD:
        raise ResourceError(
            f"this CT spans {largest + 1} cells, more than the {PAPER_FIELD} of the method `paper`; "
            "use the method `default`"
        )
    return cells
