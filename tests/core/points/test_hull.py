import numpy as np
import pytest

from kidneyseg.points.hull import paint_hull


def painted(points, shape=(7, 5)):
    image = np.zeros(shape, np.uint8)
    first, second = np.array(points).T
    paint_hull(image, first, second, 1)
    return image


def test_triangle_on_a_slice_that_is_not_square():
    drawn = painted([(1, 0), (5, 0), (5, 4)])
    assert [row.tolist() for row in drawn[1:6]] == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
    ]
    assert not drawn[[0, 6]].any()


@pytest.mark.parametrize(
    ("points", "inside"),
    [
        ([(3, 2)], [(3, 2)]),
        ([(3, 2), (3, 2)], [(3, 2)]),
        ([(0, 0), (4, 2)], [(0, 0), (2, 1), (4, 2)]),
        ([(1, 1), (1, 4)], [(1, 1), (1, 2), (1, 3), (1, 4)]),
        ([(1, 1), (3, 1), (6, 1)], [(a, 1) for a in range(1, 7)]),
        ([(0, 4), (1, 0)], [(0, 4), (1, 0)]),
    ],
)
def test_points_and_lines_paint_themselves_only(points, inside):
    assert [tuple(row) for row in np.argwhere(painted(points))] == inside


def test_agrees_with_half_planes_on_random_points():
    from scipy.spatial import ConvexHull  # noqa: PLC0415 - the independent answer, needed here only

    rng = np.random.default_rng(0)
    for count, size in [(8, (30, 20))] * 20 + [(300, (200, 150)), (40, (200, 150)), (9000, (200, 3))]:
        a, b = np.meshgrid(*map(np.arange, size), indexing="ij")
        points = rng.integers(0, size, (count, 2))
        planes = ConvexHull(points).equations
        expected = np.all([n[0] * a + n[1] * b + n[2] <= 1e-9 for n in planes], axis=0)
        assert np.array_equal(painted(points, size) > 0, expected)
