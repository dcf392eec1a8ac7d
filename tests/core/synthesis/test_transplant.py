"""A donor's kidney in place of a CT's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from donors import donors, kidney_library
from kidney_host import host
from kidneyseg.synthesis.transplant import Transplanted, transplant
from kidneyseg.synthesis.transplant_sites import find_sites

THICK = (0.9, 0.9, 5.0)


def replaced(spacing=(1.5, 1.5, 1.5), seed: int = 0, kidney_hu: int = 120, **options: float) -> Transplanted:
    hu, labels, organs, _ = host(spacing, kidney_hu)
    edges = np.asarray(spacing)
    (site,) = find_sites(hu, labels, organs, edges)
    rng = np.random.default_rng(seed)
    done = transplant(hu, labels, organs, edges, site, donors()[1], kidney_library(), rng, **options)
    assert done is not None
    return done


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), THICK, (4.0, 4.0, 4.0)])
def test_kidney_tumour_and_cyst_have_the_donors_volumes(spacing):
    done, donor, voxel_ml = replaced(spacing), donors()[1], np.prod(spacing) / 1000
    for label, wanted in ((2, donor.tumour_ml), (3, donor.cyst_ml)):
        assert (done.labels == label).sum() * voxel_ml == pytest.approx(wanted, rel=0.25 if label == 3 else 0.12)
    body = donor.body.sum() * 1.5**3 / 1000
    assert (done.labels > 0).sum() * voxel_ml == pytest.approx(body, rel=0.15)
    np.testing.assert_array_equal(done.organs == 2, done.labels == 1)
    assert (done.hu.dtype, done.labels.dtype, done.case) == (np.int16, np.uint8, 3)


def test_hu_are_those_of_the_donors_case_in_the_hosts_phase():
    done = replaced()
    assert np.median(done.hu[done.labels == 1]) == pytest.approx(120, abs=20)
    # Its tumour took up (90 - 34) of (150 - 32) HU of its kidney.
    assert np.median(done.hu[done.labels == 2]) == pytest.approx(34 + 88 * 56 / 118, abs=16)
    assert np.median(done.hu[ndimage.binary_erosion(done.labels == 3)]) == pytest.approx(8, abs=8)
    plain = replaced(kidney_hu=32)
    assert np.median(plain.hu[plain.labels == 2]) == pytest.approx(34, abs=16)


def test_its_tumours_can_be_cystic():
    solid, cystic = replaced(cystic=0.0), replaced(cystic=1.0)
    np.testing.assert_array_equal(cystic.labels, solid.labels)
    fluid = [(done.hu[done.labels == 2] < 35).mean() for done in (solid, cystic)]
    assert fluid[1] > fluid[0] + 0.3


def test_its_tumours_hu_can_be_drawn_at_random():
    def tumours(**options: float) -> list[float]:
        done = [replaced(seed=seed, **options) for seed in range(8)]
        return [float(np.median(one.hu[one.labels == 2])) for one in done]

    assert np.ptp(tumours(any_hu_probability=1.0)) > 60
    assert np.ptp(tumours()) < 40


def test_nothing_of_the_old_kidney_stays_and_bone_and_liver_do():
    hu, labels, organs, spine = host()
    done = replaced()
    old = ndimage.binary_dilation(labels > 0, iterations=2) & ~ndimage.binary_dilation(done.labels > 0, iterations=3)
    assert old.sum() > 1000
    assert (done.hu[old] > 60).mean() < 0.06  # but what may be a vessel of the new sinus
    inner = spine & (hu > 440)
    np.testing.assert_array_equal(done.hu[inner & ~(done.labels > 0)], hu[inner & ~(done.labels > 0)])
    assert (done.labels > 0)[spine].mean() < 0.02
    assert (done.organs == 6).sum() > 0.7 * (organs == 6).sum()


def test_noise_in_the_donor_is_the_hosts():
    done = replaced()
    inside = ndimage.binary_erosion(done.labels == 3, iterations=2)  # homogeneous but for noise
    assert inside.sum() > 50
    assert done.hu[inside].std() == pytest.approx(12, abs=4)


def test_the_same_seed_gives_the_same_ct_and_the_input_stays():
    hu, labels, _, _ = host()
    one, other = replaced(seed=4), replaced(seed=4)
    np.testing.assert_array_equal(one.hu, other.hu)
    np.testing.assert_array_equal(one.labels, other.labels)
    again, same, _, _ = host()
    np.testing.assert_array_equal(hu, again)
    np.testing.assert_array_equal(labels, same)


def test_the_other_kidney_stays():
    hu, labels, organs, _ = host()
    both = tuple(np.concatenate([array, array[::-1]]) for array in (hu, labels, organs))
    both[2][: len(hu)][both[1][: len(hu)] > 0] = 3
    sites = find_sites(*both, np.full(3, 1.5))
    assert len(sites) == 2
    site = sites[0]
    done = transplant(*both, np.full(3, 1.5), site, donors()[0], kidney_library(), np.random.default_rng(0))
    assert done is not None
    first = site.pose.centre[0] < len(hu) * 1.5
    half = slice(len(hu), None) if first else slice(0, len(hu))
    np.testing.assert_array_equal(done.labels[half] > 0, both[1][half] > 0)


def test_a_donor_without_room_is_refused():
    hu, labels, organs, _ = host()
    (site,) = find_sites(hu, labels, organs, np.full(3, 1.5))
    walled = replace(site, fixed=np.ones_like(site.fixed))
    donor, rng = donors()[1], np.random.default_rng(0)
    assert transplant(hu, labels, organs, np.full(3, 1.5), walled, donor, kidney_library(), rng) is None
