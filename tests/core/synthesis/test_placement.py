"""Where lesions can sit: the kidneys of a CT, what blocks a lesion, and the best of several places."""

from __future__ import annotations

import numpy as np
import pytest

from kidney_host import host
from kidneyseg.synthesis.lesion_shapes import procedural_lesion
from kidneyseg.synthesis.placement import MAX_BLOCKED, block_mean, find_hosts, place


@pytest.fixture(scope="module")
def ct():
    hu, labels, organs, spine = host()
    return hu, labels, organs, spine, find_hosts(hu, labels, np.full(3, 1.5), organs)


def test_a_host_is_a_kidney_of_its_size_and_hu(ct):
    _, labels, _, _, hosts = ct
    assert len(hosts) == 1
    assert hosts[0].volume_ml == pytest.approx(labels.sum() * 1.5**3 / 1000, rel=0.05)
    assert hosts[0].median_hu == pytest.approx(120, abs=3)


def test_organs_and_bone_are_barriers_and_fat_is_none(ct):
    hu, labels, organs, spine, hosts = ct
    one = hosts[0]

    def blocked(mask):
        index = np.rint(one.coarse_index(np.argwhere(mask)[::50] * 1.5)).astype(int)
        inside = ((index >= 0) & (index < one.barrier.shape)).all(axis=1)
        return one.barrier[tuple(index[inside].T)].mean()

    assert blocked(organs == 6) > 0.9
    assert blocked(spine & (organs == 0)) > 0.8
    assert blocked(labels == 1) == 0
    assert blocked((hu < -60) & (organs == 0) & ~spine) < 0.1


def test_small_kidneys_are_no_hosts_and_two_at_most_are():
    hu, labels, _, _ = host((4.0, 4.0, 4.0))
    assert find_hosts(hu, labels, np.ones(3)) == []
    three = [np.concatenate([array] * 3) for array in (hu, labels)]
    assert len(find_hosts(*three, np.full(3, 4.0))) == 2


def test_the_hu_of_a_host_follow_the_contrast_phase(ct):
    hu, _, _, _, hosts = ct
    assert hosts[0].in_phase(hu - 80).median_hu == pytest.approx(hosts[0].median_hu - 80, abs=6)


def test_lesions_are_placed_on_the_surface_clear_of_others(ct):
    *_, hosts = ct
    lesion = procedural_lesion(np.random.default_rng(0))
    placed = place(lesion, 5.0, hosts[0], np.random.default_rng(1))
    assert placed.blocked <= MAX_BLOCKED
    assert abs(hosts[0].hull.distance(placed.centre_mm[None])[0]) < 15
    again = place(lesion, 5.0, hosts[0], np.random.default_rng(1), avoid=((placed.centre_mm, placed.radius_mm),))
    assert np.linalg.norm(again.centre_mm - placed.centre_mm) > placed.radius_mm
    nowhere = place(lesion, 5.0, hosts[0], np.random.default_rng(1), avoid=((placed.centre_mm, 500.0),))
    assert nowhere.blocked == 1.0


def test_block_means_leave_out_incomplete_blocks():
    array = np.arange(5 * 2 * 2).reshape(5, 2, 2)
    means = block_mean(array, np.array([2, 2, 2]))
    assert means.shape == (2, 1, 1)
    assert means[0, 0, 0] == array[:2].mean()
