from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.errors import Cancelled
from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.metrics import dice
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.clusters import cluster_cloud
from kidneyseg.points.fill import fill_closing, fill_hull
from kidneyseg.points.resample import lattice_for, resample_labels, voxel_lattice
from kidneyseg.progress import CallbackProgress
from kidneyseg.settings import FillSettings

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "btcv"
CELLS = FillSettings(closing_mm=0.0)


def volume_of(shape, spacing=(1.0, 1.0, 1.0), slice_axis=2):
    hu = np.zeros(shape, np.int16, order="F")
    return Volume(hu, spacing, np.diag([*spacing, 1.0]), slice_axis)


def cloud_of(labels, lattice, shift=(0, 0, 0)):
    """The cloud of all labelled cells of a dense array."""
    index = np.argwhere(labels).astype(np.int32) + np.array(shift, np.int32)
    found = labels[labels > 0]
    return PointCloud(lattice, index, np.zeros(len(index), np.int16), found.astype(np.uint8))


def with_certainty(cloud, certainty=1.0):
    classes = max(TUMOUR, *cloud.labels) + 1
    probability = np.full((len(cloud), classes), (1 - certainty) / (classes - 1), np.float16)
    probability[np.arange(len(cloud)), cloud.labels] = certainty
    return replace(cloud, probability=probability)


def drawing():
    labels = np.zeros((9, 7, 4), np.uint8)
    labels[2:7, 1:4, 1:3] = KIDNEY
    labels[5:8, 2:4, 2] = TUMOUR
    labels[1:3, 1:3, 1] = CYST
    return labels


@pytest.mark.parametrize("certain", [False, True])
def test_voxel_cloud_comes_back_as_it_was(certain):
    labels = drawing()
    volume = volume_of(labels.shape, (0.7, 0.9, 3.0))
    cloud = cloud_of(labels, voxel_lattice(volume.shape, volume.spacing_mm))
    mask = fill_closing(with_certainty(cloud) if certain else cloud, volume, CELLS)
    assert np.array_equal(mask, labels)
    assert mask.dtype == np.uint8
    assert mask.flags.f_contiguous


def test_voxels_take_the_label_of_their_cell():
    labels = drawing()
    volume = volume_of((18, 14, 6), (1.0, 1.0, 2.5))  # the last cells are partly outside
    lattice = lattice_for(volume, (2.0, 2.0, 4.0))
    mask = fill_closing(cloud_of(labels, lattice), volume, CELLS)
    z = [0, 0, 1, 2, 2, 3]  # centres at 1.25, 3.75, 6.25, 8.75, 11.25, 13.75 mm
    assert np.array_equal(mask, labels.repeat(2, 0).repeat(2, 1)[:, :, z])


def test_fine_cells_fill_thick_slices():
    volume = volume_of((6, 6, 3), (1.5, 1.5, 6.0))
    labels = np.zeros((6, 6, 12), np.uint8)
    labels[1:5, 1:5, 3:8] = KIDNEY  # one quarter of slice 0, all of slice 1
    mask = fill_closing(with_certainty(cloud_of(labels, lattice_for(volume, 1.5))), volume, CELLS)
    assert mask.sum(axis=(0, 1)).tolist() == [0, 16, 0]


def test_cropped_lattice_lands_where_it_belongs():
    volume = volume_of((20, 20, 20))
    crop = lattice_for(volume, 2.0, box=((3, 4, 5), (6, 7, 8)))
    one = PointCloud(crop, np.array([[1, 1, 1]], np.int32), np.zeros(1, np.int16), np.array([KIDNEY], np.uint8))
    assert [(rows.min(), rows.max()) for rows in np.nonzero(fill_closing(one, volume, CELLS))] == [
        (8, 9),
        (10, 11),
        (12, 13),
    ]


def test_probabilities_smooth_the_border_and_context_moves_it():
    volume = volume_of((16, 4, 4), (0.5, 2.0, 2.0))
    lattice = lattice_for(volume, 2.0)
    everything = PointCloud(
        lattice,
        np.array([[i, j, k] for i in range(4) for j in range(2) for k in range(2)], np.int32)[:0],
        np.zeros(0, np.int16),
    )
    index = np.argwhere(np.ones(lattice.shape, bool)).astype(np.int32)
    kidney = np.array([0.9, 0.9, 0.4, 0.0])[index[:, 0]]
    probability = np.stack([1 - kidney, kidney, 0 * kidney], axis=1).astype(np.float16)
    labels = (kidney > 0.5).astype(np.uint8)
    everything = PointCloud(lattice, index, np.zeros(len(index), np.int16), labels, probability)
    kept = everything.select(labels == KIDNEY)
    alone = fill_closing(kept, volume, CELLS)
    beside = fill_closing(kept, volume, CELLS, context=everything)
    # Cell centres at voxel 5.5 (0.9) and 9.5 (0.4, or 0 for tissue that is not in the cloud).
    assert alone[:, 0, 0].tolist() == [1] * 8 + [0] * 8
    assert beside[:, 0, 0].tolist() == [1] * 9 + [0] * 7


def test_dropped_points_of_the_context_stay_tissue():
    volume = volume_of((24, 3, 3), (0.5, 1.0, 1.0))
    lattice = lattice_for(volume, 1.0)
    labels = np.zeros(lattice.shape, np.uint8)
    labels[2:6] = KIDNEY
    everything = with_certainty(cloud_of(labels, lattice))
    kept = everything.select(everything.index[:, 0] < 5)  # its neighbour is dropped, so nothing is near it
    assert np.array_equal(fill_closing(kept, volume, CELLS, context=everything), fill_closing(kept, volume, CELLS))


def test_a_voxel_is_tumour_where_that_is_likelier_than_kidney():
    volume = volume_of((4, 3, 3))
    kidney, tumour = np.array([0.34, 0.36, 0.15, 0.55]), np.array([0.36, 0.34, 0.4, 0.45])
    index = np.argwhere(np.ones(volume.shape, bool)).astype(np.int32)
    probability = np.stack([1 - kidney - tumour, kidney, tumour], axis=1)[index[:, 0]].astype(np.float16)
    cloud = PointCloud(
        voxel_lattice(volume.shape, (1.0,) * 3), index, np.zeros(len(index), np.int16), None, probability
    )
    labels = np.array([KIDNEY, TUMOUR, TUMOUR, KIDNEY], np.uint8)[index[:, 0]]
    mask = fill_closing(replace(cloud, labels=labels), volume, CELLS)
    assert mask[:, 1, 1].tolist() == [TUMOUR, KIDNEY, TUMOUR, KIDNEY], "by share, not by label, nor from one half on"
    removed = fill_closing(replace(cloud, labels=np.full(len(index), KIDNEY, np.uint8)), volume, CELLS)
    assert (removed == KIDNEY).all(), "no cell is tumour, so no voxel is"


def test_two_class_probabilities_have_no_tumour():
    volume = volume_of((3, 3, 3))
    cloud = cloud_of(np.ones((3, 3, 3)), voxel_lattice(volume.shape, volume.spacing_mm))
    cloud = replace(cloud, probability=np.full((27, 2), 0.5, np.float16))
    assert (fill_closing(cloud, volume, CELLS) == KIDNEY).all()


def test_closing_bridges_a_gap_and_a_hole_but_not_between_kidney_and_background():
    labels = np.zeros((20, 14, 5), np.uint8)
    labels[3:17, 3:11] = KIDNEY
    labels[9] = 0  # a gap of one voxel
    labels[5, 6, 2] = 0  # a hole
    volume = volume_of(labels.shape)
    mask = fill_closing(cloud_of(labels, voxel_lattice(volume.shape, (1.0,) * 3)), volume, FillSettings(closing_mm=2.0))
    assert mask[9, 5:9, 2].all()
    assert mask[5, 6, 2] == KIDNEY
    assert not mask[:3].any()
    assert not mask[:, 11:].any()


def test_tumour_is_painted_over_kidney():
    labels = np.full((7, 7, 3), KIDNEY, np.uint8)
    labels[2:5, 2:5] = TUMOUR
    labels[3, 3, 1] = KIDNEY  # enclosed by tumour
    volume = volume_of(labels.shape)
    mask = fill_closing(cloud_of(labels, voxel_lattice(volume.shape, (1.0,) * 3)), volume, FillSettings(closing_mm=1.0))
    assert mask[3, 3, 1] == TUMOUR
    assert mask[0, 0, 0] == KIDNEY


def test_empty_clouds_give_empty_masks():
    volume = volume_of((4, 5, 6))
    lattice = voxel_lattice(volume.shape, (1.0,) * 3)
    tissue = PointCloud(lattice, np.zeros((1, 3), np.int32), np.zeros(1, np.int16), np.array([TISSUE], np.uint8))
    for cloud in (tissue, tissue.select(np.zeros(1, bool))):
        for mask in (fill_closing(cloud, volume, CELLS), fill_hull(cloud, np.zeros(len(cloud), np.int32), volume)):
            assert mask.shape == volume.shape
            assert not mask.any()


def test_clouds_without_labels_are_refused():
    cloud = PointCloud(Lattice((1.0,) * 3, (1, 1, 1)), np.zeros((0, 3), np.int32), np.zeros(0, np.int16))
    with pytest.raises(ValueError, match="labels"):
        fill_closing(cloud, volume_of((1, 1, 1)), CELLS)
    with pytest.raises(ValueError, match="labels"):
        fill_hull(cloud, np.zeros(0, np.int32), volume_of((1, 1, 1)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_hulls_per_slice_object_and_class(axis):
    plane = np.zeros((9, 12), np.uint8)
    ids = np.zeros((9, 12), np.int32)
    plane[[1, 1, 5, 5], [1, 4, 1, 4]] = KIDNEY  # corners of a box
    plane[[1, 5], [8, 8]] = KIDNEY  # another object: a line
    ids[:, 7:] = 1
    plane[[2, 4], [2, 2]] = TUMOUR  # inside the box
    labels = np.zeros((9, 12, 3), np.uint8)
    labels[:, :, 1] = plane
    labels = np.moveaxis(labels, 2, axis)
    volume = volume_of(labels.shape, (0.8, 0.7, 3.0), axis)
    cloud = cloud_of(labels, voxel_lattice(volume.shape, volume.spacing_mm))
    in_plane = np.delete(cloud.index, axis, axis=1)
    mask = np.moveaxis(fill_hull(cloud, ids[tuple(in_plane.T)], volume), axis, 2)
    expected = np.zeros((9, 12), np.uint8)
    expected[1:6, 1:5] = KIDNEY
    expected[1:6, 8] = KIDNEY
    expected[2:5, 2] = TUMOUR
    assert np.array_equal(mask[:, :, 1], expected)
    assert not mask[:, :, [0, 2]].any()


def test_one_coarse_cell_fills_its_voxels_by_hull():
    volume = volume_of((12, 12, 12), (0.5, 0.5, 1.0))
    labels = np.zeros((3, 3, 6), np.uint8)
    labels[1, 2, 3] = KIDNEY
    cloud = cloud_of(labels, lattice_for(volume, 2.0))
    mask = fill_hull(cloud, np.zeros(1, np.int32), volume)
    assert [(rows.min(), rows.max()) for rows in np.nonzero(mask)] == [(4, 7), (8, 11), (6, 7)]
    assert mask.sum() == 4 * 4 * 2


def test_fine_cells_make_hulls_on_thick_slices():
    volume = volume_of((8, 8, 2), (1.5, 1.5, 6.0))
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2, 2, :] = labels[6, 4, :] = KIDNEY
    mask = fill_hull(cloud_of(labels, lattice_for(volume, 1.5)), np.zeros(16, np.int32), volume)
    assert [tuple(row) for row in np.argwhere(mask[:, :, 0])] == [(2, 2), (4, 3), (6, 4)]
    assert np.array_equal(mask[:, :, 0], mask[:, :, 1])


def test_cancel():
    stop = CallbackProgress(is_cancelled=lambda: True)
    volume = volume_of((9, 7, 4))
    cloud = cloud_of(drawing(), voxel_lattice(volume.shape, (1.0,) * 3))
    with pytest.raises(Cancelled):
        fill_closing(cloud, volume, FillSettings(), progress=stop)
    with pytest.raises(Cancelled):
        fill_hull(cloud, np.zeros(len(cloud), np.int32), volume, progress=stop)


@pytest.mark.parametrize("case", ["btcv0027", "btcv0010"])
def test_true_labels_on_a_lattice_come_back_on_a_real_ct(case):
    path = DATA / f"{case}_kidney.nii.gz"
    if not path.exists():
        pytest.skip(f"needs {path.name} in shared/data/btcv")
    image = nib.load(path)
    truth = np.asanyarray(image.dataobj)
    used = np.flatnonzero(truth.any(axis=(0, 1)))
    truth = np.asfortranarray(truth[:, 40:-40, used[0] - 1 : used[-1] + 2], np.uint8)  # not square, and quicker
    volume = volume_of(truth.shape, tuple(float(s) for s in image.header.get_zooms()[:3]))
    lattice = lattice_for(volume, 1.5)
    cloud = cloud_of(resample_labels(truth, volume.spacing_mm, lattice), lattice)
    kept, ids = cluster_cloud(cloud, 5.0, 33)
    assert dice(fill_closing(with_certainty(kept), volume, FillSettings()), truth) > 0.98
    assert dice(fill_closing(kept, volume, FillSettings()), truth) > 0.97
    assert dice(fill_hull(kept, ids, volume), truth) > 0.93  # the renal sinus is inside the hull
