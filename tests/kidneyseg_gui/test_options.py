from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

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
