"""The method `default`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fake_networks import FakeNetwork
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.resample import lattice_for
from kidneyseg.progress import Progress
from kidneyseg.segmentation.default import Default
from kidneyseg.segmentation.method import Context
from kidneyseg.segmentation.networks import Networks, load_networks
from kidneyseg.segmentation.stage2 import region_points
from kidneyseg.settings import Settings, preset
from tiny_networks import tiny_models
from volumes import abdomen


def bright(channels: int, classes: int, logit: float) -> FakeNetwork:
    """Calls kidney what is brighter than 100 HU; with a tenth of the logit by a probability of .55."""

    def rule(_coords, features):
        kidney = features[:, 0] * 200 + 75 > 100
        return [~kidney, kidney * logit, *[~kidney & kidney] * (classes - 2)]

    return FakeNetwork(channels, classes, rule)


def context(volume: Volume, settings: Settings) -> Context:
    models = [
        Model(bright(channels, classes, logit), "net", "net-1", {"grid_mm": grid_mm})
        for channels, classes, grid_mm, logit in ((1, 2, 5.0, 1.0), (2, 3, 2.0, 0.1))
    ]
    return Context(volume, settings, Networks(*models), "cpu", Progress())


@pytest.mark.parametrize("margin_mm", [0.0, 4.0, 10.0])
def test_stage2_sees_all_within_the_margin(margin_mm: float) -> None:
    """And no more, since it is not sure of the kidney, which otherwise its region would follow."""
    volume, _ = abdomen()
    settings = preset("default").with_(stage2={"margin_mm": margin_mm})
    given, by = context(volume, settings), Default()
    detections = by.stage1(given, by.sample(given))
    expected = region_points(detections[0], volume, lattice_for(volume, 2.0), margin_mm)
    assert np.array_equal(by.stage2(given, detections).index, expected.index)
    assert np.array_equal(by.stage2_points(detections[0], volume, settings, expected.lattice).index, expected.index)
    # Both balls with the margin around them.
    assert len(expected) * 0.008 == pytest.approx(2 * 4.19e-3 * (26 + margin_mm) ** 3, rel=0.3)


def test_bundled_networks_fit_and_tiny_ones_too(tmp_path: Path) -> None:
    for folder in (None, tiny_models(tmp_path)):
        Default().check(load_networks("default", folder))


def test_objects_are_kidneys_without_small_tumours() -> None:
    volume, _ = abdomen()
    lattice = lattice_for(volume, 2.0)
    labels = np.zeros(lattice.shape, np.uint8)
    labels[10:30, 10:30, 10:30] = KIDNEY
    labels[12:15, 12:15, 12:15] = TUMOUR  # 0.2 mL
    labels[20:28, 20:28, 20:28] = TUMOUR  # 4.1 mL
    labels[60:70, 60:70, 40:50] = TUMOUR  # on no kidney
    labels[80, 10, 10] = KIDNEY  # an outlier
    index = np.argwhere(labels).astype(np.int32)
    values = labels[tuple(index.T)]
    cloud = PointCloud(lattice, index, np.zeros(len(index), np.int16), values, np.eye(3, dtype=np.float16)[values])
    objects, ids = Default().cluster(context(volume, preset("default")), cloud)
    assert len(objects) == len(ids) == 20**3
    assert (np.asarray(objects.labels) == TUMOUR).sum() == 8**3
