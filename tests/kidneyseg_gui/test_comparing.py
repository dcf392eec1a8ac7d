"""What a comparison says."""

from __future__ import annotations

import numpy as np

from fakes import make_volume
from kidneyseg.editing.compare import compare
from kidneyseg_gui.comparing import DIFFERENCE_COLOURS, Compare, Shown


def made() -> Compare:
    volume = make_volume()
    ours = np.zeros(volume.shape, np.uint8, order="F")
    ours[:10, :10, :10] = 1
    other = ours.copy(order="K")
    other[:5] = 0
    other[20, 20, 20] = 2
    return Compare("b.nii.gz", other, compare(ours, other, volume))


def test_the_sentence_names_the_file_the_dice_and_the_volumes():
    text = made().text
    assert text.startswith("The differences against b.nii.gz")
    assert "Kidney Dice 0.667 (20.0 mL, there 10.0 mL)" in text
    assert "Tumour Dice 0.000" in text
    assert "cyst" not in text.lower()


def test_the_views_take_turns():
    one = made()
    assert one.shown == Shown.DIFFERENCE
    assert one.following == Shown.OURS


def test_each_kind_of_difference_has_a_colour():
    assert set(DIFFERENCE_COLOURS) == set(np.unique(made().comparison.difference)) - {0} | {3}
