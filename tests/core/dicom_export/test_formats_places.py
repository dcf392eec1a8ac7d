"""What is written of a series lies, to .01 mm, where the series' pixels lie, by every program that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ct_series import Vector, rotated
from dicom_phantom import scanned
from kidneyseg.dicom_export.formats import Format
from written_case import WrittenCase

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.mark.parametrize("angles", [(20.0, 0.0, 0.0), (0.0, -15.0, 0.0), (10.0, -20.0, 15.0), (-35.0, 30.0, 40.0)])
def test_oblique_series(angles: Vector, tmp_path: Path) -> None:
    case = WrittenCase(*scanned(rotated(angles), spacing=(5.0, 4.0), steps_mm=6.0), tmp_path)
    case.check()
    case.check_nifti()


@pytest.mark.parametrize(
    ("spacing", "step"), [((1.1, 4.3), 3.0), ((4.7, 2.9), 8.5), ((2.0, 2.0), 12.0), ((6.0, 6.0), 1.3)]
)
def test_anisotropic_spacing(spacing: tuple[float, float], step: float, tmp_path: Path) -> None:
    case = WrittenCase(*scanned(AXIAL, spacing=spacing, steps_mm=step), tmp_path)
    case.check()
    case.check_nifti()


@pytest.mark.parametrize("degrees", [-25.0, 8.0, 20.0])
@pytest.mark.parametrize("feet_first", [False, True])
def test_a_tilted_gantry(degrees: float, feet_first: bool, tmp_path: Path) -> None:
    tilt = np.radians(degrees)
    along = (0.0, float(np.sin(tilt)), float(np.cos(tilt)) * (-1 if feet_first else 1))
    series, labels = scanned((AXIAL[0], AXIAL[1], along), spacing=(4.0, 4.0), steps_mm=5.0)
    case = WrittenCase(series, labels, tmp_path)
    assert not case.volume.geometry.exact
    np.testing.assert_array_equal(case.volume.geometry.to_frames(case.mask), case.labels)
    case.check(even=False)


def test_missing_slices(tmp_path: Path) -> None:
    steps = [6.0] * 10 + [12.0] + [6.0] * 8 + [18.0] + [6.0] * 6
    case = WrittenCase(*scanned(AXIAL, spacing=(5.0, 4.0), steps_mm=steps), tmp_path)
    assert not case.volume.geometry.exact
    case.check()


@pytest.mark.parametrize("steps", [[5.0] * 14 + [4.0] * 18, [3.0] * 20 + [5.0] * 12 + [4.0] * 12])
def test_uneven_slices_hold_the_mask_of_the_nearest_plane(steps: Sequence[float], tmp_path: Path) -> None:
    case = WrittenCase(*scanned(AXIAL, spacing=(5.0, 4.0), steps_mm=steps), tmp_path)
    case.labels = case.volume.geometry.to_frames(case.mask)  # what resampling left of them
    case.check(even=False)


def test_a_mask_of_nifti_is_the_labels_bit_for_bit(tmp_path: Path) -> None:
    case = WrittenCase(*scanned(AXIAL, spacing=(5.0, 4.0), steps_mm=6.0), tmp_path)
    image = nib.nifti1.load(case.files[Format.NIFTI])
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), case.labels)
