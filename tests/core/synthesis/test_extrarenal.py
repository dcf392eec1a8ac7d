"""Masses that are not of a kidney."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from kidney_host import host
from kidneyseg.synthesis.extrarenal import insert_extrarenal_mass
from kidneyseg.synthesis.lesion_library import LesionLibrary

LIBRARY = LesionLibrary.procedural(24, seed=1)
THICK = (0.9, 0.9, 5.0)


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), THICK])
def test_a_mass_lies_beside_the_kidney_and_is_labelled_tissue(spacing):
    hu, labels, organs, spine = host(spacing, size_mm=(160, 150, 170))
    for seed in range(4):
        done = insert_extrarenal_mass(hu, labels, spacing, LIBRARY, np.random.default_rng(seed), organs=organs)
        assert done is not None
        new_hu, new_labels, mass = done
        assert 3.0 < mass.sum() * np.prod(spacing) / 1000 < 450.0
        assert not new_labels[mass].any()
        assert not (new_labels == 2).any()
        # The kidney may be displaced, not covered.
        assert new_labels.sum() == pytest.approx(labels.sum(), rel=0.08)
        assert (mass & (labels > 0)).sum() < 0.06 * mass.sum()
        assert (mass & spine & (hu > 440)).sum() < 0.05 * mass.sum()
        assert np.median(new_hu[mass]) > 0
        near = ndimage.binary_dilation(mass, iterations=12)
        np.testing.assert_array_equal(new_hu[~near & (labels == 0)][:1000], hu[~near & (labels == 0)][:1000])


def test_masses_of_different_seeds_differ_and_a_seed_repeats():
    hu, labels, organs, _ = host(size_mm=(160, 150, 170))
    one, again, other = (
        insert_extrarenal_mass(hu, labels, (1.5,) * 3, LIBRARY, np.random.default_rng(seed), organs=organs)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one[0], again[0])
    assert not np.array_equal(one[2], other[2])


def test_without_a_kidney_there_is_none():
    hu, labels, _, _ = host()
    assert insert_extrarenal_mass(hu, 0 * labels, (1.5,) * 3, LIBRARY, np.random.default_rng(0)) is None
