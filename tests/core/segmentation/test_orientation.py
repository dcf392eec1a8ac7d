"""A CT whose header states a wrong orientation is read turned, and left and right are left open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contexts import context_of
from fake_networks import FakeNetwork
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.metrics import kits19_dice
from kidneyseg.points.cloud import AS_STORED, Lattice, Orientation, PointCloud
from kidneyseg.progress import Progress
from kidneyseg.segmentation import stage1
from kidneyseg.segmentation.orientation import best_orientation, plausible_orientations, turned
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import preset


def behind_and_below() -> FakeNetwork:
    """Calls kidney what is bright and lies in the back half, in the lower three quarters."""

    def rule(coords, features):
        lower = coords[:, 2] < 4 + 15  # 4 layers are repeated below the scan
        kidney = (features[:, 0] > 0.2) & (coords[:, 1] < 20) & lower
        return [~kidney, kidney]

    return FakeNetwork(1, 2, rule)


def body(front_ml: int, back_ml: int) -> PointCloud:
    """A body of 300 x 200 x 100 mm with bright boxes in the lower part, in front and behind."""
    hu = np.full((60, 40, 20), 40, np.int16)
    for ml, y in ((front_ml, slice(30, 38)), (back_ml, slice(2, 10))):
        hu[4 : 4 + ml // 10, y, 2:12] = 180
    index = np.argwhere(hu > 0).astype(np.int32)
    return PointCloud(Lattice((5.0, 5.0, 5.0), (60, 40, 20)), index, hu[tuple(index.T)])


@pytest.mark.parametrize(
    ("front_ml", "back_ml", "tried", "found_ml"),
    [(0, 300, 1, 300), (300, 0, 4, 300), (300, 100, 4, 300), (120, 100, 4, 100), (30, 0, 4, 0), (0, 0, 4, 0)],
)
def test_far_more_kidney_in_a_turned_ct_is_taken(front_ml: int, back_ml: int, tried: int, found_ml: int) -> None:
    cloud = body(front_ml, back_ml)
    network, notes = behind_and_below(), list[str]()
    found = stage1.detect_kidneys(cloud, context_of(network, note=notes.append))
    assert found.labels is not None
    assert found.labels.sum() * 0.125 == pytest.approx(found_ml, abs=1)
    assert (cloud.hu[found.labels == 1] == 180).all()
    assert network.passes == 2 * tried, "one for the CT, one for its mirror image"
    is_turned = front_ml == 300
    assert ["orientation seems wrong" in note for note in notes] == [True] * is_turned
    assert (found.orientation != AS_STORED) is is_turned


def test_little_kidney_is_not_enough_to_turn_the_ct() -> None:
    notes = list[str]()
    cloud = replace(body(0, 0), labels=np.zeros(60 * 40 * 20, np.uint8))

    def detect(orientation: Orientation, _: Progress) -> PointCloud:
        labels = np.zeros(len(cloud), np.uint8)
        labels[: 39 * 8] = 1
        return replace(cloud, labels=labels, orientation=orientation)

    assert best_orientation(cloud, detect, Progress(), notes.append) is cloud
    assert notes == []


def scan(orientation: Orientation = AS_STORED) -> PointCloud:
    """A body of 60 x 40 cells in 30 layers, in air along x and y, stored with these axes."""
    x, y, z = np.ogrid[:70, :50, :30]
    inside = ((x - 35) / 30) ** 2 + ((y - 25) / 20) ** 2 + 0 * z < 1
    stored = inside.transpose(np.argsort(np.abs(orientation)))
    index = np.argwhere(stored).astype(np.int32)
    return PointCloud(Lattice((5.0, 5.0, 5.0), stored.shape), index, np.zeros(len(index), np.int16))


@pytest.mark.parametrize("axes", [(1, 2, 3), (2, 1, 3), (1, 3, 2), (3, 2, 1), (2, 3, 1), (3, 1, 2)])
def test_plausible_orientations_bring_z_along_the_body_and_x_across(axes: Orientation) -> None:
    """Whatever axis of the file is x, y or z: all flips of y and z are tried, and no mirror image twice."""
    cloud = scan(axes)
    found = plausible_orientations(cloud)
    bodies = {orientation: turned(cloud.index, orientation) for orientation in found}
    upright = [one for one, index in bodies.items() if np.ptp(index, axis=0).tolist() == [58, 38, 29]]
    flips = {tuple(np.sign(one[1:])) for one in upright}
    assert len(flips) == len(upright) == (3 if axes == (1, 2, 3) else 4)
    assert set(found) - set(upright) <= {one for one in found if tuple(np.abs(one)) == (1, 2, 3)}
    for one in found:
        matrix = np.zeros((3, 3))
        matrix[range(3), np.abs(one) - 1] = np.sign(one)
        assert np.linalg.det(matrix) == pytest.approx(1)


def test_half_a_body_is_not_taken_for_one_turned_by_a_quarter_only() -> None:
    cloud = scan()
    half = cloud.select(cloud.index[:, 0] < 30)
    assert {(-1, 2, -3), (-1, -2, 3), (1, -2, -3)} < set(plausible_orientations(half))


@pytest.mark.parametrize("orientation", [(1, 2, -3), (3, 2, 1)], ids=["upside down", "axes z, y, x"])
def test_a_real_ct_whose_orientation_was_lost(data_dir: Path, orientation: Orientation) -> None:
    volume = load_volume(data_dir / "btcv" / "btcv0034_ct.nii.gz")
    truth, _ = load_mask(data_dir / "btcv" / "btcv0034_kidney.nii.gz")
    axes = [abs(axis) - 1 for axis in orientation]
    flip = tuple(slice(None, None, int(np.sign(axis))) for axis in orientation)
    hu, truth = (np.asfortranarray(array.transpose(axes)[flip]) for array in (volume.hu, truth))
    spacing = (volume.spacing_mm[axes[0]], volume.spacing_mm[axes[1]], volume.spacing_mm[axes[2]])
    lost = replace(volume, hu=hu, spacing_mm=spacing, affine=np.diag([*spacing, 1.0]), geometry=None)
    result = Pipeline(lost).run(preset("default"))
    assert kits19_dice(result.mask, truth)["kidney"] > 0.94
    assert [kidney.side for kidney in result.findings.kidneys] == [None, None]
    notes = " ".join(result.notes)
    assert "orientation seems wrong" in notes
    assert "left and right cannot be verified" in notes
