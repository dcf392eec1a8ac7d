"""The synthetic abdomen: repeatable, in every phase and field of view."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.phantom.abdomen import make_phantom
from kidneyseg.phantom.anatomy import PHASES
from phantoms import SHAPE, SPACING, coarse_phantom


def test_shape_types_and_geometry() -> None:
    volume, labels = coarse_phantom(3)
    assert volume.shape == labels.shape == SHAPE
    assert (volume.hu.dtype, labels.dtype) == (np.int16, np.uint8)
    assert volume.hu.flags.f_contiguous
    assert labels.flags.f_contiguous
    assert volume.spacing_mm == SPACING
    assert volume.calibrated
    assert set(np.unique(labels)) == {0, 1, 2}
    centre = volume.affine @ [*(np.array(SHAPE) - 1) / 2, 1]
    np.testing.assert_allclose(centre, [0, 0, 0, 1])


def test_same_seed_same_voxels() -> None:
    volume, labels = make_phantom(3, SHAPE, SPACING)
    again, labels_again = coarse_phantom(3)
    np.testing.assert_array_equal(volume.hu, again.hu)
    np.testing.assert_array_equal(labels, labels_again)
    assert (np.abs(coarse_phantom(1)[0].hu - volume.hu) > 100).mean() > 0.1


def test_phases_differ_in_hu_on_the_same_anatomy() -> None:
    kidney, contrast, anatomy = {}, {}, {}
    for phase in PHASES:
        volume, labels = coarse_phantom(1, phase)
        kidney[phase] = float(np.median(volume.hu[labels == 1]))
        contrast[phase] = kidney[phase] - float(np.median(volume.hu[labels == 2]))
        anatomy[phase] = labels
    assert 20 < kidney["noncontrast"] < 50
    assert min(kidney["arterial"], kidney["portal"]) > kidney["excretory"] > 90
    assert abs(contrast["noncontrast"]) < 25
    assert min(contrast["portal"], contrast["excretory"]) > 25
    assert all(np.array_equal(anatomy["portal"], labels) for labels in anatomy.values())


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((8, 9, 10), (1.0, 1.0, 1.0)), ((40, 30, 20), (0.7, 0.7, 5.0)), ((50, 50, 120), (8.0, 8.0, 8.0))],
)
def test_any_field_of_view(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> None:
    volume, labels = make_phantom(1, shape, spacing)
    assert volume.shape == labels.shape == shape


def test_a_phase_that_is_not_modelled_is_refused() -> None:
    with pytest.raises(ValueError, match="nephrographic"):
        make_phantom(phase="nephrographic")
