"""The published method."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from kidneyseg.imaging.labels import KIDNEY, TISSUE, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.resample import voxel_lattice
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.default import Default
from kidneyseg.segmentation.method import Context
from kidneyseg.segmentation.networks import Networks
from kidneyseg.segmentation.paper import Paper
from kidneyseg.settings import Settings, preset
from kidneyseg.sparse import SparseUNet, memory, native

VOLUME = Volume(np.zeros((40, 20, 20), np.int16), (2.0,) * 3, np.eye(4))


def context(settings: Settings) -> Context:
    model = Model(SparseUNet(3, 3, [4, 4]).arrays, "net", "net-1", {"grid_mm": 2.0})
    return Context(VOLUME, settings, Networks(model, model), "cpu", Progress())


def tumour_on_kidney() -> PointCloud:
    labels = np.zeros(VOLUME.shape, np.uint8)
    labels[2:20, 2:18, 2:18] = KIDNEY
    labels[20:28, 2:18, 2:18] = TUMOUR
    index = np.argwhere(np.ones(VOLUME.shape, bool)).astype(np.int32)
    lattice = voxel_lattice(VOLUME.shape, VOLUME.spacing_mm)
    probability = np.eye(3, dtype=np.float16)[labels.reshape(-1)]
    return PointCloud(lattice, index, np.zeros(len(index), np.int16), labels.reshape(-1), probability)


def test_classes_are_clustered_separately_and_in_default_together() -> None:
    settings = preset("paper").with_(clusters={"min_samples": 20, "eps_mm": 5.0})
    objects, ids = Paper().cluster(context(settings), tumour_on_kidney())
    assert len(objects) == (np.asarray(tumour_on_kidney().labels) != TISSUE).sum()
    assert np.array_equal(ids, np.asarray(objects.labels) - 1)
    _, together = Default().cluster(context(preset("default")), tumour_on_kidney())
    assert set(together.tolist()) == {0}


def test_all_clusters_stay_where_default_keeps_kidneys_only() -> None:
    cloud = tumour_on_kidney()
    alone = cloud.select(np.asarray(cloud.labels) != KIDNEY)
    settings = preset("paper").with_(clusters={"min_samples": 20, "eps_mm": 5.0})
    assert len(Paper().cluster(context(settings), alone)[0]) == 8 * 16 * 16
    assert len(Default().cluster(context(preset("default")), alone)[0]) == 0


def test_stage2_sees_what_stage1_called_kidney() -> None:
    cloud = tumour_on_kidney()
    points = Paper().stage2_points(cloud, VOLUME, preset("paper"), cloud.lattice)
    assert np.array_equal(points.index, cloud.index[np.asarray(cloud.labels) == KIDNEY])
    labelled = Paper().stage2(context(preset("paper")), [cloud])
    assert np.array_equal(labelled.index, points.index)


@pytest.mark.parametrize(("info", "kept"), [({}, 0.5), ({"kept_probability": 0.2}, 0.2)])
def test_stage_1_keeps_what_its_network_says(
    info: dict[str, float], kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    kidney = np.linspace(0, 1, 1000, dtype=np.float16)
    monkeypatch.setattr(networks, "predict", lambda *_: np.column_stack([1 - kidney, kidney]))
    model = Model(SparseUNet(3, 2, [4, 4]).arrays, "net", "net-1", info)
    given = Context(VOLUME, preset("paper"), Networks(model, model), "cpu", Progress())
    index = np.argwhere(np.ones((10, 10, 10), bool)).astype(np.int32)
    band = PointCloud(voxel_lattice(VOLUME.shape, VOLUME.spacing_mm), index, np.zeros(1000, np.int16))
    [detections] = Paper().stage1(given, [band])
    assert np.array_equal(detections.labelled(KIDNEY), kidney >= np.float32(kept))
    points = Paper().stage2_points(detections, VOLUME, preset("paper"), band.lattice)
    assert np.array_equal(points.index, index[kidney >= np.float32(kept)])
    assert points.probability is None


@pytest.mark.skipif(not native.available(), reason=native.reason())
def test_bands_take_no_more_memory_than_the_largest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(SparseUNet(3, 2, [16, 16]).arrays, "net", "net-1", {})
    volume = Volume(np.zeros((128, 128, 20), np.int16), (1.0,) * 3, np.eye(4))
    given = Context(volume, preset("paper"), Networks(model, model), "cpu", Progress())
    every = np.argwhere(np.ones(volume.shape, bool)).astype(np.int32)
    lattice = voxel_lattice(volume.shape, volume.spacing_mm)
    bands = [PointCloud(lattice, every[:n], np.zeros(n, np.int16)) for n in (320_000, 240_000, 180_000, 140_000)]
    monkeypatch.setattr(memory, "_idle", type(memory._idle)(list))

    def peak(part: list[PointCloud]) -> int:
        memory.release()
        tracemalloc.start()
        labelled = Paper().stage1(given, part)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        results = sum(band.labels.nbytes + band.probability.nbytes for band in labelled)  # type: ignore[union-attr]
        return found - results

    assert peak(bands) < 1.05 * peak(bands[:1])
