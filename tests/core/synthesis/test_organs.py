"""Soft masks of organs: weights, depth, collecting system, and what counts as bone."""

from __future__ import annotations

import numpy as np
import pytest

from kidney_host import ball
from kidneyseg.synthesis.organs import ADRENALS, KIDNEYS, OrganWeights, fill_sinus, organ_mask

SHAPE, SPACING = (60, 60, 40), (2.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def ct():
    """A kidney with a calyx full of urine, muscle, and a vertebra of spongy bone in a compact shell."""
    hu, organs = np.full(SHAPE, -95, np.int16), np.zeros(SHAPE, np.uint8)
    kidney = ball(SHAPE, SPACING, (40, 60, 40), (26, 26, 30))
    calyx = ball(SHAPE, SPACING, (40, 60, 40), (8, 8, 8))
    muscle = ball(SHAPE, SPACING, (95, 60, 40), (20, 40, 60))
    bone = ball(SHAPE, SPACING, (95, 60, 40), (12, 12, 200))
    spongy = ball(SHAPE, SPACING, (95, 60, 40), (6, 6, 200))
    hu[muscle], hu[kidney], hu[calyx], hu[bone], hu[spongy] = 50, 130, 8, 400, 120
    organs[kidney] = 3  # the left kidney's number
    return hu, organs, kidney, calyx, muscle, bone, OrganWeights.build(hu, organs, SPACING)


def inside(index):
    mask = np.zeros(SHAPE, bool)
    mask.reshape(-1)[index] = True
    return mask


def test_both_of_a_pair_are_one_organ():
    labels = np.array([0, 2, 3, 12, 13, 6], np.uint8)
    assert organ_mask(labels, KIDNEYS).tolist() == [False, True, True, False, False, False]
    assert organ_mask(labels, ADRENALS).tolist() == [False, False, False, True, True, False]


def test_weights_are_1_in_the_organ_and_fade_out(ct):
    _, _, kidney, _, _, _, weights = ct
    organ = weights.organs[KIDNEYS]
    weight = np.zeros(SHAPE, np.float32)
    weight.reshape(-1)[organ.index] = organ.weight
    assert (weight[kidney] == 1).all()
    assert 0 < (weight[~kidney] > 0).sum() < kidney.sum()
    assert organ.median == pytest.approx(130, abs=2)


def test_depth_counts_from_the_surface_and_urine_is_found_inside(ct):
    _, _, _, calyx, _, _, weights = ct
    organ = weights.organs[KIDNEYS]
    centre = np.ravel_multi_index((20, 30, 20), SHAPE)
    assert weights.cortex_depth[organ.index == centre] == pytest.approx(26, abs=3)
    index, weight = weights.pelvis
    assert calyx.reshape(-1)[index[weight > 0.9]].all()
    assert (weight > 0.9).sum() > 0.3 * calyx.sum()


def test_soft_tissue_is_neither_organ_nor_bone_nor_marrow(ct):
    _, _, kidney, _, muscle, bone, weights = ct
    soft = inside(weights.soft)
    assert not (soft & (kidney | bone)).any()
    assert soft[muscle & ~ball(SHAPE, SPACING, (95, 60, 40), (18, 18, 200))].mean() > 0.9


def test_the_sinus_is_closed():
    kidney = ball(SHAPE, SPACING, (60, 60, 40), (26, 26, 30))
    cleft = np.zeros(SHAPE, bool)
    cleft[30:, 28:32] = True
    filled = fill_sinus(kidney & ~cleft, np.array(SPACING))
    assert filled[32, 30, 20]
    assert not (filled & ~ball(SHAPE, SPACING, (60, 60, 40), (30, 30, 34))).any()
