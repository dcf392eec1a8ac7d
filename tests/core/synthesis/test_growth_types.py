"""Tumours of each growth type: where they lie, how many they are, and their HU."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from donors import donors
from kidney_host import host
from kidneyseg.synthesis.growth_types import GROWTH_TYPES, insert_growth
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.placement import find_hosts

LIBRARY = LesionLibrary.procedural(24, seed=1)
BY_NAME = {growth.name: growth for growth in GROWTH_TYPES}
SPACING = (1.5, 1.5, 1.5)


@cache
def inserted(name: str, seed: int):
    hu, labels, organs, _ = host()
    rng = np.random.default_rng(seed)
    new_hu, new_labels, done = insert_growth(hu, labels, SPACING, LIBRARY, BY_NAME[name], rng, organs=organs)
    for array in (new_hu, new_labels):
        array.setflags(write=False)  # tests share them
    return new_hu, new_labels == 2, done


def inside(name: str) -> float:
    """Mean share of the tumours within the kidney's hull."""
    hu, labels, organs, _ = host()
    (kidney,) = find_hosts(hu, labels, np.full(3, 1.5), organs)
    shares = []
    for seed in range(6):
        _, tumour, _ = inserted(name, seed)
        if tumour.any():
            shares.append((kidney.hull.distance(np.argwhere(tumour) * 1.5) < 0).mean())
    return float(np.mean(shares))


def test_the_types_differ_in_how_far_they_grow_out_of_the_kidney():
    assert inside("endophytic") > 0.8
    assert 0.35 < inside("mesophytic") < 0.8
    assert inside("exophytic") < 0.5


@pytest.mark.parametrize("name", BY_NAME)
def test_each_type_finds_room_and_has_its_size(name):
    growth = BY_NAME[name]
    found = [inserted(name, seed) for seed in range(5)]
    sizes = [one.ml for _, _, done in found for one in done]
    assert len(sizes) >= 4
    assert 0.15 * growth.ml[0] <= min(sizes)
    assert max(sizes) <= 1.2 * growth.ml[1]
    counts = [len(done) for _, _, done in found]
    assert max(counts) <= growth.count[1]
    assert (max(counts) >= 2) == (name == "multiple")


def test_contrast_to_the_kidney():
    def contrast(name: str) -> list[float]:
        found = [inserted(name, seed) for seed in range(6)]
        return [float(np.median(hu[tumour])) - 120.0 for hu, tumour, _ in found if tumour.any()]

    assert np.abs(contrast("isodense")).max() < 20
    assert np.mean(contrast("necrotic")) < np.mean(contrast("mesophytic")) - 10
    assert np.mean(contrast("cystic")) < np.mean(contrast("mesophytic")) - 10


def test_cystic_tumours_have_fluid_and_a_wall():
    hu, tumour, _ = inserted("cystic", 1)
    assert (hu[tumour] < 35).mean() > 0.25
    assert np.percentile(hu[tumour], 90) > 45


def test_hilar_tumours_lie_at_the_sinus():
    labels = np.zeros((80, 80, 90), np.uint8)
    part = donors()[0].labels  # its hilum faces higher x
    labels[10 : 10 + part.shape[0], 15 : 15 + part.shape[1], 5 : 5 + part.shape[2]] = part == 1
    hu = np.where(labels, 120, -95).astype(np.int16)
    hu += np.random.default_rng(0).normal(0, 8, hu.shape).astype(np.int16)
    centre = np.argwhere(labels).mean(0)
    towards = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        _, new, done = insert_growth(hu, labels, SPACING, LIBRARY, BY_NAME["hilar"], rng)
        if done:
            towards.append((np.argwhere(new == 2).mean(0) - centre)[0])
    assert np.mean(towards) > 4
