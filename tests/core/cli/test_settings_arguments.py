"""Settings from the command line: every wrong one is refused with a sentence and exit code 2."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from kidneyseg.cli import main
from kidneyseg.cli.settings_arguments import add_settings, settings_of
from kidneyseg.errors import SettingsError
from kidneyseg.settings import Settings, preset


def parsed(*arguments: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return settings_of(parser.parse_args(arguments))


def test_each_argument_changes_its_setting() -> None:
    assert parsed() == preset("default")
    common = ("--kept-percent", "20", "--eps-mm", "8", "--fill", "hull", "--closing-mm", "1")
    changed = {"eps_mm": 8.0}
    fill = {"algorithm": "hull", "closing_mm": 1.0}
    assert parsed(*common, "--core-share", ".25", "--margin-mm", "0") == preset("default").with_(
        sampling={"kept_percent": 20.0},
        clusters={**changed, "core_share": 0.25},
        stage2={"margin_mm": 0.0},
        fill=fill,
    )
    assert parsed(*common, "--preset", "paper", "--min-samples", "7", "--bands", "2") == preset("paper").with_(
        sampling={"kept_percent": 20.0, "bands": 2}, clusters={**changed, "min_samples": 7}, fill=fill
    )


def test_a_long_wrong_name_is_shortened(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"method": "default", "x" * 5000: 1, "sampling": {"y" * 5000: 1}}))
    with pytest.raises(SettingsError) as caught:
        parsed("--settings", str(file))
    assert len(str(caught.value)) < 400 + len(str(file))


def test_auto_sets_min_samples_back(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text(preset("paper").with_(clusters={"min_samples": 9}).to_json())
    assert parsed("--settings", str(file)).to_dict()["clusters"]["min_samples"] == 9
    assert parsed("--settings", str(file), "--min-samples", "auto") == preset("paper")


def test_a_file_of_any_editor_and_a_whole_sidecar_are_read(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    wanted = preset("default").with_(fill={"closing_mm": 3.0})
    file.write_bytes(b"\xef\xbb\xbf" + wanted.to_json().encode())
    assert parsed("--settings", str(file), "--preset", "default") == wanted
    file.write_text(json.dumps({"program": "kidneyseg 0.2.0", "settings": wanted.to_dict(), "notes": []}))
    assert parsed("--settings", str(file)) == wanted
    with pytest.raises(SettingsError, match=r"s.json is for the method default; leave out --preset paper"):
        parsed("--settings", str(file), "--preset", "paper")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "s.json: not valid JSON in line 1"),
        (b"\xff\xfe{", "s.json: not a text file"),
        (b'{"method": "default", "clusters": {"eps_mm": "5"}}', 's.json: DBSCAN eps must be a number, not "5"'),
        (b'{"method": "default", "clusters": {"eps_mm": NaN}}', "not NaN"),
        (b'{"method": "default", "fill": []}', "names and values"),
        (b'{"method": "paper", "stage2": {"margin_mm": 1}}', "the method default has it"),
        (b'{"preset": "default", "sampling": {}}', "KidneySeg 0.1"),
        (b'{"settings": null}', "one JSON object, not null"),
    ],
)
def test_a_wrong_file_ends_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, says: str
) -> None:
    file = tmp_path / "s.json"
    file.write_bytes(content)
    assert main(["segment", "no.nii.gz", "--settings", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--min-samples", "33"], "the method paper has it"),
        (["--bands", "2"], "the method paper has it"),
        (["--preset", "paper", "--core-share", ".5"], "the method default has it"),
        (["--preset", "paper", "--margin-mm", "5"], "the method default has it"),
        (["--eps-mm", "nan"], "DBSCAN eps must be"),
    ],
)
def test_a_setting_of_the_other_method_ends_with_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["segment", "no.nii.gz", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_missing_file_is_an_unusable_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", "no.nii.gz", "--settings", str(tmp_path / "none.json")]) == 3
    assert capsys.readouterr().err.strip().endswith("none.json cannot be read: No such file or directory")
