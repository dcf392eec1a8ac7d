"""`segment`: its arguments reach the pipeline, its reports, and what it refuses to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from kidneyseg.cli import main
from kidneyseg.imaging.nifti import load_mask, save_volume
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ct.nii.gz` and tiny random networks."""
    folder = tmp_path_factory.mktemp("case")
    save_volume(abdomen()[0], folder / "ct.nii.gz")
    return tiny_models(folder)


def segment(case: Path, mask: Path, *more: str | Path) -> int:
    """The exit code of the command on the case."""
    return main(["segment", str(case / "ct.nii.gz"), "-o", str(mask), "--models", str(case), *map(str, more)])


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_json_and_changed_settings(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], preset: str, device: str
) -> None:
    own: dict[str, tuple[str, dict[str, Any]]] = {
        "default": ("--core-share=0.25", {"core_share": 0.25}),
        "paper": ("--min-samples=30", {"min_samples": 30}),
    }
    option, setting = own[preset]
    changes = ("--kept-percent", "20", "--eps-mm", "8", option, "--fill", "hull", "--device", device)
    mask = tmp_path / "m.nii"
    assert segment(case, mask, "--preset", preset, *changes, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["settings"]["sampling"]["kept_percent"] == 20
    assert told["settings"]["clusters"] == {"eps_mm": 8.0, **setting}
    assert told["settings"]["fill"]["algorithm"] == "hull"
    assert (told["device"], told["mask"], told["sidecar"]) == (device, str(mask), str(tmp_path / "m.json"))
    again = tmp_path / "n.nii"
    assert segment(case, again, "--settings", tmp_path / "m.json", "--device", device) == 0
    assert np.array_equal(load_mask(mask)[0], load_mask(again)[0])


def test_what_cannot_be_written_is_refused_before_anything_is_computed(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of networks is empty: whatever is computed would end in another exit code."""
    (tmp_path / "m.json").write_text('{"program": "kidneyseg 0"}')
    (tmp_path / "foreign.json").write_text('{"Modality": "CT"}')
    for says, name, more in (
        ("foreign.json", "foreign.nii", ()),
        ("m.json exists already", "m.nii", ("--no-overwrite",)),
    ):
        assert segment(case, tmp_path / name, "--models", tmp_path, *more) == 4
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert says in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign.json", "m.json"]


@pytest.mark.parametrize(("offset", "expected"), [("auto", 0), ("-24", -24), ("0", 0)])
def test_the_offset_of_hu_can_be_given(case: Path, tmp_path: Path, offset: str, expected: int) -> None:
    assert segment(case, tmp_path / "m.nii.gz", "--hu-offset", offset) == 0
    assert json.loads((tmp_path / "m.json").read_text())["input"]["hu_offset"] == expected


def test_what_was_unusual_in_the_file_is_printed_and_kept(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume, _ = abdomen()
    voxels = volume.hu.astype(np.float32)
    voxels[:4] = np.nan
    nibabel.save(nibabel.Nifti1Image(voxels, volume.affine), tmp_path / "ct.nii")
    assert main(["segment", str(tmp_path / "ct.nii"), "--models", str(case)]) == 0
    assert "taken as air" in capsys.readouterr().out
    assert "taken as air" in json.loads((tmp_path / "ct_mask.json").read_text())["notes"][0]


def test_strict_fails_where_no_kidney_is_found(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    air = tmp_path / "air.nii.gz"
    volume, _ = abdomen()
    volume.hu[:] = -1000
    save_volume(volume, air)
    for strict, code in (((), 0), (("--strict",), 1)):
        assert main(["segment", str(air), "--models", str(case), *strict]) == code, capsys.readouterr().err


@pytest.mark.parametrize("offset", ["1.5", "many", "65536", "-" + "9" * 30])
def test_an_offset_that_no_file_has_is_refused(offset: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["segment", "ct.nii", f"--hu-offset={offset}"])
    assert caught.value.code == 2
    assert "whole number" in capsys.readouterr().err
