"""A library of whole kidneys: from label maps, through the cache, and the HU it gives them."""

from __future__ import annotations

import numpy as np
import pytest

from donors import donors, kidney_library, kidney_map
from kidneyseg.errors import InputError
from kidneyseg.synthesis.kidney_library import HostHU, KidneyLibrary, kits_kidneys
from kidneyseg.synthesis.texture import TumourHU
from nifti_files import saved

HOST = HostHU(cortex=180.0, medulla=120.0, level=150.0, vessel=160.0, fat=-100.0, sinus_fat=0.5)
CSV = "case,kidney_median,kidney_percentile_90_0,tumor_median,tumor_stdev,cyst_median\n"


def test_it_is_cut_once_and_read_from_the_cache(tmp_path, monkeypatch):
    masks = tmp_path / "masks"
    masks.mkdir()
    for case in (3, 5):
        saved(masks / f"case_{case:05d}.nii.gz", kidney_map((2.0, 2.0, 4.0)), np.diag([2.0, 2.0, 4.0, 1.0]))
    table = tmp_path / "hu.csv"
    table.write_text(CSV + "case_00003,150,180,90,25,8\ncase_00005,100,140,,,\n")
    made = kits_kidneys(masks, table, tmp_path / "cache")
    assert [(one.case, one.medial) for one in made.kidneys] == [(3, 1.0), (3, -1.0), (5, 1.0), (5, -1.0)]
    assert made.hu[1, 0] == 5
    assert np.isnan(made.hu[1, 3])
    monkeypatch.setattr(KidneyLibrary, "from_kits", None)
    again = kits_kidneys(masks, table, tmp_path / "cache")
    assert again.key == made.key
    training, held_out = again.split()
    assert {one.case for one in training.kidneys} == {3}
    assert {one.case for one in held_out.kidneys} == {5}


def test_missing_columns_are_named(tmp_path):
    (tmp_path / "hu.csv").write_text("case,kidney_median\n")
    saved(tmp_path / "case_00003.nii.gz", kidney_map((3.0, 3.0, 5.0)), np.diag([3.0, 3.0, 5.0, 1.0]))
    with pytest.raises(InputError, match="cyst_median"):
        KidneyLibrary.from_kits(tmp_path, tmp_path / "hu.csv")


def test_no_kidney_is_an_error(tmp_path):
    with pytest.raises(InputError, match="No kidneys"):
        KidneyLibrary.from_kits(tmp_path)
    with pytest.raises(InputError, match="holds no kidney"):
        KidneyLibrary(()).draw(np.random.default_rng(0))


def test_drawn_kidneys_have_a_lesion_as_often_as_asked_and_both_sides():
    rng = np.random.default_rng(0)
    drawn = [kidney_library().draw(rng, lesion_probability=0.8) for _ in range(200)]
    assert 0.7 < np.mean([one.tumour_ml > 0 for one in drawn]) < 0.9
    assert 0.4 < np.mean([one.medial > 0 for one in drawn]) < 0.6
    small = [kidney_library().draw(rng, largest_ml=1.0).tumour_ml for _ in range(20)]
    assert max(small) == 0


def test_enhancement_follows_the_host_and_a_cyst_keeps_its_hu():
    library, donor = kidney_library(), donors()[1]
    unenhanced = HostHU(35.0, 30.0, 32.0, 40.0, -100.0, 0.5)
    bright, plain = (
        [library.hu_for(donor, host, np.random.default_rng(s)) for s in range(20)] for host in (HOST, unenhanced)
    )
    assert np.mean([one.tumour.median for one in bright]) == pytest.approx(90, abs=6)
    assert np.mean([one.tumour.median for one in plain]) == pytest.approx(34, abs=6)
    assert {one.cyst for one in (*bright, *plain)} == {8.0}
    assert all(one.cortex > one.medulla + 15 for one in bright)
    assert all(abs(one.cortex - one.medulla) < 8 for one in plain)


def test_without_measured_hu_typical_ones_are_given():
    hu = KidneyLibrary(donors()).hu_for(donors()[1], HOST, np.random.default_rng(1))
    assert isinstance(hu.tumour, TumourHU)
    assert 20 < hu.tumour.median < 200
    assert -5 <= hu.cyst <= 25
