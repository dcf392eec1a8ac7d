from __future__ import annotations

import numpy as np
import pytest

from kidneyseg_gui.slices import AXIAL, CORONAL, SAGITTAL, blend, grey_image, grey_table, outline


def test_slices_show_column_and_row_axes():
    volume = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4, order="F")
    assert AXIAL.slice_of(volume, 1)[2, 0] == volume[0, 2, 1]
    assert CORONAL.slice_of(volume, 1)[3, 1] == volume[1, 1, 3]
    assert SAGITTAL.slice_of(volume, 1)[3, 2] == volume[1, 2, 3]


@pytest.mark.parametrize(
    ("plane", "radiological", "letters"),
    [
        (AXIAL, True, ("R", "L", "A", "P")),
        (AXIAL, False, ("L", "R", "A", "P")),
        (CORONAL, True, ("R", "L", "S", "I")),
        (CORONAL, False, ("L", "R", "S", "I")),
        (SAGITTAL, True, ("A", "P", "S", "I")),
        (SAGITTAL, False, ("A", "P", "S", "I")),
    ],
)
def test_letters_follow_the_convention(plane, radiological, letters):
    assert plane.letters(radiological) == letters


def test_window_maps_its_ends_to_black_and_white():
    hu = np.array([[-1024, -135, 40, 215, 3000]], np.int16)
    grey = grey_image(hu, grey_table(350, 40)) & 0xFF
    assert grey.tolist() == [[0, 0, 128, 255, 255]]


def test_blend_paints_only_its_labels():
    image = np.full((2, 3), 0xFF404040, np.uint32)
    labels = np.array([[0, 1, 2], [0, 0, 1]], np.uint8)
    blend(image, labels, {1: (255, 0, 0)}, 1.0)
    assert image.tolist() == [[0xFF404040, 0xFFFF0000, 0xFF404040], [0xFF404040, 0xFF404040, 0xFFFF0000]]


def test_half_opacity_is_half_way():
    image = np.full((1, 1), 0xFF000000, np.uint32)
    blend(image, np.ones((1, 1), np.uint8), {1: (200, 100, 50)}, 0.5)
    assert image[0, 0] == 0xFF643219


def test_outline_of_one_pixel_is_a_diamond_around_its_centre():
    inside = np.zeros((5, 5), bool)
    inside[2, 3] = True
    pieces = outline(inside)
    assert len(pieces) == 4
    corners = {tuple(point) for piece in pieces for point in (piece[:2], piece[2:])}
    assert corners == {(3.0, 2.5), (4.0, 2.5), (3.5, 2.0), (3.5, 3.0)}


def test_outline_closes_at_the_pictures_edge():
    pieces = outline(np.ones((4, 6), bool))
    assert (pieces[:, [0, 2]].min(), pieces[:, [0, 2]].max()) == (0.0, 6.0)
    assert (pieces[:, [1, 3]].min(), pieces[:, [1, 3]].max()) == (0.0, 4.0)


def test_outline_of_random_shapes_is_closed():
    rng = np.random.default_rng(3)
    pieces = outline(rng.random((30, 40)) > 0.5)
    ends, counts = np.unique(pieces.reshape(-1, 2), axis=0, return_counts=True)
    assert len(ends)
    assert np.all(counts % 2 == 0)  # every end of a piece is another's beginning


def test_nothing_has_no_outline():
    assert outline(np.zeros((4, 4), bool)).shape == (0, 4)
