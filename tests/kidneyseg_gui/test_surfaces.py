"""Surfaces are made anew only where the mask has changed, and lie where it lies."""

from __future__ import annotations

import time

import numpy as np
import pytest

from corrections import ct
from kidneyseg.errors import Cancelled
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.progress import Progress
from kidneyseg_gui.scene import build_scene
from kidneyseg_gui.surfaces import joined, parts_of

SHAPE, SPACING = (110, 60, 40), (1.0, 1.2, 2.5)
LEFT, RIGHT = (25, 30, 20), (85, 30, 20)


def a_mask() -> tuple[Volume, np.ndarray]:
    """Two kidneys, of which the right one has a tumour and a cyst."""
    labels = np.zeros(SHAPE, np.uint8, order="F")
    axes = np.ogrid[tuple(slice(n) for n in SHAPE)]
    for centre, radius, label in ((LEFT, 18, 1), (RIGHT, 18, 1), (RIGHT, 9, 2), ((75, 30, 20), 5, 3)):
        square = sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, SPACING, strict=True))
        labels[square <= radius**2] = label
    return ct(SHAPE, SPACING), labels


def test_only_the_part_that_changed_is_made_anew() -> None:
    volume, labels = a_mask()
    first = parts_of(labels, volume, (), Progress())
    assert len(first) == 2
    assert [set(part.surfaces) for part in first] == [{KIDNEY}, {KIDNEY, TUMOUR, CYST}]
    labels[LEFT] = TUMOUR
    again = parts_of(labels, volume, first, Progress())
    assert again[0] is not first[0]
    assert again[1] is first[1]
    assert again[0].labels[tuple(c - side.start for c, side in zip(LEFT, again[0].box, strict=True))] == TUMOUR


def test_a_scene_after_an_edit_is_the_one_from_nothing() -> None:
    volume, labels = a_mask()
    before = build_scene(labels, None, None, volume, Progress())
    labels[20:30, 28:33, 18:24] = TUMOUR
    labels[100:104, 5:9, 2:5] = CYST
    edited, fresh = (build_scene(labels, None, scene, volume, Progress()) for scene in (before, None))
    assert edited.focus == fresh.focus
    for one, two in zip(
        (*edited.surfaces.values(), edited.kidneys_alone), (*fresh.surfaces.values(), fresh.kidneys_alone), strict=True
    ):
        np.testing.assert_array_equal(one.points, two.points)
        np.testing.assert_array_equal(one.point_data["Normals"], two.point_data["Normals"])
    assert edited.surfaces[KIDNEY].n_points > before.surfaces[KIDNEY].n_points


@pytest.mark.parametrize("label", [TUMOUR, CYST])
def test_a_surface_encloses_the_volume_of_its_voxels(label: int) -> None:
    volume, labels = a_mask()
    surface = joined(part.surfaces.get(label) for part in parts_of(labels, volume, (), Progress()))
    assert surface.volume == pytest.approx(np.count_nonzero(labels == label) * volume.voxel_ml * 1000, rel=0.4)
    index = np.argwhere(labels == label)
    low, high = (index.min(axis=0) * SPACING, (index.max(axis=0) + 1) * SPACING)
    assert np.array(surface.bounds)[::2] == pytest.approx(low, abs=2.5)
    assert np.array(surface.bounds)[1::2] == pytest.approx(high, abs=2.5)


def test_the_focus_is_the_middle_of_the_largest_tumour() -> None:
    volume, labels = a_mask()
    labels[LEFT] = TUMOUR
    assert build_scene(labels, None, None, volume, Progress()).focus == pytest.approx(RIGHT, abs=1)
    assert build_scene((labels == KIDNEY).view(np.uint8), None, None, volume, Progress()).focus == LEFT


def test_a_cancelled_scene_ends_before_its_surfaces() -> None:
    class Stopped(Progress):
        def check(self) -> None:
            raise Cancelled

    volume, labels = a_mask()
    with pytest.raises(Cancelled):
        parts_of(labels, volume, (), Stopped())


def test_an_edit_of_one_of_many_parts_takes_a_fraction_of_the_time_of_all() -> None:
    labels = np.zeros((300, 60, 40), np.uint8, order="F")
    for k in range(5):
        labels[10 + 60 * k : 40 + 60 * k, 10:50, 5:35] = KIDNEY
    volume, scene, seconds = ct(labels.shape, (1.0, 1.0, 1.0)), None, []
    for k in range(21):  # many, since other work on the machine slows single ones
        labels[20, 20, 10 + k] = TUMOUR
        began = time.process_time()
        scene = build_scene(labels, None, scene, volume, Progress())
        seconds.append(time.process_time() - began)
    assert min(seconds[1:]) < seconds[0] / 2
