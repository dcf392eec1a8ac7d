"""How the mask is drawn."""

from __future__ import annotations

import pytest

from kidneyseg_gui.display import Display, Overlay


def test_one_label_is_changed_and_the_others_stay():
    overlay = Overlay().with_label(2, visible=False, colour=(1, 2, 3))
    assert (overlay.style(2).visible, overlay.style(2).colour) == (False, (1, 2, 3))
    assert overlay.style(1) == Overlay().style(1)
    assert overlay.style(3) == Overlay().style(3)


def test_everything_hidden_can_be_shown():
    hidden = Overlay(shown=False).with_label(1, visible=False)
    assert hidden.all_shown() == Overlay()


@pytest.mark.parametrize("label", [1, 2, 3])
def test_every_label_of_a_mask_has_a_style_of_its_own(label: int):
    others = {Overlay().style(other).colour for other in {1, 2, 3} - {label}}
    assert Overlay().style(label).colour not in others


@pytest.mark.parametrize(
    ("cloud", "expected"),
    [("deck", "objects"), ("surface", "objects"), *((name, name) for name in ("sampled", "detected", "classes"))],
)
def test_the_slices_show_the_cloud_of_the_3d_view_or_what_the_mask_is_filled_from(cloud: str, expected: str):
    assert Display(cloud=cloud).cloud_on_slices == expected
