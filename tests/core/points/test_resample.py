import numpy as np
import pytest

from kidneyseg.errors import Cancelled
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice
from kidneyseg.points.resample import (
    axis_weights,
    lattice_for,
    resample_hu,
    resample_labels,
    upsampled_slices,
    voxel_lattice,
)
from kidneyseg.progress import CallbackProgress


def volume_of(hu, spacing=(1.0, 1.0, 1.0)):
    return Volume(np.asfortranarray(hu, np.int16), spacing, np.diag([*spacing, 1.0]))


def test_lattice_covers_the_volume_with_a_last_partial_cell():
    assert lattice_for(((10, 9, 8), (1.0, 1.0, 1.0)), 4.0).shape == (3, 3, 2)
    assert lattice_for(((10, 10, 10), (0.4, 0.4, 0.4)), 4.0).shape == (1, 1, 1)  # 10 * .4 is 4.000000000000001


def test_cropped_lattice_keeps_every_voxel_in_the_same_cell_of_space():
    whole = lattice_for(((20, 20, 20), (1.0, 1.0, 1.0)), 3.0)
    part = lattice_for(((20, 20, 20), (1.0, 1.0, 1.0)), 3.0, box=((2, 0, 1), (5, 99, 3)))
    assert part.shape == (3, 7, 2)
    assert part.origin_mm == (6.0, 0.0, 3.0)
    centres = np.array([7.5, 13.5])
    assert (whole.cells_of(centres, 0) - 2 == part.cells_of(centres, 0)).all()


def test_coarse_cells_are_the_mean_of_their_voxels():
    hu = np.arange(8 * 4 * 6).reshape(8, 4, 6)
    cells = resample_hu(volume_of(hu), lattice_for(((8, 4, 6), (1.0,) * 3), 2.0))
    assert np.array_equal(cells, np.rint(hu.reshape(4, 2, 2, 2, 3, 2).mean(axis=(1, 3, 5))))
    assert cells.dtype == np.int16
    assert cells.flags.c_contiguous


def test_a_cell_that_cuts_voxels_weighs_them_by_area_and_the_last_one_by_what_is_there():
    weights, first = axis_weights(voxel_lattice((5, 1, 1), (1.0,) * 3), lattice_for(((5, 1, 1), (1.0,) * 3), 1.5), 0)
    assert first == 0
    expected = [[2 / 3, 1 / 3, 0, 0, 0], [0, 1 / 3, 2 / 3, 0, 0], [0, 0, 0, 2 / 3, 1 / 3], [0, 0, 0, 0, 1]]
    assert np.allclose(weights.toarray(), expected, atol=1e-6)


def test_thick_slices_are_interpolated_linearly_and_stay_constant_at_the_ends():
    hu = np.broadcast_to(np.array([0, 100, 200]), (2, 2, 3))
    cells = resample_hu(volume_of(hu, (1.5, 1.5, 6.0)), lattice_for(((2, 2, 3), (1.5, 1.5, 6.0)), 1.5))
    assert cells[0, 0].tolist() == [0, 0, 12, 38, 62, 88, 112, 138, 162, 188, 200, 200]


def test_full_range_and_clipped_ct_give_the_same_cells():
    rng = np.random.default_rng(0)
    full = rng.integers(-1000, 1500, (13, 11, 7))
    lattice = lattice_for(((13, 11, 7), (1.0, 1.0, 2.5)), 4.0)
    clipped = resample_hu(volume_of(full.clip(-125, 275), (1.0, 1.0, 2.5)), lattice)
    assert np.array_equal(clipped, resample_hu(volume_of(full, (1.0, 1.0, 2.5)), lattice))


def test_a_crop_of_the_lattice_gives_the_same_cells_as_the_whole():
    hu = np.random.default_rng(1).integers(-100, 200, (21, 17, 9))
    spacing = (0.8, 0.8, 5.0)
    volume = volume_of(hu, spacing)
    whole = resample_hu(volume, lattice_for(volume, 1.5))
    part = resample_hu(volume, lattice_for(volume, 1.5, box=((3, 2, 5), (9, 8, 25))))
    assert np.array_equal(part, whole[3:9, 2:8, 5:25])


def test_x_and_y_are_not_exchanged():
    hu = np.zeros((6, 4, 2))
    hu[4:, :2] = 100
    cells = resample_hu(volume_of(hu), lattice_for(((6, 4, 2), (1.0,) * 3), 2.0))
    assert cells[:, :, 0].tolist() == [[0, 0], [0, 0], [100, 0]]


def test_resampling_can_be_cancelled():
    with pytest.raises(Cancelled):
        resample_hu(
            volume_of(np.zeros((4, 4, 4))),
            lattice_for(((4, 4, 4), (1.0,) * 3), 2.0),
            progress=CallbackProgress(is_cancelled=lambda: True),
        )


def test_labels_go_by_the_majority_of_a_cells_voxels():
    labels = np.zeros((2, 2, 6), np.uint8)
    labels[0, 0, 0] = 1  # one of eight
    labels[:, :, 2:4] = 1
    labels[0, :, 3] = 2  # two of eight
    labels[:, :, 4] = 12
    labels[0, 0, 5] = 12  # five of eight
    lattice = lattice_for((labels.shape, (1.0,) * 3), 2.0)
    assert resample_labels(labels, (1.0,) * 3, lattice).ravel().tolist() == [0, 1, 12]


def test_a_tie_goes_to_the_higher_label():
    labels = np.array([[[0, 1, 2, 1, 0, 2]]], np.uint8)
    lattice = lattice_for((labels.shape, (1.0,) * 3), 2.0)
    assert resample_labels(labels, (1.0,) * 3, lattice).ravel().tolist() == [1, 2, 2]


def test_plurality_counts_against_the_background_alone():
    labels = np.array([[[0, 0, 1, 2, 2]]], np.uint8)
    lattice = Lattice((5.0, 5.0, 5.0), (1, 1, 1))
    assert resample_labels(labels, (1.0,) * 3, lattice).ravel().tolist() == [2]


def test_labels_on_the_voxel_lattice_come_back_as_they_are():
    labels = np.random.default_rng(2).integers(0, 14, (7, 6, 5)).astype(np.uint8)
    assert np.array_equal(resample_labels(labels, (0.7, 0.8, 3.0), voxel_lattice((7, 6, 5), (0.7, 0.8, 3.0))), labels)


def test_labels_between_thick_slices_fill_the_gap_and_crops_agree_with_the_whole():
    labels = np.zeros((8, 8, 4), np.uint8)
    labels[2:6, 3:7, 1:3] = 1
    spacing = (1.5, 1.5, 6.0)
    whole = resample_labels(labels, spacing, lattice_for((labels.shape, spacing), 1.5))
    assert whole.sum(axis=(0, 1)).tolist() == [0] * 4 + [16] * 8 + [0] * 4
    part = resample_labels(labels, spacing, lattice_for((labels.shape, spacing), 1.5, box=((4, 4, 6), (8, 8, 9))))
    assert np.array_equal(part, whole[4:8, 4:8, 6:9])
    away = lattice_for((labels.shape, spacing), 1.5, box=((0, 0, 0), (1, 1, 1)))
    assert not resample_labels(labels, spacing, away).any()


def upsampled(values, lattice, voxels):
    return np.stack([one for _, one in upsampled_slices(values, lattice, voxels)], axis=-1)


def test_probabilities_come_back_linearly_between_cell_centres():
    cells = lattice_for(((8, 2, 2), (0.5,) * 3), 2.0)
    up = upsampled(np.array([0.0, 1.0]).reshape(2, 1, 1), cells, voxel_lattice((8, 2, 2), (0.5,) * 3))
    assert np.allclose(up[:, 0, 0], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])


def test_probabilities_of_a_crop_fill_a_box_of_voxels_in_all_channels():
    rng = np.random.default_rng(3)
    shape, spacing = (12, 10, 4), (0.75, 0.75, 5.0)
    lattice = lattice_for((shape, spacing), 1.5)
    values = rng.random((2, *lattice.shape)).astype(np.float16)
    whole = upsampled(values, lattice, voxel_lattice(shape, spacing))
    part = upsampled(values, lattice, voxel_lattice(shape, spacing, ((2, 1, 1), (9, 8, 3))))
    assert part.shape == (2, 7, 7, 2)
    assert np.allclose(part, whole[:, 2:9, 1:8, 1:3], atol=1e-6)
    one = upsampled(values[1], lattice, voxel_lattice(shape, spacing))
    assert np.allclose(one, whole[1])
