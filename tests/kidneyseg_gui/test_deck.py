from __future__ import annotations

import numpy as np
import pytest

from fakes import make_volume
from kidneyseg_gui.deck import deck_of


def test_the_sheets_stand_where_their_slices_lie_and_air_is_left_out():
    volume = make_volume((48, 40, 24), (2.0, 2.0, 5.0))
    deck = deck_of(volume)
    assert len(deck) == 14
    heights = [sheet.origin_mm[2] for sheet in deck]
    assert heights[0] == 2.5
    assert heights[-1] == 24 * 5 - 2.5
    assert heights == sorted(heights)
    for sheet in deck:
        assert sheet.pixels.shape == (40, 48, 4)
        assert sheet.first_row_mm.tolist() == [96, 0, 0]
        assert sheet.first_column_mm.tolist() == [0, 80, 0]
        assert sheet.pixels[20, 0, 3] == 0  # air
    kidney, body = deck[6].pixels[16, 13], deck[6].pixels[20, 24]
    assert kidney[3] == body[3] == 255
    assert kidney[0] > body[0]


def test_sheets_lie_across_the_axis_that_the_scanner_stacked():
    deck = deck_of(make_volume((48, 40, 5), slice_axis=1))
    assert len(deck) == 14
    assert deck[0].pixels.shape == (5, 48, 4)
    assert deck[0].origin_mm.tolist() == [0, 1, 0]
    assert len(deck_of(make_volume((48, 40, 5)))) == 5


@pytest.mark.parametrize("edge", [256, 257, 600])
def test_large_slices_are_made_smaller_in_their_place(edge: int):
    sheet = deck_of(make_volume((edge, 300, 3), (1.0, 1.0, 5.0)))[0]
    rows, columns = sheet.pixels.shape[:2]
    assert max(rows, columns) <= 256
    assert edge - 2 <= sheet.first_row_mm[0] <= edge
    assert sheet.first_row_mm[0] / columns == pytest.approx(np.ceil(edge / 256))
