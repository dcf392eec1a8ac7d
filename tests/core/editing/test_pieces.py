"""Connected pieces: found from a voxel as labelling the whole volume finds them, relabelled, deleted, kept alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from corrections import SHAPE, after, ball, ct, some_labels
from kidneyseg.editing import keep_only_piece, piece_at, relabel_piece
from kidneyseg.editing.pieces import Piece, pieces_of
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR

VOXEL = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))


def as_mask(piece: Piece | None, shape: tuple[int, ...] = SHAPE) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    if piece is not None:
        mask[piece.box] = piece.inside
    return mask


def reference(labels: NDArray[np.uint8], voxel: tuple[int, int, int], together: bool) -> NDArray[np.bool_]:
    numbers, _ = ndimage.label(labels > 0 if together else labels == labels[voxel], np.ones((3, 3, 3)))
    return np.asarray((numbers == numbers[voxel]) & (labels[voxel] > 0))


@pytest.mark.parametrize("order", ["C", "F"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 20), share=st.floats(0.02, 0.4), voxel=VOXEL, together=st.booleans())
def test_a_piece_is_that_of_the_whole_volume(
    order: str, seed: int, share: float, voxel: tuple[int, int, int], together: bool
) -> None:
    sparse = np.random.default_rng([seed, 1]).random(SHAPE) < share
    labels = np.array(some_labels(seed) * sparse, order=order)  # type: ignore[call-overload]
    piece = piece_at(labels, voxel, together=together)
    np.testing.assert_array_equal(as_mask(piece), reference(labels, voxel, together))
    if piece is not None:
        assert all(piece.inside.any(axis=(a, b))[[0, -1]].all() for a, b in ((0, 1), (0, 2), (1, 2)))


def test_a_piece_that_winds_away_and_back_is_found_from_either_end() -> None:
    labels = np.zeros((120, 90, 60), np.uint8, order="F")
    labels[10:110, 5, 5] = labels[109, 5:80, 5] = labels[10:110, 79, 5] = labels[10, 79, 5:55] = 1
    labels[10:15, 40, 5] = 1  # a piece of its own on the way
    expected = reference(labels, (10, 5, 5), together=False)
    for end in ((10, 5, 5), (10, 79, 54), (109, 40, 5)):
        np.testing.assert_array_equal(as_mask(piece_at(labels, end), labels.shape), expected)


def test_all_pieces_of_a_label() -> None:
    labels = some_labels(3)
    labels[:, 5:8] = 0
    for label in (KIDNEY, None):
        chosen = labels > 0 if label is None else labels == label
        _, count = ndimage.label(chosen, np.ones((3, 3, 3)))
        pieces = pieces_of(labels, label)
        assert len(pieces) == count > 1
        np.testing.assert_array_equal(sum(as_mask(piece).astype(int) for piece in pieces), chosen)
    assert pieces_of(np.zeros_like(labels), None) == []


@pytest.fixture
def two_kidneys() -> NDArray[np.uint8]:
    """Two kidneys; the right one with two tumours inside, one of them in two voxels, and one on a corner's edge."""
    shape = (40, 20, 20)
    labels = np.zeros(shape, np.uint8, order="F")
    labels[2:14, 3:17, 3:17] = KIDNEY
    labels[22:36, 3:17, 3:17] = KIDNEY
    labels[25:30, 5:9, 5:9] = TUMOUR
    labels[32:34, 12, 12] = TUMOUR
    labels[36:39, 5:8, 5:8] = TUMOUR  # on the outside
    return labels


def test_a_piece_takes_another_label(two_kidneys: NDArray[np.uint8]) -> None:
    volume = ct(two_kidneys.shape)
    tumour = np.zeros(two_kidneys.shape, bool)
    tumour[25:30, 5:9, 5:9] = True
    for label in (0, KIDNEY, CYST):
        changed = after(two_kidneys, relabel_piece(volume, two_kidneys, (27, 6, 6), label))
        np.testing.assert_array_equal(changed, np.where(tumour, label, two_kidneys))
    assert len(relabel_piece(volume, two_kidneys, (27, 6, 6), TUMOUR)) == 0
    assert len(relabel_piece(volume, two_kidneys, (0, 0, 0), KIDNEY)) == 0  # background is no piece
    deleted = after(two_kidneys, relabel_piece(volume, two_kidneys, (27, 6, 6), 0, together=True))
    np.testing.assert_array_equal(deleted > 0, (two_kidneys > 0) & (np.arange(40) < 20)[:, None, None])


def test_only_the_piece_under_the_pointer_is_kept(two_kidneys: NDArray[np.uint8]) -> None:
    volume = ct(two_kidneys.shape)
    left = (np.arange(40) < 20)[:, None, None]
    kept = after(two_kidneys, keep_only_piece(volume, two_kidneys, (5, 5, 5)))
    np.testing.assert_array_equal(kept, np.where(left | (two_kidneys == TUMOUR), two_kidneys, 0))
    kept = after(two_kidneys, keep_only_piece(volume, two_kidneys, (5, 5, 5), together=True))
    np.testing.assert_array_equal(kept, np.where(left, two_kidneys, 0))
    assert len(keep_only_piece(volume, two_kidneys, (0, 0, 0))) == 0


def test_a_removed_tumour_becomes_kidney_where_kidney_surrounds_it(two_kidneys: NDArray[np.uint8]) -> None:
    kept = after(two_kidneys, keep_only_piece(ct(two_kidneys.shape), two_kidneys, (27, 6, 6)))
    expected = two_kidneys.copy()
    expected[32:34, 12, 12] = KIDNEY
    expected[36:39, 5:8, 5:8] = 0
    np.testing.assert_array_equal(kept, expected)


def test_the_only_piece_stays_as_it_is() -> None:
    labels = ball((8, 7, 5), 4).astype(np.uint8) * np.uint8(TUMOUR)
    assert len(keep_only_piece(ct(), labels, (8, 7, 5))) == 0


def test_a_voxel_outside_the_volume_and_an_unknown_label_are_refused() -> None:
    volume, labels = ct(), some_labels()
    with pytest.raises(SettingsError, match="lies outside the volume"):
        piece_at(labels, (-1, 0, 0))
    with pytest.raises(SettingsError, match="lies outside the volume"):
        keep_only_piece(volume, labels, (0, SHAPE[1], 0))
    with pytest.raises(SettingsError, match="there is no label 9"):
        relabel_piece(volume, labels, (0, 0, 0), 9)
