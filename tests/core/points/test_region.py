"""Which cells stage 2 sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kidneyseg.imaging.labels import KIDNEY, TISSUE
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.region import cells_beyond_margin, grown, regions_around, surface_distance_mm

COARSE = Lattice((5.0, 5.0, 5.0), (36, 12, 12))
VOLUME = Volume(np.zeros((180, 60, 60), np.int16), (1.0,) * 3, np.eye(4))


def cells(*boxes: tuple[slice, slice, slice]) -> PointCloud:
    labels = np.zeros(COARSE.shape, np.uint8)
    for box in boxes:
        labels[box] = KIDNEY
    index = np.argwhere(np.ones(COARSE.shape, bool)).astype(np.int32)
    return PointCloud(COARSE, index, np.zeros(len(index), np.int16), labels.reshape(-1))


def box(x: slice) -> tuple[slice, slice, slice]:
    return x, slice(4, 8), slice(4, 8)


@pytest.mark.parametrize("margin_mm", [0.0, 5.0, 7.5, 10.0])
def test_a_region_ends_at_its_margin(margin_mm: float) -> None:
    (region,) = regions_around(cells(box(slice(10, 14))), VOLUME, 1.0, margin_mm)
    inside = np.argwhere(region.inside) + np.asarray(region.lattice.origin_mm) + 0.5
    middle = inside[(np.abs(inside[:, 1:] - 30) < 5).all(1)]
    # Cell centres lie half a millimetre off their faces.
    assert middle[:, 0].min() == pytest.approx(50 - margin_mm, abs=0.51)
    assert middle[:, 0].max() == pytest.approx(70 + margin_mm, abs=0.51)
    detected = np.argwhere(region.detected) + np.asarray(region.lattice.origin_mm) + 0.5
    assert (detected.min(0).tolist(), detected.max(0).tolist()) == ([50.5, 20.5, 20.5], [69.5, 39.5, 39.5])


def test_detections_apart_make_disjoint_regions_in_order() -> None:
    one, two = regions_around(cells(box(slice(20, 24)), box(slice(4, 8))), VOLUME, 2.0, 10.0)
    assert one.lattice.origin_mm < two.lattice.origin_mm
    assert one.key != two.key
    assert len(regions_around(cells(box(slice(20, 24)), box(slice(12, 16))), VOLUME, 2.0, 10.0)) == 1, "20 mm apart"


def test_without_detections_there_is_no_region() -> None:
    assert regions_around(cells(), VOLUME, 2.0, 10.0) == []
    plain = cells(box(slice(4, 8)))
    with pytest.raises(ValueError, match="labels"):
        regions_around(PointCloud(COARSE, plain.index, plain.hu), VOLUME, 2.0, 10.0)


@pytest.mark.parametrize("step", [5.0, np.array([5.0, 5.0, 5.0])])
def test_distance_counts_from_the_surface(step: Any) -> None:
    detected = np.zeros((7, 3, 3), bool)
    detected[3] = True
    assert surface_distance_mm(detected, step)[:, 1, 1].tolist() == [12.5, 7.5, 2.5, -2.5, 2.5, 7.5, 12.5]


def test_little_tumour_at_the_border_does_not_extend_the_region() -> None:
    detections = cells(box(slice(2, 6)))
    tumour = np.argwhere(np.ones((5, 5, 2), bool)) * 2.0 + (30 + 9.0, 25.0, 25.0)
    assert len(cells_beyond_margin(detections, tumour, 0.008, 10.0)) == 0, "0.4 mL"
    more = cells_beyond_margin(detections, np.repeat(tumour, 4, axis=0), 0.008, 10.0)
    assert len(more) > 0
    assert len(cells_beyond_margin(detections, tumour[:0], 0.008, 10.0)) == 0
    larger = grown(detections, more)
    assert len(larger) == (np.asarray(detections.labels) != TISSUE).sum() + len(more)
