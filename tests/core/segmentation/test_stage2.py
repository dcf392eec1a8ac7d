"""Stage 2 of the method `default`: what it sees, and how it follows a tumour beyond the detections' surroundings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contexts import context_of
from fake_networks import FakeNetwork
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.resample import lattice_for, resample_hu
from kidneyseg.progress import CallbackProgress, Progress
from kidneyseg.segmentation.stage2 import region_points, separate_tumour

MARGIN_MM = 10.0
COARSE = Lattice((5.0, 5.0, 5.0), (36, 12, 12))


def by_hu() -> FakeNetwork:
    """Calls tumour what is over 75 HU but not over 150, kidney what is brighter."""

    def rule(_coords, features):
        hu = features[:, 0] * 200 + 75
        return [hu <= 75, hu > 150, (hu > 75) & (hu <= 150)]

    return FakeNetwork(1, 3, rule)


def body(end: int) -> tuple[Volume, PointCloud]:
    """A kidney at x < 30 mm, detected by stage 1, with a tumour of 20 x 20 mm across from it to `end` mm."""
    hu = np.full((90, 30, 30), 20, np.int16, order="F")
    hu[15 : end // 2, 10:20, 10:20] = 110
    hu[5:15, 8:22, 8:22] = 190
    found = np.argwhere(np.ones((4, 6, 6), bool)) + np.array([2, 3, 3])
    cloud = PointCloud(
        COARSE, found.astype(np.int32), np.full(len(found), 190, np.int16), np.ones(len(found), np.uint8)
    )
    return Volume(hu, (2.0, 2.0, 2.0), np.diag([2.0, 2.0, 2.0, 1.0])), cloud


def labelled(end: int, progress: Progress | None = None) -> tuple[np.ndarray, int]:
    volume, detections = body(end)
    network = by_hu()
    cloud = separate_tumour(detections, MARGIN_MM, context_of(network, volume, grid_mm=2.0, progress=progress))
    mask = np.zeros(volume.shape, np.uint8)
    mask[tuple(cloud.index.T)] = cloud.labels
    assert len(np.unique(cloud.index, axis=0)) == len(cloud)
    return mask, network.passes


@pytest.mark.parametrize(("end", "passes"), [(36, 2), (60, 8), (76, 10)])
def test_a_tumour_is_followed_as_far_as_it_goes(end: int, passes: int) -> None:
    mask, made = labelled(end)
    truth = body(end)[0].hu == 110
    assert (mask[truth] == TUMOUR).mean() > 0.95
    assert made == passes
    assert (mask[5:15, 8:22, 8:22] == KIDNEY).all()


@pytest.mark.parametrize(("logit", "followed"), [(1.0, True), (0.1, False)])
def test_a_kidney_is_followed_where_stage2_is_sure_of_it(logit: float, followed: bool) -> None:
    """Stage 1 detects 30 of 80 mm. A tenth of the fake network's logit is a probability of .55."""
    volume, detections = body(30)
    volume.hu[15:40, 8:22, 8:22] = 190

    def rule(_coords, features):
        kidney = features[:, 0] * 200 + 75 > 150
        return [~kidney, kidney * logit, 0 * kidney]

    network = FakeNetwork(1, 3, rule)
    cloud = separate_tumour(detections, MARGIN_MM, context_of(network, volume, grid_mm=2.0))
    found = np.zeros(volume.shape, bool)
    found[tuple(cloud.index[cloud.labelled(KIDNEY)].T)] = True
    assert found[5:18, 8:22, 8:22].all()
    assert found[5:40, 8:22, 8:22].all() == followed
    assert (network.passes > 2) == followed


def test_no_end_of_growth_is_waited_for() -> None:
    mask, made = labelled(170)
    assert made == 12
    reached = np.flatnonzero((mask == TUMOUR).any(axis=(1, 2))).max() * 2
    assert 75 < reached < 100


def test_progress_only_goes_forward() -> None:
    shares: list[float] = []
    labelled(78, CallbackProgress(lambda _, share: shares.append(share)))
    assert shares == sorted(shares)
    assert shares[-1] <= 1


def test_it_sees_all_cells_within_the_margin_that_are_bright_enough() -> None:
    volume, detections = body(30)
    volume.hu[:, 12, 12] = -1000
    detections = replace(detections, hu=np.zeros(len(detections), np.int16))
    points = region_points(detections, volume, lattice_for(volume, 2.0), MARGIN_MM)
    row = points.index[(points.index[:, 1] == 15) & (points.index[:, 2] == 15), 0]
    assert (row.min(), row.max()) == (0, 19), "from the volume's edge to 40 mm, 10 from the detections' surface"
    assert not ((points.index[:, 1] == 12) & (points.index[:, 2] == 12)).any()


def test_cells_far_darker_than_all_of_stage1_are_left_out() -> None:
    volume, detections = body(30)
    lattice = lattice_for(volume, 2.0)
    darkest = int(resample_hu(volume, lattice).min())
    for stage1_hu, all_seen in ((darkest + 100, True), (darkest + 101, False)):
        stage1 = replace(detections, hu=np.full(len(detections), stage1_hu, np.int16))
        seen = region_points(stage1, volume, lattice, MARGIN_MM)
        assert (int(seen.hu.min()) == darkest) == all_seen


def test_without_detections_nothing_is_labelled() -> None:
    volume, detections = body(30)
    nothing = replace(detections, labels=np.zeros(len(detections), np.uint8))
    cloud = separate_tumour(nothing, MARGIN_MM, context_of(by_hu(), volume, grid_mm=2.0))
    assert cloud.probability is not None
    assert (len(cloud), cloud.probability.shape, cloud.lattice.step_mm) == (0, (0, 3), (2.0, 2.0, 2.0))


@pytest.mark.parametrize("axis", [0, 2])
def test_the_scans_ends_are_repeated_outward_for_the_network_alone(axis: int) -> None:
    """Of a block that fills the scan along the slices, the network sees more; the result has the scan's own cells."""
    hu = np.full((30, 30, 30), 190, np.int16, order="F")
    volume = Volume(hu, (2.0, 2.0, 2.0), np.diag([2.0, 2.0, 2.0, 1.0]), slice_axis=axis)
    found = np.argwhere(np.ones((12, 12, 12), bool)).astype(np.int32)
    lattice = Lattice((5.0, 5.0, 5.0), (12, 12, 12))
    detections = PointCloud(lattice, found, np.full(len(found), 190, np.int16), np.ones(len(found), np.uint8))
    seen: list[np.ndarray] = []

    def rule(coords, features):
        seen.append(np.asarray(coords))
        return [features[:, 0] < 0, features[:, 0] >= 0, features[:, 0] > 9]

    cloud = separate_tumour(detections, MARGIN_MM, context_of(FakeNetwork(1, 3, rule), volume, grid_mm=2.0))
    assert len(cloud) == 30**3
    assert (cloud.labels == KIDNEY).all()
    assert cloud.index.min() == 0
    assert cloud.index.max() == 29
    extent = np.ptp(next(coords for coords in seen if len(coords))[:, :3], axis=0) + 1
    assert extent.tolist() == [50 if i == axis else 30 for i in range(3)]
