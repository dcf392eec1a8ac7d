"""Labels of a volume find their source frames, and the reverse."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.imaging.dicom.frames import DicomGeometry, Frame
from kidneyseg.imaging.geometry import grid_geometry

ROWS, COLUMNS, FRAMES = 4, 3, 5


def geometry(**changes: object) -> DicomGeometry:
    """Axial, in DICOM's order: columns to the left, rows to the back, frames to the head."""
    shape = changes.pop("grid", (COLUMNS, ROWS, FRAMES))
    grid = grid_geometry(shape, np.diag([-0.5, -0.7, 2.0, 1.0]))
    values = {
        "frames": tuple(Frame(k, 1, (0.0, 0.0, 2.0 * k)) for k in range(FRAMES)),
        "rows": ROWS,
        "columns": COLUMNS,
        "pixel_spacing_mm": (0.7, 0.5),
        "planes": tuple(range(FRAMES)),
        "sources": tuple(range(FRAMES)),
        "corners": ((0, 0),) * FRAMES,
    }
    return DicomGeometry(**vars(grid), **values | changes)


def test_a_voxel_and_its_pixel_lie_in_one_place() -> None:
    made = geometry()
    labels = np.zeros(made.shape, np.uint8)
    labels[2, 1, 3] = 7
    frame, row, column = (int(index) for index in np.argwhere(made.to_frames(labels) == 7)[0])
    of_pixel = made.frame_affine_lps(frame) @ (column, row, 0, 1)
    np.testing.assert_allclose(made.affine_lps @ (2, 1, 3, 1), of_pixel, atol=1e-12)


def test_frames_of_labels_give_the_labels_again() -> None:
    made = geometry()
    labels = np.random.default_rng(1).integers(0, 4, made.shape, np.uint8)
    np.testing.assert_array_equal(made.from_frames(made.to_frames(labels)), labels)


def test_resampled_planes_take_the_nearest_frame() -> None:
    made = geometry(grid=(COLUMNS, ROWS, 7), planes=(0, 1, 3, 5, 6), sources=(0, 1, 1, 2, 2, 3, 4), exact=False)
    framed = np.arange(FRAMES, dtype=np.uint8)[:, None, None].repeat(ROWS, 1).repeat(COLUMNS, 2)
    labels = made.from_frames(framed)
    assert labels[0, 0].tolist() == [0, 1, 1, 2, 2, 3, 4]
    np.testing.assert_array_equal(made.to_frames(labels), framed)


def test_sheared_frames_begin_at_their_corner() -> None:
    corners = tuple((k, 0) for k in range(FRAMES))
    made = geometry(grid=(COLUMNS, ROWS + FRAMES - 1, FRAMES), corners=corners, exact=False)
    framed = np.random.default_rng(2).integers(0, 4, (FRAMES, ROWS, COLUMNS), np.uint8)
    labels = made.from_frames(framed)
    assert not labels[:, -5, 0].any()  # the row that only later frames reach; y grows against the rows
    np.testing.assert_array_equal(made.to_frames(labels), framed)


@pytest.mark.parametrize("shape", [(3, 4, 6), (4, 3, 5)])
def test_other_shapes_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="are needed"):
        geometry().to_frames(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="are needed"):
        geometry().from_frames(np.zeros(shape, np.uint8))
