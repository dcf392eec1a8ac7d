"""What is written lies where the series' pixels lie, for all 48 orders and directions of rows, columns and slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ct_series import Vector, all_axes
from dicom_phantom import scanned
from written_case import WrittenCase

Directions = tuple[Vector, Vector, Vector]


def letters(directions: Directions) -> str:
    return "".join("LPS RAI"[int(np.argmax(np.abs(one))) + (0 if sum(one) > 0 else 4)] for one in directions)


@pytest.mark.parametrize("directions", [pytest.param(one, id=letters(one)) for one in all_axes()])
def test_axes_in_all_orders(directions: Directions, tmp_path: Path) -> None:
    case = WrittenCase(*scanned(directions, spacing=(5.0, 4.0), steps_mm=8.0), tmp_path)
    assert case.volume.geometry.exact
    case.check()
    case.check_nifti()
