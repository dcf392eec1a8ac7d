from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fakes import FakePipeline, make_volume
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.progress import Progress
from kidneyseg.settings import preset
from kidneyseg_gui.scene import build_scene
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_without_a_tumour_the_larger_kidney_is_looked_at_first():
    volume = make_volume()
    result = FakePipeline(volume).run(preset("default"))
    mask = (result.mask > 0).astype(np.uint8)
    mask[:24, :, :12] = 0
    assert build_scene(mask, result, None, volume, Progress()).focus == pytest.approx((34, 16, 12), abs=1)
    assert build_scene(np.zeros_like(mask), result, None, volume, Progress()).focus is None


def test_the_clouds_of_the_same_result_are_made_once():
    volume = make_volume()
    result = FakePipeline(volume).run(preset("default"))
    first = build_scene(result.mask, result, None, volume, Progress())
    again = build_scene(np.minimum(result.mask, 1), result, first, volume, Progress())
    assert again.clouds is first.clouds
    assert set(first.surfaces) == {1, 2}
    assert set(again.surfaces) == {1}
    other = FakePipeline(volume).run(preset("default"))
    assert build_scene(other.mask, other, first, volume, Progress()).clouds is not first.clouds
    assert build_scene(result.mask, None, first, volume, Progress()).clouds == {}


def test_surfaces_lie_where_the_mask_lies(window: WindowFixture):
    window.open()
    window.segment()
    low_high = window.case.scene.surfaces[1].GetBounds()
    filled = (window.case.mask > 0).nonzero()
    for axis, step in enumerate(window.case.volume.spacing_mm):
        assert low_high[2 * axis] == pytest.approx(filled[axis].min() * step, abs=2.5)
        assert low_high[2 * axis + 1] == pytest.approx((filled[axis].max() + 1) * step, abs=2.5)


def test_a_kidney_whose_tumour_is_hidden_has_a_hollow_there(window: WindowFixture):
    window.open()
    window.segment()
    scene, voxel_mm3 = window.case.scene, 1000 * window.case.volume.voxel_ml
    whole, alone = (scene.surfaces_of(shown)[KIDNEY].volume for shown in ({KIDNEY, TUMOUR}, {KIDNEY}))
    assert whole - alone == pytest.approx(np.count_nonzero(window.case.mask == TUMOUR) * voxel_mm3, rel=0.3)
    assert set(scene.surfaces_of({TUMOUR})) == {TUMOUR}
    assert set(replace(scene, kidneys_alone=None).surfaces_of({KIDNEY})) == set()


def test_surfaces_have_normals_and_so_look_smooth(window: WindowFixture):
    window.open()
    window.segment()
    assert all("Normals" in surface.point_data for surface in window.case.scene.surfaces.values())


def surface_of(inside: np.ndarray, spacing_mm: tuple[float, float, float]):
    volume = make_volume(inside.shape, spacing_mm)
    return build_scene(inside.astype(np.uint8), None, None, volume, Progress()).surfaces[KIDNEY]


@pytest.mark.parametrize("radius_mm", [0.5, 3.0, 8.0])
@pytest.mark.parametrize("thickness_mm", [0.5, 1.0, 3.0])
def test_a_stroke_on_one_slice_is_seen_where_it_lies(thickness_mm: float, radius_mm: float):
    spacing = (0.8, 0.8, thickness_mm)
    x, y, z = np.ogrid[:60, :60, :40]
    stroke = (((x - 30) * 0.8) ** 2 + ((y - 30) * 0.8) ** 2 <= radius_mm**2) & (z == 20)
    low_high = surface_of(stroke, spacing).GetBounds()
    for axis in (0, 1):
        assert low_high[2 * axis] == pytest.approx(30.5 * 0.8 - radius_mm, abs=2.5)
        assert low_high[2 * axis + 1] == pytest.approx(30.5 * 0.8 + radius_mm, abs=2.5)
    assert sum(low_high[4:]) / 2 == pytest.approx(20.5 * thickness_mm, abs=1.5)


def test_a_stroke_beside_a_kidney_does_not_change_the_kidneys_surface():
    x, y, z = np.ogrid[:60, :60, :40]
    kidney = (((x - 20) * 0.8 / 12) ** 2 + ((y - 30) * 0.8 / 14) ** 2 + ((z - 20) / 15) ** 2) < 1
    stroke = (x > 48) & (x < 55) & (abs(y - 30) < 5) & (z == 20)
    alone, both = surface_of(kidney, (0.8, 0.8, 1.0)), surface_of(kidney | stroke, (0.8, 0.8, 1.0))
    assert both.volume > alone.volume
    assert alone.GetBounds()[1] < 30 < both.GetBounds()[1]
    near = both.points[both.points[:, 0] < 32]
    assert near.min(axis=0) == pytest.approx(alone.points.min(axis=0), abs=0.8)
    assert near.max(axis=0) == pytest.approx(alone.points.max(axis=0), abs=0.8)


def test_the_clouds_are_the_steps_of_the_method():
    volume = make_volume()
    result = FakePipeline(volume).run(preset("paper"))
    scene = build_scene(result.mask, result, None, volume, Progress())
    counts = {name: {label: len(dots) for label, dots in cloud.items()} for name, cloud in scene.clouds.items()}
    labels = [int((result.stage2.labels == label).sum()) for label in range(3)]
    assert counts["sampled"] == {0: len(result.sampled)}, "no network has seen these"
    assert counts["detected"] == {KIDNEY: labels[KIDNEY] + labels[TUMOUR]}
    assert counts["classes"] == dict(enumerate(labels))
    assert counts["objects"] == {KIDNEY: labels[KIDNEY], TUMOUR: labels[TUMOUR]}
    assert set(scene.points) == set(scene.clouds)
    again = build_scene(result.mask, result, scene, volume, Progress())
    assert again.points is scene.points
    kidney = (13, 16, 12)
    assert scene.points["objects"].on_slice(2, kidney[2], volume)[kidney[:2]] == KIDNEY
