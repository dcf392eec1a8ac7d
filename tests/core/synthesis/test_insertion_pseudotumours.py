"""Pseudotumours: healthy parenchyma, as bright and as homogeneous as its own kidney."""

from __future__ import annotations

import numpy as np
import pytest

from kidney_host import ball, host
from kidneyseg.synthesis.insertion import insert_pseudotumour
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.placement import find_hosts


@pytest.fixture(scope="module")
def library():
    return LesionLibrary.procedural(24, seed=1)


def test_a_pseudotumour_is_kidney_as_bright_and_as_even_as_its_own(library):
    hu, labels, organs, _ = host()
    sinus = ball(hu.shape, (1.5,) * 3, (60, 45, 60), (14, 16, 22))
    hu[sinus], labels[sinus] = -95, 0
    before, kept = hu.copy(), labels.copy()
    hosts = find_hosts(hu, labels, np.full(3, 1.5), organs)
    grown = []
    for seed in range(6):
        new_hu, new = insert_pseudotumour(hu, labels, (1.5,) * 3, library, hosts, np.random.default_rng(seed))
        added = sinus & (new == 1)
        grown.append(added.sum() * 1.5**3 / 1000)
        if grown[-1] > 1.0:
            assert np.median(new_hu[added]) == pytest.approx(120, abs=20)
        assert np.median(new_hu[new == 1]) == pytest.approx(120, abs=6)
        assert ((new > 0) & (organs == 6)).sum() <= 0.02 * (new > 0).sum()
    assert max(grown) > 2.0
    np.testing.assert_array_equal(hu, before)
    np.testing.assert_array_equal(labels, kept)


def test_a_kidney_without_contrast_agent_gets_none(library):
    hu, labels, organs, _ = host((4.0, 4.0, 4.0), kidney_hu=35)
    hosts = find_hosts(hu, labels, np.full(3, 4.0), organs)
    assert insert_pseudotumour(hu, labels, (4.0,) * 3, library, hosts, np.random.default_rng(0))[0] is hu
    assert insert_pseudotumour(hu, labels, (4.0,) * 3, library, [], np.random.default_rng(0))[0] is hu
