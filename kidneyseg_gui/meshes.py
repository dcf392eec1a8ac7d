"""NumPy arrays as PyVista meshes, made in the working thread."""

from __future__ import annotations

import numpy as np
import pyvista
from numpy.typing import NDArray

RGB = "colour"


def points_data(points: NDArray[np.float32], colours: NDArray[np.uint8]) -> pyvista.PolyData:
    """Points (N, 3) in mm with their colours: (N, 3) uint8 of red, green, blue."""
    data = pyvista.PolyData(points)
    data.point_data[RGB] = colours
    return data


def surface_data(
    field: NDArray[np.float32], value: float, origin: tuple[float, ...], step: tuple[float, ...]
) -> pyvista.PolyData:
    """The surface where `field` (X, Y, Z) passes `value`, with normals; sample (0, 0, 0) lies at `origin`."""
    grid = pyvista.ImageData(dimensions=field.shape, origin=origin, spacing=step)
    grid.point_data["field"] = field.ravel(order="F")
    surface: pyvista.PolyData = grid.contour(
        [value], scalars="field", method="flying_edges", compute_normals=True, compute_scalars=False
    )
    return surface
