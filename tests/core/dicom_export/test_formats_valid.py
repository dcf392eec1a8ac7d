"""Written objects by validators: dciodvfy of dicom3tools, and DCMTK's readers of structures and reports."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_series import Series, rotated
from dicom_phantom import MADE_AT, MADE_BY, frame_order, opened, scanned
from kidneyseg.dicom_export.formats import Format, export_formats
from kidneyseg.findings import measure

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
TILTED = (AXIAL[0], AXIAL[1], (0.0, float(np.sin(0.2)), float(np.cos(0.2))))
# dicom3tools of Debian 12 is older than label maps, which came in 2024: it checks their common parts only.
UNKNOWN_TO_DCIODVFY = (
    "information object not found",
    "segmentnumber not monotonically increasing from one by one - have segmentsequence item number 1",
)
SERIES = {
    "axial": scanned(AXIAL, spacing=(5.0, 4.0), steps_mm=6.0),
    "oblique": scanned(rotated((10.0, -20.0, 15.0)), spacing=(5.0, 4.0), steps_mm=6.0),
    "tilted": scanned(TILTED, spacing=(5.0, 4.0), steps_mm=6.0),
    "uneven": scanned(AXIAL, spacing=(5.0, 4.0), steps_mm=[5.0] * 14 + [4.0] * 18),
}


def written(series: Series, labels: Any, folder: Path, known: bool = True, **changes: Any) -> list[Path]:
    volume = opened(series, folder / "ct", **changes)
    mask = volume.geometry.from_frames(labels[frame_order(series)])
    targets = {kind: folder / f"{kind}.dcm" for kind in Format if kind != Format.NIFTI}
    provenance = MADE_BY if known else None
    made = export_formats(mask, volume, targets, findings=measure(mask, volume), provenance=provenance, made_at=MADE_AT)
    return [path for paths in made.files.values() for path in paths]


def run(*command: str | Path) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: dicom3tools, dcmtk)")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 or command[0] == "dciodvfy", done.stderr
    return done.stdout + done.stderr


def errors(path: Path) -> list[str]:
    """What dciodvfy has against a file, but for what it does not know of label maps."""
    found = [line for line in run("dciodvfy", "-new", path).splitlines() if line.startswith("Error")]
    if path.stem == Format.LABELMAP:
        return [line for line in found if not any(one in line.lower() for one in UNKNOWN_TO_DCIODVFY)]
    return found


@pytest.mark.parametrize("name", SERIES)
def test_dciodvfy_finds_no_error(name: str, tmp_path: Path) -> None:
    for path in written(*SERIES[name], tmp_path):
        assert errors(path) == [], path.name


def test_nor_of_an_empty_mask_of_unknown_origin(tmp_path: Path) -> None:
    series, labels = SERIES["axial"]
    paths = written(series, np.zeros_like(labels), tmp_path, known=False)
    assert [path.name for path in paths] == ["seg.dcm", "labelmap.dcm", "rtstruct.dcm", "sr.dcm"]
    for path in paths:
        assert errors(path) == [], path.name


def test_nor_of_a_series_with_little_in_its_headers(tmp_path: Path) -> None:
    little = dict.fromkeys(("AccessionNumber", "StudyID", "ReferringPhysicianName", "PatientSex", "SliceThickness"))
    little |= dict.fromkeys(("StudyTime", "PatientBirthDate", "PositionReferenceIndicator", "SeriesNumber"))
    for path in written(*SERIES["axial"], tmp_path, **little):
        assert errors(path) == [], path.name


def test_dcmtk_reads_structures_and_the_report(tmp_path: Path) -> None:
    written(*SERIES["oblique"], tmp_path)
    assert "RT Structure Set object" in run("drtdump", tmp_path / "rtstruct.dcm")
    html = run("dsr2html", tmp_path / "sr.dcm")
    assert "Imaging Measurement Report" in html
    assert "Tumour 1, left kidney" in html
