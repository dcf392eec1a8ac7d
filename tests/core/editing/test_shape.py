"""Holes, smoothing and growth: what they do to one label, what they leave to the others, and in mm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from corrections import SHAPE, SPACING, after, ball, ct, some_labels
from kidneyseg.editing import Voxels, fill_holes, grow, smooth
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR

LARGE = (40, 36, 24)  # 32 x 36 x 60 mm


@pytest.fixture
def kidney() -> NDArray[np.uint8]:
    """A ball of kidney, and a tumour half inside it."""
    labels = ball((20, 18, 12), 12, LARGE).astype(np.uint8)
    labels[ball((33, 18, 12), 6, LARGE)] = TUMOUR
    return labels


# Holes


def test_holes_are_those_of_binary_fill_holes() -> None:
    """Within one structure; the reference knows nothing of slices, labels and boxes."""
    volume = ct()
    for seed in range(6):
        mask = np.random.default_rng(seed).random(SHAPE) < 0.75
        labels = np.asfortranarray(mask.astype(np.uint8))
        filled = after(labels, fill_holes(volume, labels, KIDNEY, in_slices=False))
        np.testing.assert_array_equal(filled > 0, ndimage.binary_fill_holes(mask))
        assert (filled != labels).any()
        per_slice = np.stack([ndimage.binary_fill_holes(mask[:, y]) for y in range(SHAPE[1])], axis=1)
        coronal = replace(volume, slice_axis=1)
        np.testing.assert_array_equal(after(labels, fill_holes(coronal, labels, KIDNEY)) > 0, per_slice)


def test_a_hole_of_one_structure_is_filled_for_the_label_that_it_borders(kidney: NDArray[np.uint8]) -> None:
    kidney[14, 18, 12] = kidney[33, 18, 12] = 0  # in the kidney; in the tumour
    kidney[0:3, 0:3, 0:3] = KIDNEY
    kidney[1, 1, 1] = 0  # in another piece
    volume = ct(LARGE)

    def filled(label: int, where: object = None) -> list[list[int]]:
        changed = after(kidney, fill_holes(volume, kidney, label, where))  # type: ignore[arg-type]
        assert (changed[changed != kidney] == label).all()
        return np.argwhere(changed != kidney).tolist()

    assert filled(KIDNEY) == [[1, 1, 1], [14, 18, 12]]
    assert filled(TUMOUR) == [[33, 18, 12]]
    assert filled(KIDNEY, (33, 17, 12)) == [[14, 18, 12]]  # the tumour is of the kidney's structure
    assert filled(KIDNEY, (slice(0, 5), slice(0, 5), slice(0, 5))) == [[1, 1, 1]]
    assert filled(KIDNEY, (slice(1, 5), slice(0, 5), slice(0, 5))) == []  # open at the box's side
    assert filled(KIDNEY, (39, 35, 23)) == []  # no structure


def test_a_tumour_is_no_hole_of_a_kidney_unless_it_may_be_painted_over() -> None:
    labels = ball((20, 18, 12), 12, LARGE).astype(np.uint8)
    labels[ball((20, 18, 12), 4, LARGE)] = TUMOUR
    labels[20, 18, 12] = KIDNEY  # in the middle of the tumour
    volume = ct(LARGE)
    assert len(fill_holes(volume, labels, KIDNEY)) == 0
    np.testing.assert_array_equal(
        after(labels, fill_holes(volume, labels, KIDNEY, over=None)) > 0, ball((20, 18, 12), 12, LARGE)
    )
    assert fill_holes(volume, labels, TUMOUR, over={0, KIDNEY}).index.tolist() == [20 + 40 * (18 + 36 * 12)]


# Smoothing


@pytest.mark.parametrize("voxel", [None, (20, 18, 12)])
def test_smoothing_removes_noise_and_keeps_the_volume(voxel: tuple[int, int, int] | None) -> None:
    true = ball((20, 18, 12), 12, LARGE)
    near = ball((20, 18, 12), 14, LARGE) & ~ball((20, 18, 12), 10, LARGE)
    noisy = np.where(near & (np.random.default_rng(0).random(LARGE) < 0.25), ~true, true).astype(np.uint8)
    labels = np.asfortranarray(noisy)
    labels[20:22, 34:36, 0:2] = CYST
    changed = after(labels, smooth(ct(LARGE), labels, KIDNEY, 1.5, voxel))
    assert abs((changed == KIDNEY).sum() / (labels == KIDNEY).sum() - 1) < 0.03
    assert ((changed == KIDNEY) ^ true).sum() < 0.6 * ((labels == KIDNEY) ^ true).sum()
    np.testing.assert_array_equal(changed == CYST, labels == CYST)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 30), label=st.integers(1, 3), mm=st.floats(0.2, 4), over=st.sets(st.integers(0, 3)))
def test_smoothing_takes_only_what_it_may(seed: int, label: int, mm: float, over: set[int]) -> None:
    labels = some_labels(seed)
    changed = after(labels, smooth(ct(), labels, label, mm, over=over))
    gained = (changed == label) & (labels != label)
    assert set(np.unique(labels[gained])) <= over - {label}
    others = changed != label
    lost = others & (labels == label)
    assert set(np.unique(changed[lost])) <= {0, KIDNEY}
    np.testing.assert_array_equal(changed[others & ~lost], labels[others & ~lost])


def test_a_kidney_stays_closed_around_its_tumour(kidney: NDArray[np.uint8]) -> None:
    changed = after(kidney, smooth(ct(LARGE), kidney, KIDNEY, 2.0))
    assert (changed != kidney).any()
    np.testing.assert_array_equal(changed == TUMOUR, kidney == TUMOUR)
    # A plain Gaussian takes the tumour for a hole: much of the kidney beside it falls below the threshold.
    depth = ndimage.distance_transform_edt(kidney > 0, sampling=SPACING)
    border = ndimage.binary_dilation(kidney == TUMOUR) & (kidney == KIDNEY) & (depth > 1.0)
    assert border.sum() > 50
    assert (changed[border] == KIDNEY).all()


def test_what_a_smoothed_tumour_loses_inside_a_kidney_becomes_kidney() -> None:
    labels = ball((20, 18, 12), 14, LARGE).astype(np.uint8)
    labels[16:24, 15:21, 10:14] = TUMOUR  # a box: its corners go
    labels[0:8, 0:6, 0:4] = TUMOUR  # another one, in nothing
    changed = after(labels, smooth(ct(LARGE), labels, TUMOUR, 2.0))
    lost = (labels == TUMOUR) & (changed != TUMOUR)
    within = ball((20, 18, 12), 14, LARGE)
    assert (lost & within).any()
    assert (lost & ~within).any()
    assert (changed[lost & within] == KIDNEY).all()
    assert (changed[lost & ~within] == 0).all()


# Growth


# Hundredths of a millimetre: a distance that differs less from `mm` is on the edge, on which either side may be.
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 30), label=st.integers(1, 3), hundredths=st.integers(0, 600), over=st.sets(st.integers(0, 3))
)
def test_a_label_grows_to_all_that_is_near_and_may_be_painted_over(
    seed: int, label: int, hundredths: int, over: set[int]
) -> None:
    mm = hundredths / 100
    sparse = np.random.default_rng([seed, 1]).random(SHAPE) < 0.05
    labels = some_labels(seed)
    labels[(labels == label) & ~sparse] = 0
    changed = after(labels, grow(ct(), labels, label, mm, over=over))
    centres = np.argwhere(labels == label) * SPACING
    near = np.zeros(SHAPE, bool)
    for voxel in np.ndindex(SHAPE):
        apart = np.linalg.norm(centres - np.array(voxel) * SPACING, axis=1)
        near[voxel] = apart.min(initial=np.inf) <= mm + 1e-5
    expected = np.where(near & np.isin(labels, list(over)), label, labels)
    np.testing.assert_array_equal(changed, expected)


def test_one_piece_grows_and_shrinks_alone(kidney: NDArray[np.uint8]) -> None:
    volume = ct(LARGE)
    kidney[0:4, 0:4, 0:4] = TUMOUR
    for mm in (2.5, -1.0):
        both, one = (
            after(kidney, grow(volume, kidney, TUMOUR, mm, voxel, over=None)) for voxel in (None, (33, 18, 12))
        )
        changed = both != kidney
        assert changed[:10].any()
        np.testing.assert_array_equal(one != kidney, changed & (np.arange(40) >= 10)[:, None, None])
    assert len(grow(volume, kidney, TUMOUR, 2.0, (20, 18, 12))) == 0  # this is kidney


def test_a_shrunken_tumour_gives_way_to_kidney_where_that_is_nearest(kidney: NDArray[np.uint8]) -> None:
    changed = after(kidney, grow(ct(LARGE), kidney, TUMOUR, -2.0))
    own = kidney == TUMOUR
    depth = ndimage.distance_transform_edt(own, sampling=SPACING)
    np.testing.assert_array_equal(changed == TUMOUR, depth > 2.0)
    lost = own & (depth <= 2.0)
    assert {0, KIDNEY} == set(np.unique(changed[lost]))
    assert (changed[32, 18, 7:17] == TUMOUR).any()
    inner, outer = ball((20, 18, 12), 10, LARGE), ~ball((20, 18, 12), 15, LARGE)
    assert (changed[lost & inner] == KIDNEY).all()
    assert (changed[lost & outer] == 0).all()
    np.testing.assert_array_equal(changed[~own], kidney[~own])


def test_a_kidney_shrinks_from_its_surroundings_and_not_from_its_tumour(kidney: NDArray[np.uint8]) -> None:
    changed = after(kidney, grow(ct(LARGE), kidney, KIDNEY, -1.5))
    depth = ndimage.distance_transform_edt(kidney > 0, sampling=SPACING)
    np.testing.assert_array_equal(changed, np.where((kidney == KIDNEY) & (depth <= 1.5), 0, kidney))


def test_nothing_erodes_a_label_at_the_face_of_the_volume() -> None:
    labels = np.full(SHAPE, TUMOUR, np.uint8, order="F")
    assert len(grow(ct(), labels, TUMOUR, -3.0)) == 0
    labels[0] = 0
    assert (after(labels, grow(ct(), labels, TUMOUR, -0.8)) == TUMOUR)[2:].all()


@pytest.mark.parametrize("tool", [fill_holes, smooth, grow])
def test_an_empty_mask_stays_empty_and_impossible_gestures_are_refused(tool: object) -> None:
    volume, empty = ct(), np.zeros(SHAPE, np.uint8)

    def used(label: int, mm: float = 2.0) -> Voxels:
        return tool(volume, empty, label) if tool is fill_holes else tool(volume, empty, label, mm)  # type: ignore

    assert len(used(TUMOUR)) == 0
    with pytest.raises(SettingsError, match="label 0 has no shape"):
        used(0)
    with pytest.raises(SettingsError, match="there is no label 4"):
        used(4)
    if tool is not fill_holes:
        with pytest.raises(SettingsError, match=r"must be .* mm, not 60"):
            used(TUMOUR, 60)
