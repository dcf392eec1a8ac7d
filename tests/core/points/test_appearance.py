"""Where tumours end in their kidney."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg.points.appearance import refine_lesions, relabel_kidney_parts
from kidneyseg.points.cloud import Lattice, PointCloud

CELL = Lattice((2.0, 2.0, 2.0), (40, 30, 30))
TRUE_END, FOUND_END = 14, 17  # cells along x: the tumour lies below


def scene(tumour_hu: float, kidney_hu: float = 130.0, noise: float = 25.0) -> tuple[PointCloud, np.ndarray]:
    """A block of kidney whose lower end is tumour, found 6 mm too large; and its true labels."""
    rng = np.random.default_rng(3)
    index = np.argwhere(np.ones((40, 14, 14), bool)).astype(np.int32)
    true = np.where(index[:, 0] < TRUE_END, TUMOUR, KIDNEY).astype(np.uint8)
    hu = np.where(true == TUMOUR, tumour_hu, kidney_hu) + rng.normal(0.0, noise, len(index))
    labels = np.where(index[:, 0] < FOUND_END, TUMOUR, KIDNEY).astype(np.uint8)
    tumour = 1.0 / (1.0 + np.exp((index[:, 0] + 0.5 - FOUND_END) / 1.5))
    probability = np.stack([0.0 * tumour, 1.0 - tumour, tumour, 0.0 * tumour], axis=1).astype(np.float16)
    return PointCloud(CELL, index, hu.astype(np.int16), labels, probability), true


def dice(labels: np.ndarray | None, true: np.ndarray) -> float:
    assert labels is not None
    found, tumour = labels == TUMOUR, true == TUMOUR
    return float(2 * (found & tumour).sum() / (found.sum() + tumour.sum()))


@pytest.mark.parametrize("tumour_hu", [50.0, 190.0])
def test_the_border_moves_to_where_the_hu_change(tumour_hu: float) -> None:
    cloud, true = scene(tumour_hu)
    refined = refine_lesions(cloud)
    assert dice(cloud.labels, true) < 0.92
    assert dice(refined.labels, true) > 0.96
    assert refined.probability is not None
    np.testing.assert_array_equal(refined.probability.argmax(axis=1), refined.labels)  # what is painted follows them
    np.testing.assert_allclose(refined.probability.sum(axis=1, dtype=np.float32), 1.0, atol=2e-3)
    np.testing.assert_array_equal(cloud.labels, scene(tumour_hu)[0].labels)  # the input stays as it was


def test_a_tumour_found_too_small_grows() -> None:
    cloud, true = scene(50.0)
    assert cloud.labels is not None
    assert cloud.probability is not None
    small = cloud.index[:, 0] < 12
    shifted = np.clip(cloud.index[:, 0] + 5, 0, 39) + 0.5
    tumour = 1.0 / (1.0 + np.exp((shifted - FOUND_END) / 1.5))
    probability = np.stack([0.0 * tumour, 1.0 - tumour, tumour, 0.0 * tumour], axis=1).astype(np.float16)
    given = replace(cloud, labels=np.where(small, TUMOUR, KIDNEY).astype(np.uint8), probability=probability)
    assert dice(given.labels, true) < 0.93
    assert dice(refine_lesions(given).labels, true) > 0.97


def test_a_tumour_that_looks_like_its_kidney_stays() -> None:
    cloud, _ = scene(128.0)
    assert refine_lesions(cloud) is cloud


def test_other_tumours_cysts_and_tissue_stay() -> None:
    cloud, _ = scene(50.0)
    assert cloud.labels is not None
    assert cloud.probability is not None
    labels, probability = cloud.labels.copy(), cloud.probability.copy()
    # A cyst in the part that is found too large, a tissue cell beside it, and a tumour of its own at the far end.
    cyst = (cloud.index[:, 0] == FOUND_END - 1) & (cloud.index[:, 1] < 5)
    tissue = (cloud.index[:, 0] == FOUND_END - 1) & (cloud.index[:, 1] == 8)
    small = (cloud.index[:, 0] > 37) & (cloud.index[:, 1] < 2) & (cloud.index[:, 2] < 2)
    for rows, label in ((cyst, CYST), (tissue, TISSUE), (small, TUMOUR)):
        labels[rows] = label
        probability[rows] = np.eye(4, dtype=np.float16)[label]
    refined = refine_lesions(replace(cloud, labels=labels, probability=probability))
    assert refined.labels is not None
    assert (refined.labels[cyst] == CYST).all()
    assert (refined.labels[tissue] == TISSUE).all()
    assert (refined.labels[small] == TUMOUR).all(), "too small to tell what it looks like"
    assert (refined.labels[cloud.index[:, 0] < FOUND_END] == KIDNEY).any()


def test_cells_at_the_surface_do_not_count_as_dark() -> None:
    """The cells at a kidney's surface hold fat, and are as dark as a tumour: they stay kidney."""
    cloud, true = scene(50.0)
    surface = (cloud.index[:, 1:] == 0).any(axis=1) | (cloud.index[:, 1:] == 13).any(axis=1)
    hu = np.where(surface & (true == KIDNEY), 50, cloud.hu).astype(np.int16)
    refined = refine_lesions(replace(cloud, hu=hu))
    assert refined.labels is not None
    assert (refined.labels[cloud.labels == KIDNEY] == KIDNEY).all()
    assert dice(refined.labels, true) > dice(cloud.labels, true)


def test_without_tumour_labels_or_probabilities_nothing_changes() -> None:
    cloud, _ = scene(50.0)
    for given in (
        replace(cloud, labels=None),
        replace(cloud, probability=None),
        replace(cloud, labels=np.full(len(cloud), KIDNEY, np.uint8)),
    ):
        assert refine_lesions(given) is given


def cut_pole(tumour_hu: float, *, at_end: bool = True) -> PointCloud:
    """The scene with its true tumour, whose cells are sure to be tumour, at the first or the tenth layer along x."""
    cloud, true = scene(tumour_hu)
    index = cloud.index + np.array([0 if at_end else 10, 5, 5], np.int32)
    probability = np.eye(4, dtype=np.float16)[true]
    return replace(
        cloud, lattice=Lattice(CELL.step_mm, (60, 30, 30)), index=index, labels=true, probability=probability
    )


def test_a_tumour_at_the_scans_end_that_looks_like_kidney_is_one() -> None:
    pole = cut_pole(128.0)
    kidney = relabel_kidney_parts(pole)
    assert kidney.labels is not None
    assert kidney.probability is not None
    assert (kidney.labels == KIDNEY).all()
    assert (kidney.probability[:, KIDNEY] == 1).all()
    assert pole.labelled(TUMOUR).any(), "the input stays as it was"


def test_without_a_kidney_that_it_grows_from_less_likeness_is_enough() -> None:
    grows = cut_pole(120.0)
    assert (relabel_kidney_parts(grows).labels == grows.labels).all()
    gap = grows.index[:, 0] - grows.index[:, 0].min() - TRUE_END
    alone = grows.select((gap < 0) | (gap > 2))
    assert alone.labelled(TUMOUR).any()
    assert not relabel_kidney_parts(alone).labelled(TUMOUR).any()


@pytest.mark.parametrize(
    ("tumour_hu", "tumour_probability", "stays"),
    [(128.0, 0.6, False), (128.0, 0.7, True), (100.0, 0.6, True)],
    ids=["like kidney and unsure", "like kidney but sure", "unsure but darker"],
)
def test_a_part_of_a_kidney_that_may_be_tumour_needs_hu_or_certainty(
    tumour_hu: float, tumour_probability: float, stays: bool
) -> None:
    cloud = cut_pole(tumour_hu, at_end=False)
    tumour = cloud.labelled(TUMOUR)
    assert cloud.probability is not None
    probability = cloud.probability.copy()
    probability[tumour, TUMOUR], probability[tumour, KIDNEY] = tumour_probability, 1.0 - tumour_probability
    found = relabel_kidney_parts(replace(cloud, probability=probability))
    assert found.probability is not None
    assert (found.labels == (cloud.labels if stays else KIDNEY)).all()
    np.testing.assert_array_equal(found.probability.argmax(axis=1), found.labels)


def test_other_tumours_stay_tumours() -> None:
    for cloud in (cut_pole(60.0), cut_pole(128.0, at_end=False)):
        assert relabel_kidney_parts(cloud) is cloud or (relabel_kidney_parts(cloud).labels == cloud.labels).all()
    pole = cut_pole(128.0)
    assert pole.labels is not None
    none = replace(pole, labels=np.where(pole.labels == KIDNEY, TISSUE, pole.labels))
    assert relabel_kidney_parts(none) is none, "there is no kidney to compare with"
    assert relabel_kidney_parts(replace(pole, probability=None)).labels is pole.labels
