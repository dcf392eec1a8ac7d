import tracemalloc

import numpy as np
import pytest

from kidneyseg.errors import Cancelled
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.resample import lattice_for, voxel_lattice
from kidneyseg.points.sampling import LOWEST_HU, band_bounds, intensity_threshold, sample_bands, sample_body
from kidneyseg.progress import CallbackProgress
from kidneyseg.settings import BandSettings

BANDS = BandSettings(kept_percent=30.0, bands=3)


def volume_of(hu, spacing=(1.0, 1.0, 1.0)):
    return Volume(np.asfortranarray(hu, np.int16), spacing, np.diag([*spacing, 1.0]))


def body_cells(volume, grid_mm, kept_percent):
    return sample_body(volume, lattice_for(volume, grid_mm), kept_percent)


def is_lexicographic(index):
    return np.array_equal(np.lexsort(index.T[::-1]), np.arange(len(index)))


@pytest.mark.parametrize(("percent", "threshold"), [(10, 90), (30, 70), (100, 0), (0.01, 90), (31, 60)])
def test_threshold_keeps_at_least_the_share(percent, threshold):
    assert intensity_threshold(np.arange(0, 100, 10, dtype=np.int16).reshape(1, 2, 5), None, percent) == threshold


def test_threshold_counts_only_inside_and_ties_are_kept():
    hu = np.array([[[5, 5, 5, 5, 200, 200, -50, -60]]], np.int16)
    assert intensity_threshold(hu, hu < 100, 20) == 5
    assert intensity_threshold(hu, np.zeros(hu.shape, bool), 20) == 275


def test_threshold_is_the_same_for_the_full_range():
    hu = np.random.default_rng(0).integers(-1000, 1500, (9, 8, 7)).astype(np.int16)
    for percent in (5, 40, 80):
        assert intensity_threshold(hu, None, percent) == intensity_threshold(hu.clip(-125, 275), None, percent)


def body_volume(full_range=False):
    hu = np.full((48, 40, 16), -125)
    hu[8:40, 8:32] = -90
    hu[12:36, 12:28] = np.random.default_rng(1).integers(20, 60, (24, 16, 16))
    hu[20:24, 16:20] = 200
    if full_range:
        hu[hu == -125] = -1000
        hu[40:, :, :] = -3000
    return volume_of(hu, (2.0, 2.0, 2.0))


def test_body_cells_above_the_threshold_in_order_and_the_same_for_full_range():
    cloud = body_cells(body_volume(), 4.0, 40.0)
    assert is_lexicographic(cloud.index)
    assert cloud.index.dtype == np.int32
    assert cloud.hu.dtype == np.int16
    assert cloud.hu.min() >= 20  # the fat around is the other 60 %
    inside = (16 * 12 - 4) * 8  # the opening rounds the corners off
    assert 0.4 * inside <= len(cloud) < 0.5 * inside
    full = body_cells(body_volume(full_range=True), 4.0, 40.0)
    assert np.array_equal(full.index, cloud.index)
    assert np.array_equal(full.hu, cloud.hu)


def test_body_never_goes_below_the_lowest_hu():
    hu = np.full((32, 32, 8), -110)
    hu[8:24, 8:24] = 40
    cloud = body_cells(volume_of(hu, (2.0, 2.0, 2.0)), 4.0, 100.0)
    assert cloud.hu.min() >= LOWEST_HU
    assert len(cloud) == 8 * 8 * 4


def test_no_patient_gives_no_points():
    assert len(body_cells(volume_of(np.full((9, 9, 9), -1000)), 5.0, 65.0)) == 0


def test_bands_partition_the_brightest_voxels_in_equal_shares():
    hu = np.random.default_rng(2).permutation(np.arange(-100, 260)).reshape(10, 9, 4)
    volume = volume_of(hu)
    clouds = sample_bands(volume, BANDS)
    assert [len(cloud) for cloud in clouds] == [36, 36, 36]
    assert [int(cloud.hu.min()) for cloud in clouds] == [224, 188, 152]
    assert band_bounds(volume.hu, BANDS) == [(224, 275), (188, 223), (152, 187)]
    for cloud in clouds:
        assert is_lexicographic(cloud.index)
        assert np.array_equal(hu[tuple(cloud.index.T)], cloud.hu)
    assert len({tuple(row) for cloud in clouds for row in cloud.index}) == 108


def test_bands_of_any_memory_order_are_the_same_and_leave_the_volume_as_it_is():
    hu = np.random.default_rng(3).integers(-1000, 2000, (130, 40, 9)).astype(np.int16)
    in_c_order = Volume(hu.copy(), (1.0,) * 3, np.eye(4))
    for one, other in zip(sample_bands(in_c_order, BANDS), sample_bands(volume_of(hu), BANDS), strict=True):
        assert is_lexicographic(one.index)
        assert np.array_equal(one.index, other.index)
        assert np.array_equal(one.hu, other.hu)
    assert np.array_equal(in_c_order.hu, hu)


def test_bands_take_little_more_memory_than_their_points():
    volume = volume_of(np.random.default_rng(3).integers(-100, 260, (640, 64, 32)))
    tracemalloc.start()
    bands = sample_bands(volume, BANDS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.7 * sum(band.index.nbytes + band.hu.nbytes for band in bands)


def test_everything_above_the_window_is_in_the_brightest_band():
    hu = np.arange(-500, 500).reshape(10, 10, 10)
    clouds = sample_bands(volume_of(hu), BandSettings(60.0, bands=2))
    assert clouds[0].hu.max() == 275  # 225 voxels beyond it are clipped to it
    assert [len(cloud) for cloud in clouds] == [300, 300]


def test_ties_go_to_the_brighter_band_and_may_leave_an_empty_one():
    hu = np.zeros((10, 10, 1))
    hu[:2, :, 0] = 275  # 20 % saturated: two bands' worth
    hu[2, :, 0] = 100
    clouds = sample_bands(volume_of(hu), BANDS)
    assert [len(cloud) for cloud in clouds] == [20, 0, 10]


def test_constant_volume_is_one_band():
    assert [len(cloud) for cloud in sample_bands(volume_of(np.full((3, 4, 5), 7)), BANDS)] == [60, 0, 0]


def test_voxels_can_be_the_cells():
    volume = body_volume()
    cloud = sample_body(volume, voxel_lattice(volume.shape, volume.spacing_mm), 20.0)
    assert len(cloud) == pytest.approx(0.2 * 32 * 24 * 16, rel=0.05)
    assert np.array_equal(cloud.hu, volume.hu[tuple(cloud.index.T)])


def test_cancel():
    stop = CallbackProgress(is_cancelled=lambda: True)
    with pytest.raises(Cancelled):
        sample_bands(volume_of(np.zeros((4, 4, 4))), BANDS, progress=stop)


def test_cells_about_as_large_as_the_bodys_find_it_themselves():
    volume = body_volume()
    by_themselves = body_cells(volume, 5.0, 100.0)
    looked_up = body_cells(volume, 2.0, 100.0)
    assert len(by_themselves) * 125 == pytest.approx(len(looked_up) * 8, rel=0.25)
