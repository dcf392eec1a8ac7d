"""The clouds of the paper's method: the brightest voxels of augmented CTs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.datasets.cases import CaseFiles, read_case
from kidneyseg.points.sampling import sample_bands
from kidneyseg.settings import BandSettings
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training.band_clouds import BandCloud, band_case, cloud_arrays, plain_cloud
from kidneyseg.training.spatial import FieldOfView
from training_cases import band_recipe, only, save_case

LESIONS = LesionLibrary.procedural(5)
WHOLE = FieldOfView(0.0, 1.0, np.inf)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> CaseFiles:
    return save_case(tmp_path_factory.mktemp("data"), tumour=False)


@pytest.mark.parametrize("settings", [BandSettings(), BandSettings(20.0, 2), BandSettings(30.0, 5)])
def test_bands_are_those_of_inference(case: CaseFiles, settings: BandSettings) -> None:
    volume, labels, _ = read_case(case)
    cloud = BandCloud.of(cloud_arrays(volume, labels, 30.0))
    for rows, shown in zip(cloud.bands(settings), sample_bands(volume, settings), strict=True):
        assert np.array_equal(np.sort(cloud.hu[rows]), np.sort(shown.hu))
        assert np.bincount(cloud.labels[rows]).tolist() == np.bincount(labels[tuple(shown.index.T)]).tolist()
    assert all(above.stop == below.start for above, below in pairwise(cloud.bands(settings)))


def test_versions_differ_and_can_be_made_again(case: CaseFiles, tmp_path: Path) -> None:
    made = band_case(case, band_recipe(1), BandSettings(), tmp_path / "a", 0, LESIONS)
    again = band_case(case, band_recipe(1), BandSettings(), tmp_path / "b", 0, LESIONS)
    clouds = [made.version(number) for number in range(6)]
    for number, cloud in enumerate(clouds):
        other = again.version(number)
        assert np.array_equal(cloud.cells, other.cells)
        assert np.array_equal(cloud.hu, other.hu)
        assert np.array_equal(cloud.labels, other.labels)
    assert len({cloud.hu.tobytes() for cloud in clouds}) == 6
    assert max(cloud.labels.max() for cloud in clouds) == 2, "with inserted lesions"
    files = sorted((tmp_path / "a").glob("*.npz"))
    assert len(files) == 6
    before = [file.stat().st_mtime_ns for file in files]
    made.version(3)
    assert [file.stat().st_mtime_ns for file in files] == before, "read from the cache"


def test_a_version_holds_the_points_of_all_bands(case: CaseFiles, tmp_path: Path) -> None:
    recipe = band_recipe(1, field_of_view=WHOLE)
    made = band_case(case, recipe, BandSettings(), tmp_path, 0, None)
    cloud = made.version(0)
    assert cloud.counts.sum() == 100 * 80 * 30
    assert len(cloud.hu) >= 0.3 * 100 * 80 * 30, "the recipe's other bands take up to 30 %"
    assert (np.diff(cloud.hu) <= 0).all()


def test_fields_of_view_are_smaller_and_show_the_kidneys(case: CaseFiles, tmp_path: Path) -> None:
    recipe = band_recipe(1, anatomy=(), intensity=(), field_of_view=FieldOfView(1.0, 0.5, np.inf))
    made = band_case(case, recipe, BandSettings(60.0), tmp_path, 0, None)
    _, labels, _ = read_case(case)
    for number in range(8):
        cloud = made.version(number)
        assert cloud.counts.sum() < labels.size
        assert 2 * np.count_nonzero(cloud.labels) >= np.count_nonzero(labels)


def test_intensities_decide_which_points_are_bright(case: CaseFiles, tmp_path: Path) -> None:
    """They come before the bands are cut: a bright kidney is clipped as bone is."""
    recipe = band_recipe(1, anatomy=(), intensity=only(band_recipe(1).intensity, "gain_offset"), field_of_view=WHOLE)
    gain = replace(recipe.intensity[0], parameters={"contrast": (2.0, 2.0), "strong_contrast_probability": 0.0})
    made = band_case(case, replace(recipe, intensity=(gain,)), BandSettings(), tmp_path, 0, None)
    cloud = made.version(0)
    assert (cloud.hu[cloud.labels > 0] == 275).all()


def test_tumour_labels_are_kept_as_they_are(tmp_path: Path) -> None:
    case = save_case(tmp_path, tumour=True)
    _, labels, _ = read_case(case)
    recipe = band_recipe(1, intensity=(), field_of_view=WHOLE)
    for cloud in (
        band_case(case, recipe, BandSettings(), tmp_path, 0, LESIONS).version(0),
        plain_cloud(case, BandSettings(30.0), tmp_path, 0, LESIONS),
    ):
        assert np.count_nonzero(cloud.labels == 2) == np.count_nonzero(labels == 2)


def test_validation_is_on_the_ct_with_lesions_and_nothing_else_changed(case: CaseFiles, tmp_path: Path) -> None:
    settings = BandSettings(30.0)
    plain, changed = (plain_cloud(case, settings, tmp_path, 0, shapes) for shapes in (None, LESIONS))
    assert (plain.labels.max(), changed.labels.max()) == (1, 2)
    volume, labels, _ = read_case(case)
    assert np.array_equal(plain.hu, BandCloud.of(cloud_arrays(volume, labels, 30.0)).hu)
