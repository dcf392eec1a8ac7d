"""NumPy arrays as VTK objects. Made in the working thread; no window is needed for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D


def points_data(points: NDArray[np.float32], colours: NDArray[np.uint8]) -> vtkPolyData:
    """A cloud of (N, 3) points, each drawn as a dot of its (N, 3) red, green, blue."""
    data, cells, places = vtkPolyData(), vtkCellArray(), vtkPoints()
    places.SetData(numpy_to_vtk(np.ascontiguousarray(points), deep=True))
    count = np.arange(len(points) + 1, dtype=np.int64)
    cells.SetData(numpy_to_vtkIdTypeArray(count, deep=True), numpy_to_vtkIdTypeArray(count[:-1], deep=True))
    data.SetPoints(places)
    data.SetVerts(cells)
    data.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(colours), deep=True))
    return data


def surface_data(
    field: NDArray[np.float32], value: float, origin: tuple[float, ...], step: tuple[float, ...]
) -> vtkPolyData:
    """The surface where `field` (X, Y, Z) passes `value`, with normals; sample (0, 0, 0) lies at `origin`."""
    grid = vtkImageData()
    grid.SetDimensions(*field.shape)
    grid.SetOrigin(*origin)
    grid.SetSpacing(*step)
    grid.GetPointData().SetScalars(numpy_to_vtk(field.ravel(order="F"), deep=True))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(grid)
    edges.SetValue(0, value)
    edges.ComputeNormalsOn()
    edges.ComputeScalarsOff()
    edges.Update()
    return edges.GetOutput()
