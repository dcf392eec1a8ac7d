"""Objects far apart are filled each in its own box, with the same mask as in one."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points import fill
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.fill import fill_closing
from kidneyseg.points.resample import lattice_for
from kidneyseg.settings import FillSettings


def volume_of(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Volume:
    return Volume(np.zeros(shape, np.int16, order="F"), spacing, np.diag([*spacing, 1.0]))


def balls(volume: Volume, centres_mm: list[tuple[float, float, float]], radius_mm: float, step: float) -> PointCloud:
    """Cells in balls, with noisy probabilities and gaps; the lower half of each ball is tumour."""
    rng = np.random.default_rng(0)
    lattice = lattice_for(volume, step)
    index = []
    for centre in centres_mm:
        low = [max(int((c - radius_mm) / step), 0) for c in centre]
        cells = np.argwhere(np.ones([int(2 * radius_mm / step) + 2] * 3)) + low
        cells = cells[(cells < lattice.shape).all(axis=1)]
        inside = np.linalg.norm((cells + 0.5) * step - centre, axis=1) < radius_mm
        index.append(cells[inside & (rng.random(len(cells)) < 0.9)])
    cells = np.unique(np.concatenate(index), axis=0).astype(np.int32)
    labels = np.where(cells[:, 2] % 20 < 10, KIDNEY, TUMOUR).astype(np.uint8)
    probability = rng.dirichlet((1, 1, 1), len(cells)).astype(np.float16)
    return PointCloud(lattice, cells, np.zeros(len(cells), np.int16), labels, probability)


@pytest.mark.parametrize("closing_mm", [0.0, 2.0, 6.0])
@pytest.mark.parametrize("certain", [False, True])
@pytest.mark.parametrize("apart_mm", [14.0, 18.0, 24.0, 30.0, 40.0])
def test_boxes_give_the_mask_of_one_box(
    monkeypatch: pytest.MonkeyPatch, closing_mm: float, certain: bool, apart_mm: float
) -> None:
    volume = volume_of((70, 40, 30), (0.9, 1.1, 2.5))
    centres = [(10.0, 12.0, 20.0), (10.0 + apart_mm, 14.0, 24.0), (55.0, 36.0, 68.0)]
    cloud = balls(volume, centres, 7.0, 1.5)
    kept = cloud if certain else PointCloud(cloud.lattice, cloud.index, cloud.hu, cloud.labels)
    settings = FillSettings(closing_mm=closing_mm)
    mask = fill_closing(kept, volume, settings, context=cloud)
    monkeypatch.setattr(fill, "_parts", lambda cloud, _: [cloud])
    assert np.array_equal(mask, fill_closing(kept, volume, settings, context=cloud))
    assert set(np.unique(mask)) == {0, KIDNEY, TUMOUR}


def test_far_objects_take_neither_the_time_nor_the_memory_of_the_box_around_them() -> None:
    """On 512 x 512 x 600 voxels, closed by 20 mm; the box around both balls is nearly the volume."""
    volume = volume_of((512, 512, 600), (0.75, 0.75, 1.0))
    cloud = balls(volume, [(30.0, 30.0, 40.0), (350.0, 350.0, 550.0)], 25.0, 2.0)
    tracemalloc.start()
    start = time.process_time()
    mask = fill_closing(cloud, volume, FillSettings(closing_mm=20.0))
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert mask.any()
    assert seconds < 2.0
    assert peak < mask.nbytes + 30e6
