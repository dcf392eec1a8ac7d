from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from kidneyseg_gui.views.camera import distance_to_fit, outgrown


@pytest.mark.parametrize("size", [(60, 60, 400), (400, 60, 60), (60, 400, 60), (100, 100, 100)])
@pytest.mark.parametrize("aspect", [0.4, 1.0, 2.5])
def test_the_box_fills_the_view_and_is_not_cut(size: tuple[float, float, float], aspect: float):
    distance = distance_to_fit(size, 30.0, aspect)
    half = math.tan(math.radians(15))
    corners = [
        [sign * length / 2 for sign, length in zip(signs, size, strict=True)] for signs in product((-1, 1), repeat=3)
    ]
    seen = [max(abs(z), abs(x) / aspect) / (distance - y) / half for x, y, z in corners]  # 1 at the edge of the view
    assert 0.9 < max(seen) < 1.0


@pytest.mark.parametrize(("size", "expected"), [((40, 12, 12), False), ((60, 60, 60), False), ((200, 90, 130), True)])
def test_the_camera_looks_anew_at_what_is_much_larger(size: tuple[float, float, float], expected: bool):
    assert outgrown((43, 12, 3), size) is expected


@pytest.mark.parametrize("towards", [(0.3, 1.0, 0.6), (-1.0, 0.2, 0.5), (1.0, 0.0, 0.0)])
@pytest.mark.parametrize("size", [(60, 60, 400), (400, 60, 60), (100, 100, 100)])
def test_a_box_that_is_seen_from_the_side_fills_the_view(
    size: tuple[float, float, float], towards: tuple[float, float, float]
):
    distance = distance_to_fit(size, 30.0, 1.5, towards)
    along = np.array(towards) / np.linalg.norm(towards)
    across = np.cross(along, (0, 0, 1)) / np.linalg.norm(np.cross(along, (0, 0, 1)))
    corners = np.array(list(product((-1, 1), repeat=3))) * size / 2
    depth = (distance - corners @ along) * math.tan(math.radians(15))
    seen = np.maximum(abs(corners @ np.cross(across, along)), abs(corners @ across) / 1.5) / depth
    assert 0.9 < seen.max() < 1.0
