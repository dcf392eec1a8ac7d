"""`segment` of a DICOM study, and of its conversion to NIfTI: the same mask, in every format."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from ct_series import write
from dicom_phantom import pixel_mm, scanned
from dicom_readers import by_hand, of_nifti, of_structures
from kidneyseg.cli import main
from kidneyseg.imaging.dicom.dicom_reader import load_dicom
from kidneyseg.imaging.nifti import save_volume
from kidneyseg.segmentation.method import Context, Method
from tiny_networks import tiny_models

SERIES, _ = scanned(((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0)), spacing=(3.0, 3.0), steps_mm=4.0)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sagittal `study`, its conversion `ct.nii.gz` and tiny random networks."""
    folder = tmp_path_factory.mktemp("case")
    save_volume(load_dicom(write(SERIES, folder / "study")), folder / "ct.nii.gz")
    return tiny_models(folder)


@pytest.fixture(autouse=True)
def labels_by_hu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phantom's labels in place of what random networks leave, which is nothing."""

    def fill(_method: Method, context: Context, *_: Any) -> np.ndarray[Any, Any]:
        hu = context.volume.hu
        return ((hu == 150) * np.uint8(1) + (hu == 230) * np.uint8(2)).astype(np.uint8, order="F")

    monkeypatch.setattr(Method, "fill", fill)


def segment(case: Path, ct: str, *more: str | Path) -> int:
    return main(["segment", str(case / ct), "--models", str(case), *map(str, more)])


def test_all_formats_hold_the_mask_of_the_nifti(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formats = "nifti,seg,labelmap,rtstruct,sr,images"
    assert segment(case, "study", "-o", tmp_path / "out", "--format", formats, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert segment(case, "ct.nii.gz", "-o", tmp_path / "alone.nii.gz") == 0
    masks = [tmp_path / "alone.nii.gz", Path(told["mask"])]
    alone, ours = (of_nifti(path) for path in masks)
    assert list(ours) == list(alone) == [1, 2]
    for label, points in alone.items():
        np.testing.assert_array_equal(ours[label], points)
    total = sum(len(points) for points in alone.values())
    assert sum(map(len, by_hand(tmp_path / "out" / "study_seg.dcm").values())) == total
    assert sum(map(len, of_structures(tmp_path / "out" / "study_rtstruct.dcm", pixel_mm(SERIES)).values())) == total
    written = {path for paths in told["files"].values() for path in paths} | {told["sidecar"]}
    assert written == {str(path) for path in (tmp_path / "out").iterdir()}
    assert told["sidecar"].endswith("study_mask.json")
    seg, report = (pydicom.dcmread(tmp_path / "out" / f"study_{kind}.dcm") for kind in ("seg", "sr"))
    assert {seg.ManufacturerModelName, report.ManufacturerModelName} == {f"KidneySeg ({', '.join(told['models'])})"}


def test_a_segmentation_of_nifti_refers_to_the_series_that_is_named(case: Path, tmp_path: Path) -> None:
    assert segment(case, "study", "-o", tmp_path / "a.dcm") == 0
    assert segment(case, "ct.nii.gz", "-o", tmp_path / "b.dcm", "--dicom-reference", case / "study") == 0
    one, other = (pydicom.dcmread(tmp_path / f"{name}.dcm") for name in "ab")
    assert one.PixelData == other.PixelData
    assert one.SOPInstanceUID == other.SOPInstanceUID
    assert (tmp_path / "a.json").is_file()


def test_what_dicom_output_lacks_is_said_before_the_networks_run(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of networks is empty: whatever is computed would end in another exit code."""
    (tmp_path / "kept.dcm").write_bytes((case / "study" / "IM0000").read_bytes())
    for ct, code, says, more in (
        ("ct.nii.gz", 3, "--dicom-reference", ("-o", "out.dcm")),
        ("ct.nii.gz", 3, "is no DICOM series", ("-o", "out.dcm", "--dicom-reference", case / "ct.nii.gz")),
        ("study", 4, "another program's file", ("-o", "kept.dcm")),
        ("study", 4, "End it in .dcm", ("-o", "out.nii", "--format", "seg")),
        ("study", 4, "NIfTI", ("-o", "out.dcm", "--format", "nifti")),
        ("study", 2, "is a folder", ("-o", "out.dcm", "--format", "seg,sr")),
    ):
        where = [tmp_path / one if one in ("out.dcm", "kept.dcm", "out.nii") else one for one in more]
        assert segment(case, ct, "--models", tmp_path, *where) == code, capsys.readouterr()
        assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept.dcm"]


def test_an_unknown_format_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["segment", "ct.nii", "--format", "seg,pdf"])
    assert caught.value.code == 2
    assert "'pdf' is none of nifti, seg" in capsys.readouterr().err


def test_a_reference_is_of_one_ct(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cts = [str(case / name) for name in ("study", "ct.nii.gz")]
    assert main(["segment", *cts, "--dicom-reference", cts[0]]) == 2
    assert "one CT" in capsys.readouterr().err


def test_nifti_alone_imports_no_dicom_library() -> None:
    program = "import sys, kidneyseg.cli.segmenting; print({'pydicom', 'highdicom'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
