"""Sites of kidneys to be replaced, places for donors, and the displacement of what surrounds them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from donors import donors
from kidney_host import host
from kidneyseg.synthesis.transplant_sites import TransplantSite, displacement, find_sites, place_donor


@pytest.fixture(scope="module")
def site() -> TransplantSite:
    hu, labels, organs, _ = host()
    (found,) = find_sites(hu, labels, organs, np.full(3, 1.5))
    return found


def centres_mm(site: TransplantSite) -> np.ndarray:
    cells = np.moveaxis(np.indices(site.kidney.shape), 0, -1)
    first = np.array([side.start for side in site.box])
    return (cells * site.step + first + (site.step - 1) / 2) * 1.5


def test_a_site_knows_side_fat_bone_and_pose(site):
    assert site.medial == -1.0  # organ 2, the right kidney
    assert site.fat_hu == pytest.approx(-95, abs=3)
    assert site.fixed[tuple(np.rint(site.cells_at(np.array([8.0, 50.0, 60.0]))).astype(int))]
    np.testing.assert_allclose(site.pose.centre, (60, 55, 60), atol=2.5)
    assert site.pose.axis[2] > 0.95
    np.testing.assert_allclose(site.cells_at(centres_mm(site))[5, 7, 9], (5, 7, 9))


def test_a_ct_without_kidney_has_no_site():
    hu, labels, organs, _ = host()
    assert find_sites(hu, 0 * labels, organs, np.full(3, 1.5)) == []


def test_without_an_organ_map_the_side_follows_from_the_place():
    hu, labels, organs, _ = host()
    (found,) = find_sites(hu, labels, 0 * organs, np.full(3, 1.5))
    assert found.medial == -1.0


def test_a_donor_is_placed_at_the_kidney_clear_of_bone(site):
    donor = donors()[1]
    for seed in range(5):
        placement = place_donor(donor, site, np.random.default_rng(seed))
        assert placement is not None
        points = np.argwhere(donor.filled)[::50] * 1.5 @ placement.rotation.T + placement.offset
        cells = np.clip(np.rint(site.cells_at(points)).astype(int), 0, np.array(site.kidney.shape) - 1)
        assert site.fixed[tuple(cells.T)].mean() <= 0.03
        assert np.linalg.norm(points.mean(0) - site.pose.centre) < 30
        np.testing.assert_allclose(placement.to_donor(points[:1]), np.argwhere(donor.filled)[:1], atol=1e-6)


def test_there_is_no_room_among_bones(site):
    walled = replace(site, fixed=np.ones_like(site.fixed))
    assert place_donor(donors()[1], walled, np.random.default_rng(0)) is None


def test_surroundings_are_pushed_out_drawn_in_and_left_alone_far_away_and_at_bone(site):
    field = displacement(site, site.distance < 8.0, 16.0)
    points = centres_mm(site) - site.pose.centre
    outward = points / np.maximum(np.linalg.norm(points, axis=-1, keepdims=True), 1e-3)
    radial = (np.moveaxis(field, 0, -1) * outward).sum(-1)
    beside = (site.distance > 9) & (site.distance < 13) & (points[..., 0] > 0) & (abs(points[..., 2]) < 15)
    assert np.median(radial[beside]) < -3  # the content comes from nearer to the kidney
    drawn = displacement(site, site.distance < -8.0, 16.0)
    radial = (np.moveaxis(drawn, 0, -1) * outward).sum(-1)
    near = (site.distance > 0) & (site.distance < 8) & (points[..., 0] > 0) & (abs(points[..., 2]) < 15)
    assert np.median(radial[near]) > 2
    for one in (field, drawn):
        length = np.linalg.norm(one, axis=0)
        assert length.max() <= 16.5
        assert length[site.distance > 45].max(initial=0) < 0.5
        assert length[site.fixed].max() < 1.0


def test_surroundings_can_be_drawn_nearer(site):
    """Of a donor as large as the kidney, nothing moves unless it is to lie nearer."""
    same = displacement(site, site.distance < 0, 16.0)
    nearer = displacement(site, site.distance < 0, 16.0, 4.0)
    points = centres_mm(site) - site.pose.centre
    near = (site.distance > 2) & (site.distance < 8) & (points[..., 0] > 0) & (abs(points[..., 2]) < 15)
    assert np.median(np.linalg.norm(same, axis=0)[near]) < 1.0
    outward = (np.moveaxis(nearer, 0, -1) * points).sum(-1) / np.linalg.norm(points, axis=-1)
    assert np.median(outward[near]) > 1.5
