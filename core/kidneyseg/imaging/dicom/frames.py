"""Where the frames of a DICOM series lie in a volume, so that labels find their frames again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.geometry import Geometry

if TYPE_CHECKING:
    from pydicom import Dataset


class Frame(NamedTuple):
    """One source frame."""

    header: int  #: its instance, as an index into `DicomGeometry.headers`
    number: int  #: its DICOM frame number in that instance, from 1; 1 in a single-frame image
    position_mm: tuple[float, float, float]  #: LPS mm of the centre of its first pixel, as the header states it


@dataclass(frozen=True, eq=False)
class DicomGeometry(Geometry):
    """The grid of a volume that was read from DICOM, and the source frames that it was made of.

    The base class describes the volume's grid as it would lie in a NIfTI file: (columns, rows, planes), planes along
    the normal. For a regular series plane k is frame k. Where the planes are not the frames (`exact` is False: frames
    that were resampled to even spacing, or a tilted stack that was sheared to right angles), labels go to the nearest
    voxel.
    """

    #: without pixel data, private elements and long values; a classic series has one per frame in frame order, an
    #: Enhanced CT one in all
    headers: Sequence[Dataset] = field(default=(), repr=False)
    #: in order along the normal, which is the direction of the rows x the direction of the columns
    frames: tuple[Frame, ...] = field(default=(), repr=False)
    rows: int = 0  #: pixels of a frame, downwards
    columns: int = 0  #: pixels of a frame, along a row
    pixel_spacing_mm: tuple[float, float] = (1.0, 1.0)  #: between rows, then between columns, as in DICOM
    #: ImageOrientationPatient in LPS: the direction along a row (to the next column), then along a column
    directions: tuple[tuple[float, float, float], tuple[float, float, float]] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    planes: tuple[int, ...] = field(default=(), repr=False)  #: for each frame, the plane of the grid nearest to it
    sources: tuple[int, ...] = field(default=(), repr=False)  #: for each plane of the grid, the frame nearest to it
    #: for each frame, the grid's row and column that its first pixel is nearest to; (0, 0) unless sheared
    corners: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    exact: bool = True  #: whether every voxel of the volume is a pixel of a frame and the reverse

    @property
    def affine_lps(self) -> NDArray[np.float64]:
        """(4, 4) float64, from the canonical voxel index to LPS mm."""
        affine: NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.affine
        return affine

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) float64, the unit vector in LPS along which the frames are ordered."""
        normal: NDArray[np.float64] = np.cross(*np.asarray(self.directions, np.float64))
        return normal / np.linalg.norm(normal)

    def frame_affine_lps(self, frame: int) -> NDArray[np.float64]:
        """From pixels of a source frame to LPS mm, by the frame's own header.

        Args:
            frame: index into `frames`.

        Returns:
            (4, 4) float64, to be applied to (column, row, 0, 1); its third column is the unit normal.
        """
        along_row, along_column = np.asarray(self.directions, np.float64)
        affine = np.eye(4)
        affine[:3, 0] = along_row * self.pixel_spacing_mm[1]
        affine[:3, 1] = along_column * self.pixel_spacing_mm[0]
        affine[:3, 2] = self.normal
        affine[:3, 3] = self.frames[frame].position_mm
        return affine

    def to_frames(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Labels of the volume on the source frames; nothing is interpolated.

        Args:
            labels: (X, Y, Z), canonical, of the volume's shape.

        Returns:
            (frames, rows, columns) in the order of `frames`, of the labels' type.

        Raises:
            ValueError: the labels have another shape.
        """
        if labels.shape != self.shape:
            raise ValueError(f"labels of shape {self.shape} are needed, not {labels.shape}")
        grid = self.in_file_order(labels)
        framed = np.empty((len(self.frames), self.rows, self.columns), labels.dtype)
        for index, (plane, (row, column)) in enumerate(zip(self.planes, self.corners, strict=True)):
            framed[index] = grid[column : column + self.columns, row : row + self.rows, plane].T
        return framed

    def from_frames(self, framed: NDArray[Any]) -> NDArray[Any]:
        """Labels of the source frames on the volume; the inverse of `to_frames`, exactly so where `exact`.

        Args:
            framed: (frames, rows, columns) in the order of `frames`.

        Returns:
            (X, Y, Z), canonical, of the volume's shape, x fastest in memory; 0 where no frame lies.

        Raises:
            ValueError: the frames have another shape.
        """
        if framed.shape != (len(self.frames), self.rows, self.columns):
            raise ValueError(f"{(len(self.frames), self.rows, self.columns)} are needed, not {framed.shape}")
        labels = np.zeros(self.shape, framed.dtype, order="F")
        grid = self.in_file_order(labels)
        for plane, source in enumerate(self.sources):
            row, column = self.corners[source]
            grid[column : column + self.columns, row : row + self.rows, plane] = framed[source].T
        return labels
