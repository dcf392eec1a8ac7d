"""Label maps are told from CTs, also from those that hold no HU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kidneyseg.imaging.labels import looks_like_labels
from kidneyseg.imaging.nifti import load_volume
from kidneyseg.phantom.abdomen import make_phantom


def blocks(*labels: int) -> NDArray[np.int16]:
    """A box of 20 x 20 x 4 voxels for each label, in a row, in 0."""
    values = np.zeros((24 * len(labels) + 4, 28, 8), np.int16)
    for number, label in enumerate(labels):
        values[24 * number + 4 :, 4:24, 2:6][:20] = label
    return values


@pytest.mark.parametrize("labels", [(), (1,), (1, 2, 3), (255,), tuple(range(1, 118))])
def test_small_whole_numbers_in_areas_are_labels(labels: tuple[int, ...]) -> None:
    assert looks_like_labels(blocks(*labels))


@pytest.mark.parametrize(("width", "level"), [(50, 40), (350, 40), (1500, 300)])
def test_a_ct_saved_as_greys_is_no_label_map(width: int, level: int) -> None:
    hu = make_phantom(seed=4, shape=(64, 64, 16), spacing_mm=(6.0, 6.0, 12.0))[0].hu
    greys = np.clip((hu - (level - width / 2)) * 255.0 / width, 0, 255).astype(np.int16)
    assert not looks_like_labels(greys)
    assert not looks_like_labels(hu)
    assert not looks_like_labels((hu + 1024).astype(np.int16))


def test_masks_of_real_cts_are_labels_and_their_cts_are_not(data_dir: Path) -> None:
    assert looks_like_labels(load_volume(data_dir / "btcv/btcv0034_label13.nii.gz").hu)
    assert looks_like_labels(load_volume(data_dir / "kits23_masks/case_00000.nii.gz").hu)
    assert not looks_like_labels(load_volume(data_dir / "btcv/btcv0034_ct.nii.gz").hu)


def test_odd_cts_are_no_label_maps(cases_dir: Path) -> None:
    for path in sorted(cases_dir.glob("*.nii.gz")):
        assert not looks_like_labels(load_volume(path).hu), path.name
