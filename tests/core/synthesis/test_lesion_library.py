"""Lesion libraries: built from label maps, kept in a file, and what is drawn from them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidney_host import ball
from kidneyseg.errors import InputError
from kidneyseg.synthesis.kits_files import is_held_out
from kidneyseg.synthesis.lesion_library import LesionLibrary, kits_library

KITS = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def library():
    return LesionLibrary.procedural(24, seed=1)


def test_small_tumours_are_not_forgotten(library):
    rng = np.random.default_rng(0)
    volumes = np.array([library.draw(rng)[1] for _ in range(300)])
    assert (volumes < 4.2).mean() > 0.25
    assert (volumes > 20).mean() > 0.15


def test_what_is_scored_on_keeps_its_size(library):
    lesions = tuple(replace(lesion, case=i) for i, lesion in enumerate(library.lesions))
    training, held_out = LesionLibrary(lesions).split()
    assert {lesion.case % 5 == 0 for lesion in held_out.lesions} == {True}
    rng = np.random.default_rng(0)
    for kind in ("tumour", "cyst"):
        own = [ml / min(lesion.ml, 250.0) for lesion, ml in (held_out.draw(rng, kind) for _ in range(60))]
        assert min(own) > 0.8
        assert max(own) < 1.2
        other = [ml / lesion.ml for lesion, ml in (training.draw(rng, kind) for _ in range(60))]
        assert min(other) < 0.8


def test_contrast_follows_the_phase():
    rows = [
        [i, kidney, kidney - 50 if kidney > 100 else kidney, 30] for i, kidney in enumerate(np.linspace(30, 220, 60))
    ]
    library = LesionLibrary((), np.array(rows, np.float32))
    rng = np.random.default_rng(0)
    plain = [library.draw_hu(rng, 30.0).median - 30 for _ in range(100)]
    arterial = [library.draw_hu(rng, 180.0).median - 180 for _ in range(100)]
    assert abs(np.median(plain)) < 8
    assert np.median(arterial) == pytest.approx(-50, abs=12)
    formula = [LesionLibrary(()).draw_hu(rng, 180.0).median for _ in range(100)]
    assert 70 < np.median(formula) < 160


def test_a_library_survives_its_file(tmp_path):
    library = LesionLibrary.procedural(9, seed=3)
    library = LesionLibrary(library.lesions, np.arange(8, dtype=np.float32).reshape(2, 4))
    library.save(tmp_path / "shapes.npz")
    again = LesionLibrary.load(tmp_path / "shapes.npz")
    assert len(again) == 9
    np.testing.assert_array_equal(again.contrast, library.contrast)
    for one, other in zip(library.lesions, again.lesions, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
        np.testing.assert_array_equal(one.outward, other.outward)
        assert (one.kind, one.case, one.voxel_mm, one.inside) == (other.kind, other.case, other.voxel_mm, other.inside)


def test_a_file_that_is_no_library_says_so(tmp_path):
    (tmp_path / "no.npz").write_bytes(b"nothing")
    old = LesionLibrary(LesionLibrary.procedural(1).lesions, np.zeros((2, 6), np.float32))  # as version 0.1 wrote it
    old.save(tmp_path / "old.npz")
    for name in ("no.npz", "old.npz"):
        with pytest.raises(InputError, match="not a lesion library"):
            LesionLibrary.load(tmp_path / name)
    with pytest.raises(InputError, match="no cyst"):
        LesionLibrary(()).draw(np.random.default_rng(0), "cyst")


def test_a_library_is_built_from_a_kits_folder(tmp_path, caplog):
    shape = (90, 70, 30)
    spacing = (1.0, 1.0, 4.0)
    for case in (4, 5):
        labels = ball(shape, spacing, (45, 35, 60), (25, 22, 50)).astype(np.uint8)
        labels[ball(shape, spacing, (70, 35, 75), (10, 10, 10))] = 2
        nib.Nifti1Image(labels, np.diag((*spacing, 1.0))).to_filename(tmp_path / f"case_{case:05d}.nii.gz")
    names = ["case", "kidney_median", "tumor_median", "tumor_stdev", "tumor_percentile_10_0", "tumor_percentile_90_0"]
    with (tmp_path / "hu.csv").open("w", newline="") as table:
        csv.writer(table).writerows([names, ["case_00004", 120, 70, 30, 30, 110], ["case_00005", 120, 70, "", "", ""]])
    library = LesionLibrary.from_kits(tmp_path, tmp_path / "hu.csv")
    train, held_out = library.split()
    assert [lesion.case for lesion in train.lesions] == [4]
    assert [lesion.case for lesion in held_out.lesions] == [5]
    assert (len(train.contrast), len(held_out.contrast)) == (1, 0)
    assert is_held_out(15)
    assert not is_held_out(16)
    with pytest.raises(InputError, match="No lesions"):
        LesionLibrary.from_kits(tmp_path, wanted=[99].__contains__)
    whole = (tmp_path / "case_00004.nii.gz").read_bytes()
    (tmp_path / "case_00004.nii.gz").write_bytes(whole[: len(whole) // 2])
    left = LesionLibrary.from_kits(tmp_path)
    assert [lesion.case for lesion in left.lesions] == [5]
    assert "case_00004.nii.gz" in caplog.text
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="expected case_XXXXX"):
        LesionLibrary.from_kits(tmp_path / "other")
    (tmp_path / "hu.csv").write_text("case,kidney_median\n")
    with pytest.raises(InputError, match="lacks the columns"):
        LesionLibrary.from_kits(tmp_path, tmp_path / "hu.csv")


@pytest.mark.skipif(not (KITS / "kits23_masks").is_dir(), reason="needs the KiTS23 label maps in ../shared/data")
def test_real_label_maps_give_plausible_shapes():
    library = LesionLibrary.from_kits(KITS / "kits23_masks", KITS / "kits23_case_hu.csv", wanted=[6, 19].__contains__)
    tumours = {lesion.case: lesion for lesion in library.lesions if lesion.kind == "tumour"}
    # Volumes counted on the label maps: 11.30 and 1.80 mL.
    assert tumours[6].ml == pytest.approx(11.3, rel=0.06)
    assert tumours[19].ml == pytest.approx(1.8, rel=0.12)
    assert all(abs(np.linalg.norm(lesion.outward) - 1) < 1e-6 for lesion in library.lesions)
    assert all(lesion.voxel_mm <= 1.5 for lesion in library.lesions)


def test_lesions_are_cut_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    built = []

    def from_kits(masks: Path, hu_csv: Path | None = None) -> LesionLibrary:
        built.append(masks)
        return LesionLibrary.procedural(count=3)

    monkeypatch.setattr(LesionLibrary, "from_kits", staticmethod(from_kits))
    masks, cache = tmp_path / "masks", tmp_path / "cache"
    masks.mkdir()
    (masks / "case_00001.nii.gz").write_bytes(b"1")
    assert [len(kits_library(masks, None, cache)) for _ in range(2)] == [3, 3]
    assert len(built) == 1
    (file,) = cache.glob("lesions-*.npz")
    file.write_bytes(b"damaged")
    kits_library(masks, None, cache)
    (masks / "case_00002.nii.gz").write_bytes(b"2")
    kits_library(masks, None, cache)
    assert len(built) == 3
    assert "made again" in caplog.text
