"""A corrected mask, or one of unknown origin, is exported with what is known of it, and over no one else's change."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kidneyseg.errors import FileChangedError, InputError, OutputError
from kidneyseg.findings import measure
from kidneyseg.imaging.nifti import load_mask, save_volume
from kidneyseg.imaging.readers import load
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.export import changed_since, check_export, export_mask, read_sidecar, stamp
from kidneyseg.segmentation.marks import decoded
from kidneyseg.segmentation.provenance import Provenance, current_versions
from kidneyseg.settings import preset
from volumes import abdomen


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    path = tmp_path_factory.mktemp("in") / "ct.nii.gz"
    save_volume(abdomen()[0], path)
    return load(path)


def saved(ct: Volume, path: Path, mask: np.ndarray[Any, Any] | None = None, **more: Any) -> dict[str, Any]:
    mask = abdomen()[1] if mask is None else mask
    beside = export_mask(mask, ct, path, **{"findings": measure(mask, ct), "provenance": None} | more)
    values: dict[str, Any] = json.loads(beside.read_text())
    return values


MADE = Provenance(
    preset("default"), ("net",), "cpu", "auto", {"fill": 0.5}, {"kept": 3}, ("A note.",), {"numpy": "2.4"}
)


def test_cysts_are_exported_under_their_number_in_kits(ct: Volume, tmp_path: Path) -> None:
    mask = abdomen()[1].copy(order="F")
    mask[20:24, 36:44, 12:18] = 3
    saved(ct, tmp_path / "mask.nii.gz", mask)
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.nii.gz")[0], mask)


def test_a_mask_of_unknown_origin_says_so(ct: Volume, tmp_path: Path) -> None:
    values = saved(ct, tmp_path / "mask.nii.gz")
    assert values["settings"] is values["device"] is values["backend"] is None
    assert values["models"] == values["notes"] == []
    assert values["versions"] == current_versions()
    assert values["findings"]["tumour_ml"] > 0
    again = read_sidecar(tmp_path / "mask.nii.gz")
    assert again is not None
    assert again.provenance == Provenance(versions=current_versions())


def test_the_provenance_outlasts_another_save(ct: Volume, tmp_path: Path) -> None:
    one = np.where(np.arange(100)[:, None, None] < 50, abdomen()[1], np.uint8(0))
    marks = np.zeros(one.shape, np.uint8)
    marks[0, 0, :2], marks[30, 40, 13:17] = 2, 1
    values = saved(ct, tmp_path / "mask.nii.gz", one, provenance=MADE, marks=marks)
    assert values["notes"][0] == "A note."
    assert values["notes"][1:] == values["findings"]["sentences"]
    assert len(values["notes"]) == 2  # on the kidney that is missing
    assert values["edits"]["voxels by hand"] == {"background": 2, "kidney": 4, "tumour": 0, "cyst": 0}
    np.testing.assert_array_equal(decoded(values["edits"]["runs"], one.shape), marks)
    assert values["mask"] == {"sha256": stamp(tmp_path / "mask.nii.gz").sha256}
    again = read_sidecar(tmp_path / "mask.nii.gz")
    assert again == (MADE, ct.hu_sha256, 6, values["mask"]["sha256"], values["edits"]["runs"])
    both = saved(ct, tmp_path / "mask.nii.gz", provenance=again.provenance, marks=0 * marks)
    assert both["notes"] == ["A note."]  # the second kidney was drawn in: nothing is missing now
    assert both["versions"] == {"numpy": "2.4"}
    assert "edits" not in both


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000])
def test_a_sidecar_that_is_no_json_is_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / "mask.json").write_text(content)
    with pytest.raises(InputError, match=r"mask\.json cannot be read"):
        read_sidecar(tmp_path / "mask.nii.gz")


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"models": "net"},
            {"device": 3},
            {"mask": 4},
            {"edits": []},
            {"settings": {"method": "other"}},
            {"findings": []},
            {"input": 1},
        ),
        *({"edits": {"voxels by hand": {"kidney": "many"}}}, {"seconds": {"fill": "1"}}),
    ],
)
def test_a_sidecar_with_impossible_values_is_damaged(ct: Volume, tmp_path: Path, changes: dict[str, Any]) -> None:
    values = saved(ct, tmp_path / "mask.nii.gz", provenance=MADE)
    (tmp_path / "mask.json").write_text(json.dumps(values | changes))
    with pytest.raises(InputError, match=r"damaged|cannot be used"):
        read_sidecar(tmp_path / "mask.nii.gz")


def test_other_json_beside_a_mask_is_passed_over(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path / "mask.nii.gz") is None
    (tmp_path / "mask.json").write_text('{"Modality": "CT"}')
    assert read_sidecar(tmp_path / "mask.nii.gz") is None


def touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def written_again(path: Path) -> None:
    path.write_bytes(path.read_bytes())
    touched(path)


def same_size(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    touched(path)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize(
    ("change", "changed"),
    [(touched, False), (written_again, False), (Path.unlink, False), (same_size, True), (longer, True)],
)
def test_a_file_that_another_program_changed_is_not_replaced_unasked(
    ct: Volume, tmp_path: Path, change: Callable[[Path], None], changed: bool
) -> None:
    path = tmp_path / "mask.nii.gz"
    saved(ct, path)
    before = stamp(path)
    assert not changed_since(before)
    change(path)
    assert changed_since(before) == changed
    if changed:
        content = path.read_bytes()
        with pytest.raises(FileChangedError, match=r"mask\.nii\.gz was changed by another program"):
            saved(ct, path, expected=before)
        assert path.read_bytes() == content
        check_export(tmp_path / "other.nii.gz", None, expected=before)  # of another file
        saved(ct, path)  # confirmed
    else:
        saved(ct, path, expected=before)


def test_a_link_has_the_stamp_of_its_target(ct: Volume, tmp_path: Path) -> None:
    saved(ct, tmp_path / "mask.nii.gz")
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "mask.nii.gz")
    before = stamp(tmp_path / "link.nii.gz")
    longer(tmp_path / "mask.nii.gz")
    with pytest.raises(OutputError, match="changed by another program"):
        check_export(tmp_path / "link.nii.gz", None, expected=before)
    with pytest.raises(InputError, match="cannot be read"):
        stamp(tmp_path / "none.nii.gz")


def test_a_mask_that_does_not_fit_is_refused_before_anything_is_written(ct: Volume, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        export_mask(abdomen()[1][:-1], ct, tmp_path / "m.nii", findings=measure(abdomen()[1], ct), provenance=MADE)
    assert list(tmp_path.iterdir()) == []
