"""Random anatomies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.phantom.anatomy import PHASES, TISSUE_HU, Anatomy, draw_anatomy


def drawn(seed: int, phase: str = "portal") -> Anatomy:
    return draw_anatomy(np.random.default_rng(seed), phase)  # type: ignore[arg-type]


def test_a_phase_changes_hu_only() -> None:
    portal = drawn(1)
    for phase in PHASES:
        assert replace(drawn(1, phase), hu=portal.hu) == portal


@pytest.mark.parametrize("phase", PHASES)
def test_hu_scatter_around_the_table(phase: str) -> None:
    column = PHASES.index(phase)  # type: ignore[arg-type]
    many = [drawn(seed, phase) for seed in range(200)]
    for tissue, values in TISSUE_HU.items():
        hu = np.array([anatomy.hu[tissue] for anatomy in many])
        assert hu.mean() == pytest.approx(values[column], rel=0.02, abs=1)
        assert hu.std() > 2


def test_fat_makes_the_body_wider_and_moves_its_middle_forward() -> None:
    many = [drawn(seed) for seed in range(50)]
    for anatomy in many:
        assert anatomy.half_width > anatomy.half_depth > 90 + anatomy.fat / 2
        # Fat lies on the back too: more of it moves the spine away from the table.
        assert replace(anatomy, fat=anatomy.fat + 10).middle_y == pytest.approx(anatomy.middle_y - 9)
    assert len({anatomy.fat for anatomy in many}) == 50
