"""Objects grown around seeds."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.editing.growth import Seed, grown_objects, membership
from kidneyseg.editing.surroundings import Scene
from kidneyseg.imaging.labels import KIDNEY, TISSUE, TUMOUR
from kidneyseg.metrics import dice
from lesion_phantom import SPACING, TUMOUR_AT, lesion_phantom

AT = (np.array(TUMOUR_AT) + 0.5) * SPACING


@pytest.fixture(scope="module")
def scene() -> Scene:
    volume, truth = lesion_phantom()
    return Scene.of(volume, np.minimum(truth, KIDNEY), None, AT[None], 40)


def seed(offset_mm: tuple[float, float, float], label: int = TUMOUR, was: int = KIDNEY) -> Seed:
    return Seed(AT + offset_mm, label, was)


def test_seeds_of_one_label_that_are_close_grow_one_object(scene: Scene) -> None:
    seeds = [seed((0, 0, 0)), seed((4, 0, 0)), seed((0, 0, 35)), seed((-15, 0, 0), KIDNEY)]
    objects = grown_objects(scene, seeds)
    assert [len(grown.seeds) for grown in objects] == [2, 1]
    assert not grown_objects(scene, [seed((0, 0, 0), KIDNEY)])


def test_the_surface_is_that_of_the_tumour_and_its_centre_moves_there(scene: Scene) -> None:
    (grown,) = grown_objects(scene, [seed((-4, 0, 0))])
    assert np.median(grown.radius) == pytest.approx(10, abs=1.5)
    assert np.linalg.norm(grown.centre - AT) < 3


def test_another_click_bounds_the_object(scene: Scene) -> None:
    first, beside = seed((0, 0, 0)), seed((6, 0, 0), KIDNEY)
    (alone,), (bounded,) = grown_objects(scene, [first]), grown_objects(scene, [first, beside])
    own, other = membership(scene, [alone], [first]), membership(scene, [bounded], [first, beside])
    cell = scene.cell_of(beside.at_mm)
    assert own[cell] > 0.5 > other[cell]


def test_a_piece_that_the_mask_has_wrong_is_found_by_its_label(scene: Scene) -> None:
    """HU alone would not part the ball, which is labelled tumour, from the fat around it."""
    base = np.zeros_like(scene.base)
    axes = [scene.cells.axis_centres_mm(axis) for axis in range(3)]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    at = np.array([12.0, 12.0, 45.0])
    wrong = np.linalg.norm(centres - at, axis=-1) < 8
    base[wrong] = TUMOUR
    marked = Scene(scene.cells, scene.hu, scene.sharp_hu, base, scene.around, None)
    seeds = [Seed(at, TISSUE, TUMOUR)]
    inside = membership(marked, grown_objects(marked, seeds), seeds) > 0.5
    assert dice(inside, wrong) > 0.85
