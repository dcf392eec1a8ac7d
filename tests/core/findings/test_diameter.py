import numpy as np
import pytest

from kidneyseg.findings import longest_diameter_mm

SPACING = (2.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 1, 1), 4.0),  # the longest edge
        ((5, 1, 1), 10.0),
        ((1, 1, 3), 12.0),
        ((4, 4, 1), np.hypot(6, 6) + 2 * np.sqrt(2)),
    ],
)
def test_longest_diameter_of_boxes(shape, expected):
    assert longest_diameter_mm(np.ones(shape, bool), SPACING) == pytest.approx(expected)


def test_longest_diameter_of_nothing_a_large_ball_and_a_large_disc():
    assert longest_diameter_mm(np.zeros((3, 3, 3), bool), SPACING) == 0.0
    x, y, z = np.ogrid[-40:41, -40:41, -20:21]
    ball = (x * 1.0) ** 2 + (y * 1.0) ** 2 + (z * 2.0) ** 2 <= 40**2
    assert longest_diameter_mm(ball, (1.0, 1.0, 2.0)) == pytest.approx(81.5, abs=1.0)
    disc = np.zeros((900, 900, 1), bool)
    disc[:, :, 0] = np.ogrid[-450:450] ** 2 + (np.ogrid[-450:450] ** 2)[:, None] <= 449**2
    assert longest_diameter_mm(disc, (1.0, 1.0, 1.0)) == pytest.approx(899.5, abs=1.0)
