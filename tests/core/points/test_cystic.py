"""Lesions that hold fluid are tumours or cysts as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.cystic import label_cystic_lesions

PROBABILITY = {CYST: [0.05, 0.05, 0.2, 0.7], TUMOUR: [0.0, 0.05, 0.9, 0.05], KIDNEY: [0.0, 1.0, 0.0, 0.0]}
SHAPE, CENTRE = (60, 40, 40), (20.0, 20.0, 20.0)


def lesion(fluid_mm: float, wall_mm: float, *, lump_mm: float = 0.0) -> PointCloud:
    """A ball of fluid with a wall of tumour in a block of kidney, on 2 mm cells.

    Beside it, along x, another cyst, and a lump of tumour that the wall reaches.
    """
    index = np.indices(SHAPE).reshape(3, -1).T.astype(np.int32)
    from_centre = 2.0 * np.linalg.norm(index - CENTRE, axis=1)
    from_lump = 2.0 * np.linalg.norm(index - (CENTRE[0] + (fluid_mm + wall_mm + 0.7 * lump_mm) / 2, 20.0, 20.0), axis=1)
    labels = np.full(len(index), KIDNEY, np.uint8)
    labels[(from_centre < fluid_mm + wall_mm) | (from_lump < lump_mm)] = TUMOUR
    labels[from_centre < fluid_mm] = CYST
    labels[2.0 * np.linalg.norm(index - (53.0, 35.0, 35.0), axis=1) < 8.0] = CYST
    probability = np.array([PROBABILITY[int(label)] for label in labels], np.float16)
    return PointCloud(Lattice((2.0, 2.0, 2.0), SHAPE), index, np.zeros(len(index), np.int16), labels, probability)


def tumour_share(cloud: PointCloud) -> float:
    near = cloud.index[:, 0] < 45
    tumour, cyst = ((cloud.labelled(label) & near).sum() for label in (TUMOUR, CYST))
    return float(tumour / (tumour + cyst))


def test_fluid_in_more_tumour_is_its_necrosis_and_a_cyst_beside_it_stays() -> None:
    given = lesion(16.0, 6.0)
    assert 0.55 < tumour_share(given) < 0.65
    found = label_cystic_lesions(given)
    assert found.labels is not None
    assert found.probability is not None
    assert given.probability is not None
    joined = (given.index[:, 0] < 45) & given.labelled(CYST)
    np.testing.assert_array_equal(found.labels, np.where(joined, TUMOUR, given.labels))
    np.testing.assert_allclose(found.probability[joined], [[0.05, 0.05, 0.9, 0.0]] * joined.sum(), atol=1e-3)
    np.testing.assert_array_equal(found.probability[~joined], given.probability[~joined])
    assert given.labelled(CYST)[joined].all(), "the input stays as it was"


def test_the_thin_wall_of_more_fluid_is_the_cysts() -> None:
    given = lesion(20.0, 3.0)
    assert 0.3 < tumour_share(given) < 0.4
    found = label_cystic_lesions(given)
    assert found.labels is not None
    assert found.probability is not None
    np.testing.assert_array_equal(found.labels, np.where(given.labels == TUMOUR, CYST, given.labels))
    np.testing.assert_array_equal(found.probability.argmax(axis=1), found.labels)


def test_a_lump_of_tumour_on_more_fluid_stays_a_tumour() -> None:
    given = lesion(20.0, 2.0, lump_mm=10.0)
    assert 0.2 < tumour_share(given) < 0.45
    np.testing.assert_array_equal(label_cystic_lesions(given).labels, given.labels)


def test_a_tumour_that_a_cyst_touches_and_the_cyst_stay_two_lesions() -> None:
    given = lesion(20.0, 0.0, lump_mm=24.0)
    assert tumour_share(given) > 0.3
    np.testing.assert_array_equal(label_cystic_lesions(given).labels, given.labels)


@pytest.mark.parametrize("missing", [CYST, TUMOUR])
def test_without_either_nothing_changes(missing: int) -> None:
    given = lesion(16.0, 6.0)
    without = given.relabelled(np.flatnonzero(given.labelled(missing)), missing, KIDNEY)
    assert label_cystic_lesions(without) is without
