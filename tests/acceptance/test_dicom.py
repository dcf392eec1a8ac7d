"""The installed command on real CTs as DICOM: the mask that their NIfTI files give, in every format."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_readers import assert_same_points, by_dcmqi, by_hand, by_highdicom, of_nifti
from dicom_series import frames_of, write_series
from kidneyseg.imaging.nifti import load_volume

# Where columns, rows and slices point: head first, feet first, and with rows and columns exchanged.
AXES = {"btcv0033": "LPS", "btcv0010": "RPI", "btcv0039": "ARS"}


def segment(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "kidneyseg", "segment", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("case", AXES)
def test_a_real_ct_gives_the_mask_of_its_nifti_bit_for_bit(case: str, data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "btcv" / f"{case}_ct.nii.gz"
    write_series(tmp_path / "study", frames_of(load_volume(source), AXES[case]))
    segment(source, "-o", tmp_path / "alone.nii.gz")
    told = json.loads(segment(tmp_path / "study", "-o", tmp_path, "--format", "nifti,seg,labelmap,sr", "--json"))
    alone, ours = of_nifti(tmp_path / "alone.nii.gz"), of_nifti(Path(told["mask"]))
    assert_same_points(
        {str(label): points for label, points in ours.items()}, {str(label): points for label, points in alone.items()}
    )
    whole = np.concatenate(list(alone.values()))
    seg = tmp_path / "study_seg.dcm"
    for found in (by_hand(seg), by_highdicom(seg), by_dcmqi(seg, tmp_path / "dcmqi")):
        assert_same_points({"mask": np.concatenate(list(found.values()))}, {"mask": whole})
        assert found["Left kidney"][:, 0].mean() > found["Right kidney"][:, 0].mean()
    report = pydicom.dcmread(tmp_path / "study_sr.dcm")
    assert report.StudyInstanceUID == pydicom.dcmread(seg).StudyInstanceUID
