from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from kidneyseg.settings import preset
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_options_survive_a_restart(make_window: MakeWindow):
    first = make_window()
    first.case.set_window(1500, 300)
    first.case.set_overlay(replace(first.case.overlay, opacity=0.7, outlined=False).with_label(2, colour=(1, 2, 3)))
    first.case.set_display(radiological=False)
    first.case.set_settings(first.case.settings.with_(clusters={"eps_mm": 8.0}))
    first.main.close()
    second = make_window()
    assert second.case.window == (1500, 300)
    assert second.case.overlay == first.case.overlay
    assert not second.case.display.radiological
    assert second.case.settings.clusters.eps_mm == 8.0


def test_what_is_hidden_is_shown_again_after_a_restart(make_window: MakeWindow):
    first = make_window()
    first.case.set_overlay(replace(first.case.overlay, shown=False).with_label(2, visible=False))
    first.main.close()
    assert "visible" not in first.store.value("case/overlay")
    first.store.setValue("case/overlay", json.dumps(asdict(first.case.overlay)))  # as earlier versions saved it
    second = make_window()
    assert second.case.overlay == second.case.overlay.all_shown()


def test_only_changed_settings_are_kept(make_window: MakeWindow):
    window = make_window()
    window.case.set_settings(preset("paper").with_(clusters={"eps_mm": 8.0}))
    window.main.close()
    kept = json.loads(window.store.value("case/settings"))
    assert kept == {"preset": "paper", "changes": {"clusters": {"eps_mm": 8.0}}}


def test_spoiled_options_do_no_harm(make_window: MakeWindow):
    first = make_window()
    first.main.close()
    for key in ("window", "overlay", "display", "settings", "device"):
        first.store.setValue(f"case/{key}", '{"eps": [')
    first.store.setValue("recent", "7")
    first.store.sync()
    second = make_window()
    assert second.case.window == (350, 40)
    assert second.main.options.recent == []


NEWER: dict[str, object] = {
    "case/window": {"level": 50, "width": 350, "gamma": 1.2},
    "case/overlay": {"opacity": 0.5, "outlined": True, "filled": False, "labels": [[9, {"hatching": "dots"}]]},
    "case/display": {"radiological": "left", "crosshair": {"x": 1}},
    "case/settings": {"preset": "ensemble", "changes": {"clusters": 3, "teachers": {"count": 5}}},
    "case/device": "rocm:0",
    "recent": [{"path": "/a_ct.nii.gz", "pinned": True}],
}


def test_options_of_a_newer_version_do_no_harm(make_window: MakeWindow):
    """A downgrade starts with what it understands, and leaves alone what it does not know."""
    first = make_window()
    first.main.close()
    for key, value in NEWER.items():
        first.store.setValue(key, json.dumps(value))
    first.store.setValue("geometry", "<geometry width='900'/>")
    first.store.setValue("case/annotations", '{"colour": "red"}')
    first.store.setValue("layout/panes", "2x3")
    first.store.sync()
    second = make_window()
    assert second.case.window == (350, 40)
    assert second.case.device == "auto"
    assert second.case.settings == preset("default")
    assert second.main.options.recent == []
    second.main.options.remember(Path("b_ct.nii.gz"))
    second.main.close()
    assert second.main.options.recent == [Path("b_ct.nii.gz")]
    assert second.store.value("case/annotations") == '{"colour": "red"}'
    assert second.store.value("layout/panes") == "2x3"


@pytest.mark.parametrize("changes", [{"clusters": 3}, {"clusters": {"radius": 2}}, {"teachers": {"count": 5}}, [1]])
def test_settings_of_a_newer_version_do_no_harm(make_window: MakeWindow, changes: object):
    first = make_window()
    first.main.close()
    first.store.setValue("case/settings", json.dumps({"preset": "paper", "changes": changes}))
    first.store.sync()
    assert make_window().case.settings == preset("default")
