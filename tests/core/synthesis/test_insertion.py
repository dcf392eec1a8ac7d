"""Inserted lesions: where they lie, what they leave unchanged, and their HU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kidney_host import host
from kidneyseg.synthesis.insertion import Insertion, insert_lesion, insert_lesions, insert_random_lesions
from kidneyseg.synthesis.lesion_hu import MOST_CYST_HU
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.lesion_shapes import LesionShape, procedural_lesion
from kidneyseg.synthesis.placement import find_hosts

THICK = (0.9, 0.9, 5.0)


@pytest.fixture(scope="module")
def library():
    return LesionLibrary.procedural(24, seed=1)


def insert(
    lesion: LesionShape, seed: int, ml: float, library: LesionLibrary
) -> tuple[np.ndarray, np.ndarray, Insertion]:
    """One lesion put on the kidney of `host`."""
    hu, labels, organs, _ = host()
    hosts = find_hosts(hu, labels, np.full(3, 1.5), organs)
    rng = np.random.default_rng(seed)
    new_hu, new_labels, done = insert_lesion(hu, labels, (1.5,) * 3, lesion, library, hosts, rng, ml=ml)
    assert done is not None
    return new_hu, new_labels, done


def test_a_tumour_lies_on_the_kidney_and_has_the_volume_and_hu_asked_for(library):
    _, labels, _, _ = host()
    new_hu, new_labels, done = insert(procedural_lesion(np.random.default_rng(3)), 0, 12.0, library)
    tumour = new_labels == 2
    assert done.ml == pytest.approx(12.0, rel=0.15)
    assert tumour.sum() * 1.5**3 / 1000 == pytest.approx(done.ml)
    np.testing.assert_allclose(np.argwhere(tumour).mean(axis=0), done.centre, atol=0.01)
    assert np.median(new_hu[tumour]) == pytest.approx(done.hu, abs=12)
    assert (labels[tumour] == 1).any()
    assert new_hu.dtype == np.int16
    assert new_labels.dtype == np.uint8
    assert new_hu.flags.f_contiguous


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), THICK, (4.0, 4.0, 4.0)])
def test_organs_bone_and_the_rest_of_the_ct_stay(library, spacing):
    hu, labels, organs, spine = host(spacing)
    hosts = find_hosts(hu, labels, np.asarray(spacing), organs)
    odds = {"tumour_odds": (0.0, 0.0, 1.0), "cyst_odds": (0.0, 1.0)}
    new_hu, new_labels, done = insert_lesions(hu, labels, spacing, library, hosts, np.random.default_rng(5), **odds)
    assert {lesion.kind for lesion in done} == {"tumour", "cyst"}
    tumour = new_labels == 2
    assert ((organs == 6) & tumour).sum() <= 0.02 * tumour.sum()
    assert not (spine & tumour).any()
    inner_spine = spine & (hu > 440)
    assert (new_hu[inner_spine] == hu[inner_spine]).mean() > 0.99
    assert (new_hu != hu).mean() < 0.5
    assert set(np.unique(new_labels)) == {0, 1, 2, 3}


def test_tumours_can_be_cystic(library):
    hu, labels, organs, _ = host()
    hosts = find_hosts(hu, labels, np.full(3, 1.5), organs)

    def fluid(cystic: float) -> float:
        shares = []
        for seed in range(8):
            new_hu, new_labels, done = insert_lesions(
                hu, labels, (1.5,) * 3, library, hosts, np.random.default_rng(seed), cyst_odds=(1.0,), cystic=cystic
            )
            tumour = new_labels == 2
            if done and done[0].ml > 6:
                shares.append((new_hu[tumour] < 30).mean())
        return float(np.mean(shares))

    assert fluid(1.0) > fluid(0.0) + 0.3


def test_hu_can_be_drawn_at_random(library):
    hu, labels, organs, _ = host()
    hosts = find_hosts(hu, labels, np.full(3, 1.5), organs)

    def drawn(probability: float) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {"tumour": [], "cyst": []}
        for seed in range(40):
            rng = np.random.default_rng(seed)
            *_, done = insert_lesions(
                hu, labels, (1.5,) * 3, library, hosts, rng, cyst_odds=(0.0, 1.0), any_hu_probability=probability
            )
            for one in done:
                found[one.kind].append(one.hu)
        return found

    usual, wide = drawn(0.0), drawn(1.0)
    kidney = hosts[0].median_hu
    assert np.max(wide["tumour"]) > kidney + 50
    assert np.min(wide["tumour"]) < kidney - 60
    assert np.std(wide["tumour"]) > 40
    assert (np.max(usual["cyst"]), np.min(usual["cyst"])) < (30, 31)
    assert 32 < np.max(wide["cyst"]) <= MOST_CYST_HU


def test_inputs_are_not_touched_and_the_same_seed_gives_the_same_ct(library):
    hu, labels, organs, _ = host(THICK)
    before = hu.copy(), labels.copy()
    first = insert_random_lesions(hu, labels, THICK, library, np.random.default_rng(11), organs=organs)
    second = insert_random_lesions(hu, labels, THICK, library, np.random.default_rng(11), organs=organs)
    np.testing.assert_array_equal(hu, before[0])
    np.testing.assert_array_equal(labels, before[1])
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert [lesion.ml for lesion in first[2]] == [lesion.ml for lesion in second[2]]


def test_the_hosts_noise_goes_on_inside_a_cyst(library):
    new_hu, new_labels, done = insert(procedural_lesion(np.random.default_rng(5), "cyst"), 5, 15.0, library)
    assert not (new_labels == 2).any()
    x, y, z = done.centre.round().astype(int)
    core = new_hu[x - 4 : x + 5, y - 4 : y + 5, z - 4 : z + 5]
    assert -15 <= core.mean() <= 40
    assert 8 <= core.std() <= 16


def test_endophytic_lesions_lie_deeper_than_exophytic_ones(library):
    _, labels, _, _ = host()
    lesion = procedural_lesion(np.random.default_rng(8))
    inside = []
    for share in (0.15, 0.95):
        _, new, _ = insert(replace(lesion, inside=share, along=0.0), 2, 5.0, library)
        inside.append((labels[new == 2] == 1).mean())
    assert inside[0] < 0.4
    assert inside[1] > 0.75


def test_without_a_kidney_nothing_is_inserted(library):
    hu, labels, _, _ = host((4.0, 4.0, 4.0))
    new_hu, new_labels, done = insert_random_lesions(hu, labels * 0, (4.0,) * 3, library, np.random.default_rng(0))
    assert done == []
    assert new_hu is hu
    assert not new_labels.any()
