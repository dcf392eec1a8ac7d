"""Each flag is raised by what it names, and by nothing ordinary."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.findings import Findings, KidneyFinding, TumourFinding, measure
from kidneyseg.findings.components import connected_components
from kidneyseg.findings.flags import _cut, flags
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.imaging.volume import Volume

SPACING, SHAPE = (2.0, 2.0, 4.0), (150, 100, 30)
Region = tuple[slice, slice, slice]
LEFT, RIGHT = np.s_[40:55, 50:70, 10:20], np.s_[95:115, 50:70, 10:20]


def volume(hu: int = 120) -> Volume:
    """A body with a spine at the back and kidneys of these HU."""
    values = np.full(SHAPE, -1000, np.int16, order="F")
    values[20:-20, 10:-10] = hu
    values[67:83, 14:40] = 300
    return Volume(values, SPACING, np.diag([*SPACING, 1.0]))


def mask_of(*regions: tuple[Region, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8, order="F")
    for region, label in ((LEFT, KIDNEY), (RIGHT, KIDNEY), *regions):
        mask[region] = label
    return mask


def codes(mask: np.ndarray, ct: Volume) -> list[str]:
    return [flag.code for flag in measure(mask, ct).flags]


def of_findings(findings: Findings) -> list[str]:
    """Flags of these findings, on a mask of two ordinary kidneys."""
    mask = mask_of()
    return [flag.code for flag in flags(findings, mask, connected_components(mask), volume())]


def test_two_ordinary_kidneys_raise_none_and_neither_does_nothing() -> None:
    assert codes(mask_of((np.s_[95:100, 50:55, 10:12], TUMOUR)), volume()) == []
    assert measure(np.zeros(SHAPE, np.uint8), volume(10)).flags == ()


@pytest.mark.parametrize(
    ("axis", "last", "name"),
    [(0, 0, "left"), (0, 1, "right"), (1, 0, "back"), (1, 1, "front"), (2, 0, "lower"), (2, 1, "upper")],
)
def test_what_reaches_an_edge_is_cut(axis: int, last: int, name: str) -> None:
    region = [*RIGHT]
    region[axis] = slice(region[axis].start, SHAPE[axis]) if last else slice(0, region[axis].stop)
    found = measure(mask_of((tuple(region), KIDNEY)), volume())
    (cut,) = (flag for flag in found.flags if flag.code == "cut")
    assert cut.sentence == f"Kidney reaches the {name} edge of the scan: it may be cut off there."
    assert cut.sentence in found.sentences()
    assert "cut" not in codes(mask_of((tuple(region), CYST)), volume())


def test_tumour_is_cut_too_and_a_speck_is_not() -> None:
    found = measure(mask_of((np.s_[95:115, 50:70, 20:30], TUMOUR)), volume())
    assert [flag.sentence for flag in found.flags] == [
        "Tumour reaches the upper edge of the scan: it may be cut off there."
    ]
    assert codes(mask_of((np.s_[100:102, 60:63, 20:30], KIDNEY)), volume()) == []  # 24 mm2
    unknown = measure(mask_of((np.s_[95:115, 50:70, 20:30], TUMOUR)), replace(volume(), oriented=False))
    assert "reaches an edge" in unknown.flags[0].sentence


@pytest.mark.parametrize(
    ("hu", "expected"), [(30, ["no_contrast"]), (49, ["no_contrast"]), (51, []), (239, []), (241, ["unusual_phase"])]
)
def test_contrast_is_told_by_the_kidneys(hu: int, expected: list[str]) -> None:
    ct = volume(120)
    ct.hu[LEFT] = ct.hu[RIGHT] = hu
    mask = mask_of((np.s_[95:115, 50:59, 10:20], TUMOUR))
    ct.hu[mask == TUMOUR] = 120  # nearly half of the voxels, and none of the kidney's
    assert codes(mask, ct) == expected
    assert codes(mask, replace(ct, calibrated=False)) == []


@pytest.mark.parametrize(
    ("ml", "tumour_ml", "expected"),
    [(39.0, 0.0, 1), (41.0, 0.0, 0), (20.0, 30.0, 0), (499.0, 900.0, 0), (501.0, 0.0, 1)],
)
def test_kidneys_of_a_volume_that_none_has(ml: float, tumour_ml: float, expected: int) -> None:
    other = KidneyFinding("left", 150.0, 0.0)
    found = Findings((KidneyFinding("right", ml, tumour_ml), other), (), ml + 150, tumour_ml, kidney_sized=2)
    assert of_findings(found) == ["kidney_volume"] * expected


def test_two_kidneys_on_one_side() -> None:
    """One above the other."""
    mask = mask_of((np.s_[95:115, 50:70, 22:29], KIDNEY))
    mask[LEFT] = 0
    assert codes(mask, volume()) == ["one_side"]
    assert codes(mask, replace(volume(), oriented=False)) == []
    mask[RIGHT] = 0
    assert codes(mask, volume()) == []  # a single kidney


@pytest.mark.parametrize(
    ("tumour", "expected"),
    [
        (TumourFinding("left", 300.0, 99.0, kidney_contact=0.4), []),
        (TumourFinding("left", 600.0, 101.0, kidney_contact=0.4), ["large_mass"]),
        (TumourFinding("left", 50.0, 60.0, kidney_contact=0.14), ["extrarenal_mass"]),
        (TumourFinding(None, 600.0, 120.0, kidney_contact=0.05), ["large_mass", "extrarenal_mass"]),
        (TumourFinding(None, 0.2, 8.0, kidney_contact=0.05), []),
    ],
)
def test_large_masses_and_those_beside_the_kidney(tumour: TumourFinding, expected: list[str]) -> None:
    kidneys = KidneyFinding("right", 150.0, 0.0), KidneyFinding("left", 150.0, tumour.ml)
    assert of_findings(Findings(kidneys, (tumour,), 300.0, tumour.ml, kidney_sized=2)) == expected


def test_a_mass_that_touches_the_kidney_by_an_edge_of_its_surface() -> None:
    assert codes(mask_of((np.s_[97:110, 69:89, 12:28], TUMOUR)), volume()) == ["extrarenal_mass"]
    assert codes(mask_of((np.s_[97:113, 52:68, 12:28], TUMOUR)), volume()) == []


def test_a_spine_at_the_front_is_prone_whatever_the_file_says() -> None:
    ct, mask = volume(), mask_of()
    assert codes(mask, ct) == []
    for turned in (np.s_[:, ::-1], np.s_[::-1, ::-1]):  # mirrored, and turned about the long axis
        other = replace(ct, hu=np.asfortranarray(ct.hu[turned]))
        assert codes(np.asfortranarray(mask[turned]), other) == ["prone"]
        found = measure(np.asfortranarray(mask[turned]), other, oriented=False)
        assert [flag.code for flag in found.flags] == ["prone"]
    bowel = volume()
    bowel.hu[65:85, 70:86] = 300  # contrast agent in the bowel, beside an ordinary spine
    assert codes(mask, bowel) == []


@pytest.mark.parametrize(("case", "expected"), [("btcv0023", ["no_contrast"]), ("btcv0026", []), ("btcv0027", [])])
def test_flags_of_real_cts(data_dir: Path, case: str, expected: list[str]) -> None:
    """btcv0023 is a CT without contrast agent."""
    ct = load_volume(data_dir / "btcv" / f"{case}_ct.nii.gz")
    kidneys, _ = load_mask(data_dir / "btcv" / f"{case}_kidney.nii.gz")
    kidneys = np.asfortranarray(kidneys)
    assert codes(kidneys, ct) == expected
    prone = replace(ct, hu=np.asfortranarray(ct.hu[:, ::-1]))
    assert codes(np.asfortranarray(kidneys[:, ::-1]), prone) == [*expected, "prone"]
    low, high = np.flatnonzero(kidneys.any(axis=(0, 1)))[[0, -1]]
    above = np.s_[:, :, (low + high) // 2 :]
    assert "cut" in codes(kidneys[above], replace(ct, hu=ct.hu[above]))


def test_edges_are_read_without_a_copy_of_the_mask() -> None:
    ct, mask = volume(), mask_of((np.s_[5:-5, 5:-5], KIDNEY))
    parts = connected_components(mask)
    tracemalloc.start()
    found = [flag.code for flag in _cut(parts, ct)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ["cut"]
    assert peak < 0.5 * mask.nbytes
