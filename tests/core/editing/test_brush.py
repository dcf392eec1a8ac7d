"""The brush paints what lies within its radius of the pointer's path, and only what it may."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corrections import SHAPE, SPACING, after, ball, ct, some_labels
from kidneyseg.editing import Brush, EditedMask, paint, threshold_ball
from kidneyseg.editing.brush import Stroke
from kidneyseg.errors import SettingsError

EMPTY = np.zeros(SHAPE, np.uint8, order="F")
POINT = st.tuples(*(st.floats(-6, n + 6) for n in SHAPE))


def near_path(path: np.ndarray, radius_mm: float, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Voxels that lie within the radius for certain, and those that may by rounding: a loop over voxels' centres."""
    centres = np.stack(np.indices(SHAPE), axis=-1) * SPACING
    distance = np.full(SHAPE, np.inf)
    for start, end in zip(path[:-1] * SPACING, path[1:] * SPACING, strict=True):
        line = end - start
        share = np.clip((centres - start) @ line / max(line @ line, 1e-30), 0, 1)
        distance = np.minimum(distance, np.linalg.norm(centres - start - share[..., None] * line, axis=-1))
    in_slice = np.ones(SHAPE, bool)
    if axis is not None:
        in_slice = np.indices(SHAPE)[axis] == path[0, axis]
    return (distance < radius_mm * (1 - 1e-5)) & in_slice, (distance < radius_mm * (1 + 1e-5)) & in_slice


@settings(max_examples=40, deadline=None)
@given(st.lists(POINT, min_size=2, max_size=4), st.floats(0.1, 8), st.sampled_from([None, 0, 1, 2]))
def test_everything_within_the_radius_of_the_path_is_painted(
    points: list[tuple[float, float, float]], radius_mm: float, axis: int | None
) -> None:
    path = np.array(points)
    if axis is not None:
        path[:, axis] = SHAPE[axis] // 2
    painted = after(EMPTY, paint(ct(), EMPTY, Brush(2, radius_mm, axis), path)) == 2
    certain, possible = near_path(path, radius_mm, axis)
    assert not (certain & ~painted).any()
    # The path runs through every voxel that it paints beyond the radius.
    stops = np.concatenate([np.linspace(a, b, 400) for a, b in itertools.pairwise(path)])
    for voxel in np.argwhere(painted & ~possible):
        assert np.abs(stops - voxel).max(axis=1).min() <= 0.55
    for point in path:
        voxel = np.floor(point + 0.5).astype(int)
        if ((voxel >= 0) & (voxel < SHAPE)).all():
            assert painted[tuple(voxel)]


@pytest.mark.parametrize("axis", [None, 2])
def test_a_quick_stroke_of_a_fine_brush_has_no_gaps(axis: int | None) -> None:
    painted = after(EMPTY, paint(ct(), EMPTY, Brush(1, 0.1, axis), [(0, 0, 5), (16, 9, 5)])) == 1
    assert painted.any(axis=(1, 2)).all()
    x, y, _ = np.nonzero(painted)
    assert np.abs(np.diff(y[np.argsort(x, kind="stable")])).max() <= 1


def test_a_disc_stays_in_its_slice_and_is_round_in_mm() -> None:
    painted = after(EMPTY, paint(ct(), EMPTY, Brush(1, 2.5, 1), (8, 6.8, 5))) == 1
    assert painted.any(axis=(0, 2)).nonzero()[0].tolist() == [7]
    x, _, z = painted.nonzero()
    assert np.ptp(x) == 6  # 2.4 mm to either side at 0.8 mm
    assert np.ptp(z) == 2  # 2.5 mm at 2.5 mm: a centre on the edge belongs to the disc


@pytest.mark.parametrize("axis", [None, 0])
def test_only_what_may_be_painted_changes(axis: int | None) -> None:
    volume, labels = ct(), some_labels()
    everything = after(labels, paint(volume, labels, Brush(3, 6, axis), (8, 7, 5)))
    inside = after(EMPTY, paint(volume, EMPTY, Brush(3, 6, axis), (8, 7, 5))) == 3
    np.testing.assert_array_equal(everything, np.where(inside, 3, labels))
    bounded = Brush(3, 6, axis, hu_range=(0, 150), over=frozenset({0, 2}))
    allowed = inside & (volume.hu >= 0) & (volume.hu <= 150) & np.isin(labels, [0, 2])
    np.testing.assert_array_equal(
        after(labels, paint(volume, labels, bounded, (8, 7, 5))), np.where(allowed, 3, labels)
    )
    erased = after(labels, paint(volume, labels, Brush(0, 6, axis, over=frozenset({2})), (8, 7, 5)))
    np.testing.assert_array_equal(erased, np.where(inside & (labels == 2), 0, labels))


def test_a_stroke_in_parts_paints_the_same_as_in_one() -> None:
    volume, path = ct(), np.array([(2, 3, 5), (9, 4, 5), (12, 12, 5), (3, 11, 5)])
    mask = EditedMask(EMPTY)
    for start, end in itertools.pairwise(path):
        mask.apply(mask.painted(paint(volume, mask.labels, Brush(1, 2, 2), [start, end])))
    np.testing.assert_array_equal(mask.labels, after(EMPTY, paint(volume, EMPTY, Brush(1, 2, 2), path)))


def test_a_part_that_goes_on_passes_over_what_the_brush_has_painted() -> None:
    volume, path = ct(), [(6.0, 7.0, 5.0), (9.0, 8.5, 5.5)]
    both = after(EMPTY, paint(volume, EMPTY, Brush(1, 4), path)) == 1
    first = after(EMPTY, paint(volume, EMPTY, Brush(1, 4), path[:1])) == 1
    new = after(EMPTY, paint(volume, EMPTY, Brush(1, 4), path, continued=True)) == 1
    np.testing.assert_array_equal(new | first, both)
    assert first.sum() > 100
    assert (new & first).sum() < 8  # those under the pointer's path are always painted


@settings(max_examples=40, deadline=None)
@given(st.lists(POINT, min_size=2, max_size=5), st.floats(0.1, 8), st.sampled_from([None, 0, 1, 2]))
def test_the_parts_of_a_stroke_paint_the_same_as_one(
    points: list[tuple[float, float, float]], radius_mm: float, axis: int | None
) -> None:
    path, mask, stroke, brush = np.array(points), EditedMask(some_labels()), Stroke(), Brush(2, radius_mm, axis)
    if axis is not None:
        path[:, axis] = SHAPE[axis] // 2
    for part in (path[:1], *(path[k : k + 2] for k in range(len(path) - 1))):
        mask.apply(mask.painted(stroke.part(ct(), mask, brush, part)))
    np.testing.assert_array_equal(mask.labels, after(some_labels(), paint(ct(), some_labels(), brush, path)))


@pytest.mark.parametrize("what", ["brush", "mask", "jump"])
def test_a_part_after_something_else_looks_at_all_that_the_brush_reaches(what: str) -> None:
    mask, stroke, brush, at = EditedMask(EMPTY), Stroke(), Brush(1, 4), (8, 7, 5)
    first = mask.painted(stroke.part(ct(), mask, brush, at))
    mask.apply(first)
    if what == "brush":
        brush = Brush(2, 4)
    elif what == "mask":
        mask.revert(first)
    else:
        at = (4, 7, 5)
    mask.apply(mask.painted(stroke.part(ct(), mask, brush, [at, at])))
    assert (mask.labels[ball(at, 4)] == brush.label).all()


def test_a_drag_of_a_large_ball_takes_a_fraction_of_the_time_of_its_first_voxels() -> None:
    shape = (150, 150, 120)
    volume, mask, stroke = ct(shape, (1.0, 1.0, 1.0)), EditedMask(np.zeros(shape, np.uint8)), Stroke()
    seconds = []
    for part in ([(70, 70, 60)], *([(70 + k, 70, 60), (71 + k, 70, 60)] for k in range(9))):
        began = time.process_time()
        mask.apply(mask.painted(stroke.part(volume, mask, Brush(1, 50), part)))
        seconds.append(time.process_time() - began)
    assert np.median(seconds[1:]) < seconds[0] / 3


def test_a_range_of_hu_in_a_ball() -> None:
    volume, labels = ct(), some_labels()
    voxels = threshold_ball(volume, labels, (8, 7, 5), 6.0, (100, 300), 2, over={0, 1})
    chosen = ball((8, 7, 5), 6.0) & (volume.hu >= 100) & (labels < 2)
    np.testing.assert_array_equal(after(labels, voxels), np.where(chosen, 2, labels))


@pytest.mark.parametrize("points", [np.zeros((0, 3)), [(-40, 7, 5)], [(8, 7, 50), (8, 9, 50)]])
def test_no_path_and_a_path_outside_the_volume_change_nothing(points: Any) -> None:
    assert len(paint(ct(), EMPTY, Brush(1, 5), points)) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label": 4}, "there is no label 4"),
        ({"label": True}, "there is no label True"),
        ({"radius_mm": 0}, "brush radius must be above 0 and at most 100 mm, not 0"),
        ({"radius_mm": float("nan")}, "brush radius must be above 0"),
        ({"axis": 3}, "an axis must be 0, 1 or 2, not 3"),
        ({"hu_range": (100, 50)}, "the HU range must go from low to high, not from 100 to 50"),
        ({"over": frozenset({1, 7})}, "there is no label 7"),
    ],
)
def test_a_brush_that_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Brush(**{"label": 1, "radius_mm": 5.0, **wrong})


def test_a_disc_over_several_slices_and_labels_of_another_volume_are_refused() -> None:
    with pytest.raises(SettingsError, match="a disc paints in one slice"):
        paint(ct(), EMPTY, Brush(1, 5, 2), [(8, 7, 5), (8, 7, 6)])
    with pytest.raises(ValueError, match="uint8 labels of shape"):
        paint(ct(), EMPTY[:-1], Brush(1, 5), (8, 7, 5))
