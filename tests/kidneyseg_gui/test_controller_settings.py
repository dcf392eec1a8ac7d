from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from kidneyseg.cli.settings_arguments import add_settings, settings_of
from kidneyseg.settings import Settings, preset
from window_fixture import WindowFixture

CHANGED = preset("default").with_(sampling={"kept_percent": 40.0}, fill={"closing_mm": 3.5})


def read_by_the_command_line(path: Path) -> Settings:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return settings_of(parser.parse_args(["--settings", str(path)]))


@pytest.mark.parametrize("settings", [CHANGED, preset("paper")], ids=["default", "paper"])
def test_saved_settings_are_read_by_the_command_line_and_the_window(window: WindowFixture, settings: Settings):
    window.open()
    window.answers.path = window.folder / "settings.json"
    window.case.set_settings(settings)
    window.main.controller.ask_save_settings()
    assert window.answers.proposed.suffix == ".json"
    assert window.answers.proposed.parent == window.folder
    assert str(window.answers.path) in window.notices()
    assert read_by_the_command_line(window.answers.path) == settings

    window.case.set_settings(preset("default"))
    window.main.controller.ask_load_settings()
    assert window.case.settings == settings


def test_the_settings_of_a_sidecar_can_be_loaded(window: WindowFixture):
    window.answers.path = window.folder / "ct_mask.json"
    window.answers.path.write_text(json.dumps({"program": "kidneyseg", "settings": CHANGED.to_dict()}))
    window.main.controller.ask_load_settings()
    assert window.case.settings == CHANGED


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("[1]", "one JSON object"),
        ('{"settings": {"method": "default", "fill": {"closing_mm": 999}}}', "closing"),
        ('{"method": "paper", "stage2": {"margin_mm": 3}}', "stage2"),
        ("\xff", "not valid JSON"),
    ],
)
def test_settings_that_cannot_be_loaded_are_refused_in_a_sentence(window: WindowFixture, content: str, words: str):
    before = window.case.settings
    window.answers.path = window.folder / "broken.json"
    window.answers.path.write_bytes(content.encode("latin-1"))
    window.main.controller.ask_load_settings()
    assert "broken.json was not loaded" in window.notices()
    assert words in window.notices()
    assert window.case.settings == before


def test_replacing_a_settings_file_is_asked_about(window: WindowFixture):
    window.answers.path, window.answers.go_on = window.folder / "settings.json", False
    window.answers.path.write_text("{}")
    window.main.controller.ask_save_settings()
    assert window.answers.asked[0].startswith("Replace settings.json?")
    assert window.answers.path.read_text() == "{}"
    window.answers.go_on = True
    window.main.controller.ask_save_settings()
    assert read_by_the_command_line(window.answers.path) == window.case.settings


def test_settings_that_cannot_be_saved_are_reported(window: WindowFixture):
    window.answers.path = window.folder / "missing" / "settings.json"
    window.main.controller.ask_save_settings()
    assert "not saved" in window.notices()
    window.main.controller.ask_load_settings()
    assert "No such file" in window.notices()


def test_a_question_that_is_cancelled_changes_nothing(window: WindowFixture):
    window.answers.path = None
    window.main.controller.ask_save_settings()
    window.main.controller.ask_load_settings()
    assert window.notices() == ""
