from __future__ import annotations

from collections.abc import Callable

from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_the_3d_pane_follows_its_buttons_and_the_labels(window: WindowFixture):
    window.open()
    window.segment()
    window.main.quad.cloud.buttons["objects"].click()
    assert window.cloud.shown[1] == "objects"
    assert set(window.cloud.shown[0].clouds["objects"]) == {1, 2}
    window.case.set_overlay(window.case.overlay.with_label(2, visible=False))
    assert 2 not in window.cloud.shown[2]
    window.case.set_crosshair((1, 2, 3))
    window.qtbot.waitUntil(lambda: window.cloud.crosshair == (3.0, 5.0, 17.5), timeout=1000)


def test_the_slices_of_a_ct_are_shown_before_it_is_segmented(window: WindowFixture):
    buttons = window.main.quad.cloud.buttons
    assert not any(button.isEnabled() for button in buttons.values())
    window.open()
    assert [name for name, button in buttons.items() if button.isEnabled()] == ["deck"]
    buttons["deck"].click()
    first = window.cloud.deck
    assert len(first) == 14
    window.case.set_overlay(window.case.overlay.with_label(2, visible=False))
    assert window.cloud.deck is first, "it is made once"
    window.open("case_8.nii.gz")
    assert window.cloud.deck is not first
    window.segment()
    assert all(button.isEnabled() for button in buttons.values())
    assert window.cloud.shown[1] == "deck"


def test_the_steps_of_the_method_are_shown_in_turn(window: WindowFixture):
    window.open()
    window.segment()
    shown = {}
    for name in ("sampled", "detected", "classes", "objects"):
        window.main.quad.cloud.buttons[name].click()
        scene, shown_name, _colours = window.cloud.shown
        assert shown_name == name
        shown[name] = set(scene.clouds[name])
    assert shown == {"sampled": {0}, "detected": {1}, "classes": {0, 1, 2}, "objects": {1, 2}}
