"""A mask and its sidecar go to disk together, or not at all, and replace no file of another program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kidneyseg.errors import OutputError
from kidneyseg.findings import measure
from kidneyseg.imaging.nifti import load_mask, load_volume, save_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.resample import voxel_lattice
from kidneyseg.segmentation.export import check_export, export, sidecar
from kidneyseg.segmentation.pipeline import Result
from kidneyseg.settings import Settings, preset
from volumes import abdomen


@pytest.fixture
def ct(tmp_path: Path) -> Volume:
    (tmp_path / "in").mkdir()
    save_volume(abdomen()[0], tmp_path / "in" / "Jane Doe.nii.gz")
    return load_volume(tmp_path / "in" / "Jane Doe.nii.gz")


def result_for(volume: Volume, **more: Any) -> Result:
    mask = abdomen()[1]
    none = PointCloud(voxel_lattice(volume.shape, volume.spacing_mm), np.zeros((0, 3), np.int32), np.zeros(0, np.int16))
    settings = preset("default")
    findings, notes = measure(mask, volume), ("A note.",)
    return Result(mask, none, none, none, findings, {"stage 1": 1.0}, notes, settings, ("net",), "cpu", **more)


def test_mask_and_sidecar_are_written_and_replace_their_own(ct: Volume, tmp_path: Path) -> None:
    for _ in range(2):
        result = result_for(ct)
        beside = export(result, ct, tmp_path / "mask.nii.gz")
        assert beside == tmp_path / "mask.json"
        np.testing.assert_array_equal(load_mask(tmp_path / "mask.nii.gz")[0], abdomen()[1])
        values = json.loads(beside.read_text())
        assert values["notes"] == ["A note."]
        assert Settings.from_dict(values["settings"]) == result.settings
        assert values["models"] == ["net"]
        assert values["findings"] == json.loads(json.dumps(result.findings.to_dict() | {"sentences": []}))
        assert "edits" not in values
        assert values["input"]["hu_offset"] == 0
        assert "Jane" not in beside.read_text()


def test_the_sidecar_states_the_offset(ct: Volume) -> None:
    path = ct.path
    assert path is not None
    assert sidecar(load_volume(path, hu_offset=-1024), result_for(ct).findings, None)["input"]["hu_offset"] == -1024


FOREIGN = [
    *(b'{"Modality": "CT"}', b'["program"]', b'{"program": "dcm2niix 1.0"}', b"not JSON", b"", b"\xff\xfe"),
    *(b'{"program": null}', b"[" * 100_000, b'{"program": "kidneyseg 0.2.0", "report": "evaluation", "cases": {}}'),
]


@pytest.mark.parametrize("content", FOREIGN)
def test_the_json_of_another_program_is_never_replaced(ct: Volume, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pat.json").write_bytes(content)
    for path in (tmp_path / "pat.nii", tmp_path / "pat.nii.gz"):
        with pytest.raises(OutputError, match=r"pat\.json is another program's file"):
            export(result_for(ct), ct, path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "pat.json"]
    assert (tmp_path / "pat.json").read_bytes() == content


@pytest.mark.parametrize("there", ["mask.nii.gz", "mask.json"])
def test_nothing_is_written_when_either_file_exists_and_must_stay(ct: Volume, tmp_path: Path, there: str) -> None:
    export(result_for(ct), ct, tmp_path / "mask.nii.gz")
    for name in {"mask.nii.gz", "mask.json"} - {there}:
        (tmp_path / name).unlink()
    with pytest.raises(OutputError, match=f"{there} exists already"):
        export(result_for(ct), ct, tmp_path / "mask.nii.gz", overwrite=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", there]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mask.png", "no name for a NIfTI file"),
        ("nowhere/mask.nii", "no folder"),
        ("in/Jane Doe.nii.gz", "the CT itself"),
        ("folder.nii.gz", "is a folder"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_computed(
    ct: Volume, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "folder.nii.gz").mkdir()
    with pytest.raises(OutputError, match=message):
        check_export(tmp_path / name, ct.path)
    assert check_export(tmp_path / "mask.nii", ct.path) == tmp_path / "mask.json"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.nii.gz", "in"]
