"""A lesion's voxels: partial volume, the displaced host, labels and noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from kidney_host import host
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.synthesis.blending import blend, make_patch, to_int16_hu
from kidneyseg.synthesis.lesion_shapes import procedural_lesion
from kidneyseg.synthesis.placement import find_hosts, place
from kidneyseg.synthesis.texture import TumourHU


@pytest.fixture(scope="module")
def placed():
    hu, labels, organs, _ = host()
    one = find_hosts(hu, labels, np.full(3, 1.5), organs)[0]
    lesion = procedural_lesion(np.random.default_rng(3))
    placement = place(lesion, 10.0, one, np.random.default_rng(0))
    return hu, labels, organs, make_patch(lesion, placement, one, np.full(3, 1.5), hu.shape)


def test_a_patch_has_the_lesions_volume_with_soft_edges(placed):
    *_, patch = placed
    assert patch.share.sum() * 1.5**3 / 1000 == pytest.approx(10.0, rel=0.1)
    assert patch.radius_mm == pytest.approx(13.4, rel=0.1)
    assert 0.1 < ((patch.share > 0.05) & (patch.share < 0.95)).sum() / (patch.share > 0.05).sum() < 0.7
    assert patch.share.max() <= 1.0


def test_a_patch_is_clipped_to_the_ct():
    hu, labels, organs, _ = host()
    low = slice(0, 45)
    one = find_hosts(hu[low], labels[low], np.full(3, 1.5), organs[low])[0]
    lesion = procedural_lesion(np.random.default_rng(3))
    for seed in range(4):
        patch = make_patch(
            lesion, place(lesion, 30.0, one, np.random.default_rng(seed)), one, np.full(3, 1.5), (45, 73, 87)
        )
        assert all(0 <= side.start < side.stop <= n for side, n in zip(patch.box, (45, 73, 87), strict=True))
        assert patch.share.shape == hu[low][patch.box].shape


@pytest.mark.parametrize("label", [KIDNEY, TUMOUR])
def test_blending_writes_label_and_hu_and_keeps_tumours_and_the_rest(placed, label):
    hu, labels, _, patch = placed
    other = labels.copy()
    corner = tuple(slice(side.start, side.start + 3) for side in patch.box)
    other[corner] = TUMOUR
    new_hu, new = hu.copy(), other.copy()
    blend(new_hu, new, patch, label, TumourHU(60.0, 20.0), np.random.default_rng(0))
    solid = np.zeros(hu.shape, bool)
    solid[patch.box] = patch.share > 0.95
    assert (new[solid] == label).all()
    assert np.median(new_hu[solid]) == pytest.approx(60, abs=5)
    assert (new[corner] == TUMOUR).all()
    far = np.ones(hu.shape, bool)
    far[patch.box] = False
    assert (new_hu[far] == hu[far]).all()
    assert (new[far] == other[far]).all()


def test_the_host_is_displaced_not_erased(placed):
    hu, labels, _, patch = placed
    new_hu, new = hu.copy(), labels.copy()
    blend(new_hu, new, patch, TUMOUR, TumourHU(60.0, 20.0), np.random.default_rng(0))
    outside = patch.share == 0
    moved = outside & (new_hu[patch.box] != hu[patch.box])
    assert moved.any()
    assert (patch.barrier[moved] < 0.9).all(), "bone and organs stay"
    around = ndimage.distance_transform_edt(patch.share < 0.5, sampling=1.5)
    assert around[moved].max() < 3 * 0.2 * patch.radius_mm + 2.5


def test_hu_are_rounded_and_clipped_to_a_scanners_range():
    assert to_int16_hu(np.array([-2000.0, 10.6, 5000.0])).tolist() == [-1024, 11, 3071]
