"""Objects that grow around clicks."""

from __future__ import annotations

import numpy as np

from click_scene import IN_KIDNEY, IN_TUMOUR, SPACING, click_scene
from kidneyseg.editing.growth import REACH_MM, Seed, grown_objects, membership
from kidneyseg.editing.surroundings import Scene

MADE = click_scene()


def seed(voxel: tuple[int, int, int], label: int, was: int) -> Seed:
    return Seed((np.array(voxel) + 0.5) * SPACING, label, was)


def scene(seeds: list[Seed]) -> Scene:
    return Scene.of(MADE.volume, MADE.missed, None, np.array([one.at_mm for one in seeds]), REACH_MM)


def test_an_object_grows_to_its_border_and_membership_tells_inside_from_outside() -> None:
    seeds = [seed(IN_TUMOUR, 2, 1)]
    near = scene(seeds)
    (grown,) = grown_objects(near, seeds)
    assert abs(np.median(grown.radius) - 10) < 2.5
    field = membership(near, [grown], seeds)
    assert field[near.cell_of(seeds[0].at_mm)] > 0.9
    assert field[near.cell_of(seeds[0].at_mm + np.array([0, 0, 17.0]))] < 0.5


def test_clicks_of_one_label_that_are_close_make_one_object() -> None:
    seeds = [seed(IN_TUMOUR, 2, 1), seed((40, 30, 20), 2, 1)]
    assert len(grown_objects(scene(seeds), seeds)) == 1
    apart = [seed(IN_TUMOUR, 2, 1), seed((12, 30, 20), 2, 1)]
    assert len(grown_objects(scene(apart), apart)) == 2


def test_a_click_where_the_label_is_right_only_bounds_the_others() -> None:
    bound = seed(IN_KIDNEY, 1, 1)
    assert grown_objects(scene([bound]), [bound]) == []
    seeds = [seed(IN_TUMOUR, 2, 1), seed((47, 30, 20), 1, 1)]
    near = scene(seeds)
    (grown,) = grown_objects(near, seeds)
    assert membership(near, [grown], seeds)[near.cell_of(seeds[1].at_mm)] < 0.5
