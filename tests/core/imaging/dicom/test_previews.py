from __future__ import annotations

from pathlib import Path

import numpy as np

from dicom_series import frames_of, write_series
from kidneyseg.imaging.dicom.previews import preview
from kidneyseg.imaging.dicom.series import find_study
from volumes import abdomen


def test_the_middle_slice_is_shown_in_few_pixels(tmp_path: Path) -> None:
    volume, _ = abdomen((200, 160, 10))
    paths = write_series(tmp_path, frames_of(volume))
    study = find_study(tmp_path)
    picture = preview(study.series[0], 96)
    assert picture is not None
    assert picture.shape == (54, 67)
    assert picture[0, 0] == 0  # air
    assert 100 < np.median(picture) < 160  # 40 HU
    for path in paths:
        path.unlink()
    assert preview(study.series[0]) is None
