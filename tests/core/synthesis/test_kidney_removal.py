"""A CT without its kidney: fat is where it was, labels and organs follow, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from kidney_host import host
from kidneyseg.synthesis.kidney_removal import remove_kidney, removed_share, sources
from kidneyseg.synthesis.transplant_sites import find_sites

SPACING = np.full(3, 1.5)


def still(shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))


def test_fat_is_where_the_kidney_was():
    hu, labels, organs, spine = host()
    rest = remove_kidney(hu, labels, organs, labels > 0, still(hu.shape), -95.0, SPACING, np.random.default_rng(0))
    kidney = labels > 0
    assert np.median(rest.grey[kidney]) == pytest.approx(-95, abs=6)
    assert (rest.grey[kidney] > 30).mean() < 0.02
    assert not rest.labels.any()
    assert not (rest.organs == 2).any()
    np.testing.assert_array_equal(rest.organs == 6, organs == 6)
    assert not rest.moved.any()
    far = rest.free < 0.001
    np.testing.assert_allclose(rest.grey[far], hu[far], atol=0.5)
    assert far[spine].mean() > 0.99


def test_the_sinus_goes_with_the_kidney():
    kidney = np.zeros((60, 60, 60), bool)
    kidney[15:45, 15:45, 15:45] = True
    kidney[25:45, 28:32, 20:40] = False
    share = removed_share(kidney, SPACING)
    assert share[30, 30, 30] > 0.99
    assert share[30, 14, 30] > 0.5  # the blurred rim
    assert share[30, 8, 30] < 0.01
    assert not removed_share(np.zeros((9, 9, 9), bool), SPACING).any()


def test_content_labels_and_organs_move_together():
    hu, labels, organs, _ = host()
    at = still(hu.shape)
    at[2] += 6  # from 6 voxels above
    rest = remove_kidney(hu, labels, organs, labels > 0, at, -95.0, SPACING, np.random.default_rng(0))
    assert rest.moved.all()
    liver = np.zeros_like(organs, dtype=bool)
    liver[..., :-6] = organs[..., 6:] == 6
    same = np.s_[..., : hu.shape[2] - 6]
    np.testing.assert_array_equal(rest.organs[same] == 6, liver[same])
    assert np.median(rest.grey[liver & (rest.free < 0.01)]) == pytest.approx(70, abs=3)


def test_sources_interpolate_the_coarse_field():
    hu, labels, organs, _ = host()
    (site,) = find_sites(hu, labels, organs, SPACING)
    field = np.zeros((3, *site.kidney.shape), np.float32)
    field[1] = 3.0
    box = (slice(10, 30), slice(5, 20), slice(8, 40))
    at = sources(field, box, site, SPACING)
    np.testing.assert_allclose(at[1][0, :, 0], np.arange(15) + 2.0, atol=1e-4)
    np.testing.assert_allclose(at[0][:, 3, 3], np.arange(20), atol=1e-4)
