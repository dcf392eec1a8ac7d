"""Cases on disk become scenes, scenes become what inference would show a network."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kidneyseg.datasets.cases import LabelledGrid, find_cases, whole_grid
from kidneyseg.errors import InputError
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.settings import BandSettings, SamplingSettings, Stage2Settings
from kidneyseg.synthesis.insertion import LesionLibrary
from kidneyseg.training import stage1_sampler, stage2_sampler
from kidneyseg.training.augmentation import SpatialRange, random_affine, random_field_of_view, warp
from kidneyseg.training.band_sampler import BandSampler, band_cases, plain_band
from kidneyseg.training.detections import crops
from kidneyseg.training.stage1_sampler import Stage1Sampler, plain_stage1
from kidneyseg.training.stage2_sampler import Stage2Sampler
from volumes import abdomen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One case in each layout."""
    where = tmp_path_factory.mktemp("data")
    volume, truth = abdomen()
    for image, labels in (
        ("a_ct.nii.gz", "a_kidney.nii.gz"),
        ("case_00001/imaging.nii.gz", "case_00001/segmentation.nii.gz"),
        ("imagesTr/b_0000.nii.gz", "labelsTr/b.nii.gz"),
    ):
        for path in (where / image, where / labels):
            path.parent.mkdir(exist_ok=True)
        save_volume(volume, where / image)
        save_mask(truth, volume, where / labels)
    return where


def test_all_layouts_are_found(folder: Path) -> None:
    assert [case.name for case in find_cases(folder)] == ["a", "case_00001", "b"]


def test_an_empty_folder_names_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="imagesTr"):
        find_cases(tmp_path)


def test_labels_that_do_not_lie_on_the_ct_are_refused(tmp_path: Path) -> None:
    volume, _ = abdomen()
    save_volume(volume, tmp_path / "a_ct.nii.gz")
    small, other = abdomen((80, 80, 30))
    save_mask(other, small, tmp_path / "a_kidney.nii.gz")
    with pytest.raises(InputError, match=r"a_kidney.nii.gz has 80 x 80 x 30 voxels and should have .*; resample it"):
        whole_grid(find_cases(tmp_path)[0], 4.0, tmp_path / "cache")


def test_labels_of_other_organs_and_misplaced_organ_maps_are_refused(tmp_path: Path) -> None:
    volume, truth = abdomen()
    save_volume(volume, tmp_path / "a_ct.nii.gz")
    for name, change in (("liver", 6), ("ignored", 255)):
        save_mask(np.where(truth == 2, np.uint8(change), truth), volume, tmp_path / "a_kidney.nii.gz")
        with pytest.raises(InputError, match=f"a_kidney.nii.gz holds the label {change}; .*map it to these"):
            whole_grid(find_cases(tmp_path)[0], 4.0, tmp_path / name)
    save_mask(truth, volume, tmp_path / "a_kidney.nii.gz")
    small, other = abdomen((80, 80, 30))
    save_mask(other, small, tmp_path / "a_label13.nii.gz")
    with pytest.raises(InputError, match=r"a_label13.nii.gz has 80 x 80 x 30 voxels"):
        whole_grid(find_cases(tmp_path)[0], 4.0, tmp_path / "organs")


def test_no_lesion_is_inserted_where_there_are_tumour_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways: the case without tumour labels gets some."""
    volume, truth = abdomen()
    for name, labels in (("own", truth), ("none", np.minimum(truth, 1))):
        save_volume(volume, tmp_path / f"{name}_ct.nii.gz")
        save_mask(labels, volume, tmp_path / f"{name}_kidney.nii.gz")
    given: list[str] = []
    for module in (stage1_sampler, stage2_sampler):
        real = module.changed_patient

        def noting(
            scene: LabelledGrid, lesions: LesionLibrary | None, rng: np.random.Generator, real=real, **chances: float
        ) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
            given.append(scene.case if lesions is not None else "")
            return real(scene, lesions, rng, **chances)

        monkeypatch.setattr(module, "changed_patient", noting)
    library, sampling = LesionLibrary.procedural(6), SamplingSettings(kept_percent=50.0)
    cases, rng = find_cases(tmp_path), np.random.default_rng(0)
    scenes = [whole_grid(case, 4.0, tmp_path) for case in cases]
    close = [one for case in cases for one in crops(case, 2.0, sampling, None, tmp_path, coarse_mm=4.0, count=0)]
    for sampler in (Stage1Sampler(scenes, sampling, library), Stage2Sampler(close, Stage2Settings(), library)):
        given.clear()
        for step in range(30):
            sampler.draw(rng, 25 * step)
        assert set(given) == {"none", ""}
    bands = {case.name: band_cases(case, BandSettings(50.0, bands=1), tmp_path, 0, library) for case in cases}
    assert {name: len(variants) for name, variants in bands.items()} == {"own": 1, "none": 2}


def test_a_bulge_grows_before_lesions_and_only_where_these_may_be(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tumour must not be painted over, and labels with tumours of their own are left as they are."""
    order: list[str] = []

    def noting(name: str, *more: list[object]):
        return lambda hu, labels, *_, **__: (order.append(name), hu, labels, *more)[1:]

    monkeypatch.setattr(stage1_sampler, "insert_pseudotumour", noting("bulge"))
    monkeypatch.setattr(stage1_sampler, "insert_random_lesions", noting("lesions", []))
    scene = whole_grid(find_cases(folder)[0], 4.0, tmp_path)
    library, rng = LesionLibrary.procedural(6), np.random.default_rng(0)
    for lesions, bulge, expected in (
        (library, 1.0, ["bulge", "lesions"]),
        (library, 0.0, ["lesions"]),
        (None, 1.0, []),
    ):
        order.clear()
        stage1_sampler.changed_patient(scene, lesions, rng, retint=0.0, insert=1.0, bulge=bulge)
        assert order == expected


def test_scenes_hold_the_kidneys_and_are_cached(folder: Path, tmp_path: Path) -> None:
    case = find_cases(folder)[0]
    whole = whole_grid(case, 4.0, tmp_path)
    sides = crops(case, 2.0, SamplingSettings(), None, tmp_path)
    cells = {tuple(row) for side in sides for row in np.argwhere(side.scene.labels > 0) + side.corner}
    _, truth = abdomen()
    assert (whole.labels > 0).sum() * 64 == pytest.approx((truth > 0).sum() * 16, rel=0.1)
    assert len(cells) * 8 == pytest.approx((truth > 0).sum() * 16, rel=0.1)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert np.array_equal(whole_grid(case, 4.0, tmp_path).hu, whole.hu)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_samples_repeat_by_seed_and_differ_by_seed(folder: Path, tmp_path: Path) -> None:
    case = find_cases(folder)[0]
    lesions = LesionLibrary.procedural(count=5)
    for sampler in (
        Stage1Sampler([whole_grid(case, 4.0, tmp_path)], SamplingSettings(), lesions),
        Stage2Sampler(crops(case, 2.0, SamplingSettings(), None, tmp_path), Stage2Settings(), lesions),
    ):
        first, again, other = (sampler.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert np.array_equal(first.cells, again.cells)
        assert np.array_equal(first.features, again.features)
        assert np.array_equal(first.labels, again.labels)
        assert first.features.shape != other.features.shape or not np.array_equal(first.features, other.features)
        assert first.cells.min() >= 0
        assert (np.abs(first.features).max(0) <= [1.0, 2.0][: first.features.shape[1]]).all()


def test_validation_samples_are_plain(folder: Path, tmp_path: Path) -> None:
    case = find_cases(folder)[0]
    scene = whole_grid(case, 4.0, tmp_path)
    one = plain_stage1(scene, SamplingSettings())
    assert one.labels.max() == 1
    assert one.labels.sum() == (scene.labels > 0).sum()


def test_bands_are_what_inference_runs(tmp_path: Path) -> None:
    volume, truth = abdomen()
    save_volume(volume, tmp_path / "a_ct.nii.gz")
    save_mask(np.minimum(truth, 1), volume, tmp_path / "a_kidney.nii.gz")
    case = find_cases(tmp_path)[0]
    settings = BandSettings()
    plain, changed = band_cases(case, settings, tmp_path, 0, LesionLibrary.procedural(count=5))
    sizes = [len(cells) for cells, _, _ in plain.bands]
    assert sum(sizes) >= 0.1 * 100 * 80 * 30
    brightness = [(hu.min(), hu.max()) for _, hu, _ in plain.bands if len(hu)]
    assert all(above[0] > below[1] for above, below in pairwise(brightness))
    for stage in (1, 2):
        sample = BandSampler([plain, changed], stage).draw(np.random.default_rng(0))
        assert sample.features.shape == (len(sample.cells), 3)
        assert sample.labels.max() <= stage
        assert plain_band(plain, stage).labels.max(initial=0) <= stage


def test_warp_by_nothing_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    hu = rng.uniform(-100, 200, (9, 10, 11)).astype(np.float32)
    labels = rng.integers(0, 3, hu.shape).astype(np.uint8)
    same, marks = warp(hu, labels, np.eye(3), outside_hu=-125.0)
    np.testing.assert_allclose(same, hu, atol=1e-3)
    assert np.array_equal(marks, labels)
    mirrored, _ = warp(hu, labels, np.diag([-1.0, 1, 1]), outside_hu=-125.0)
    np.testing.assert_allclose(mirrored, hu[::-1], atol=1e-3)
    matrix = random_affine(rng, SpatialRange())
    box = (slice(2, 7), slice(0, 10), slice(5, 11))
    whole, part = (warp(hu, labels, matrix, outside_hu=-125.0, box=b) for b in (None, box))
    np.testing.assert_allclose(part[0], whole[0][box], atol=1e-3)
    assert np.array_equal(part[1], whole[1][box])


def test_a_quarter_turn_turns() -> None:
    hu = np.zeros((9, 9, 5), np.float32)
    hu[7, 4, 2] = 100
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved, _ = warp(hu, np.zeros(hu.shape, np.uint8), turn, outside_hu=0.0)
    assert np.argwhere(moved > 50).tolist() in ([[4, 1, 2]], [[4, 7, 2]])


def test_chance_keeps_its_limits() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        matrix = random_affine(rng, SpatialRange())
        assert 0.5 < abs(np.linalg.det(matrix)) < 2.2
        box = random_field_of_view((40, 50, 60), rng, 0.5)
        assert all(
            0 <= s.start < s.stop <= n and s.stop - s.start >= n // 2 for s, n in zip(box, (40, 50, 60), strict=True)
        )
        few = random_field_of_view((40, 50, 60), rng, 0.5, most_cells=8000)
        assert np.prod([s.stop - s.start for s in few]) < 1.1 * 8000
