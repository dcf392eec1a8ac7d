"""Left and right come from the spine, and are left open where it or the other side of the body is not seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.findings import measure
from kidneyseg.findings.sides import CUT, NO_SPINE
from kidneyseg.imaging.nifti import load_volume
from kidneyseg.imaging.volume import Volume

SPACING, SHAPE = (2.0, 2.0, 4.0), (200, 120, 30)
LEFT, RIGHT, SPINE = 70, 130, 100


def body(spine: int | None = SPINE, aorta: int = 200) -> Volume:
    """A body of 320 x 200 mm in air, with a spine of 32 mm at this x, and a bright aorta in front of its left edge."""
    hu = np.full(SHAPE, -1000, np.int16, order="F")
    hu[20:-20, 10:-10] = 40
    if spine is not None:
        hu[spine - 8 : spine + 8, 15:45] = 300
        hu[spine - 14 : spine - 2, 60:72] = aorta
    return Volume(hu, SPACING, np.diag([*SPACING, 1.0]))


def kidneys(*centres: int) -> np.ndarray:
    """A box of 73 mL around each x."""
    mask = np.zeros(SHAPE, np.uint8, order="F")
    for x in centres:
        mask[x - 12 : x + 12, 30:54, 8:16] = 1
    return mask


def cut(volume: Volume, mask: np.ndarray, x: slice) -> tuple[np.ndarray, Volume]:
    return np.asfortranarray(mask[x]), replace(volume, hu=np.asfortranarray(volume.hu[x]))


def sides(mask: np.ndarray, volume: Volume) -> tuple[list[str | None], str]:
    found = measure(mask, volume)
    assert any("was found" in sentence for sentence in found.sentences()) == (
        len(found.kidneys) == 1 and not found.side_unknown
    )
    return [kidney.side for kidney in found.kidneys], found.side_unknown


@pytest.mark.parametrize(("centre", "side"), [(LEFT, "left"), (RIGHT, "right")])
def test_one_kidney_has_the_side_of_the_spine_that_it_lies_on(centre: int, side: str) -> None:
    assert sides(kidneys(centre), body()) == ([side], "")


@pytest.mark.parametrize(("spine", "side"), [(70, "right"), (130, "left")])
def test_the_spine_counts_and_not_the_middle_of_the_body(spine: int, side: str) -> None:
    assert sides(kidneys(SPINE), body(spine)) == ([side], "")


def test_contrast_in_the_aorta_or_the_kidney_does_not_move_the_spine() -> None:
    volume = body(aorta=400)
    volume.hu[kidneys(LEFT) > 0] = 350
    assert sides(kidneys(LEFT), volume) == (["left"], "")
    assert sides(kidneys(SPINE - 14), volume) == (["left"], "")


def test_contrast_in_the_bowel_is_no_spine() -> None:
    volume = body()
    volume.hu[30:60, 75:105] = 400
    assert sides(kidneys(LEFT), volume) == (["left"], "")


@pytest.mark.parametrize("x", [slice(SPINE, None), slice(SPINE - 8, None), slice(SPINE - 35, None), slice(90, 175)])
def test_half_a_body_has_no_sides(x: slice) -> None:
    assert sides(*cut(body(), kidneys(RIGHT), x)) == ([None], CUT)


def test_half_a_body_in_added_air_has_no_sides() -> None:
    volume = body()
    volume.hu[: SPINE - 8] = -1000
    assert sides(kidneys(RIGHT), volume) == ([None], CUT)


def test_a_field_of_view_that_cuts_the_flanks_still_has_sides() -> None:
    assert sides(*cut(body(), kidneys(RIGHT), slice(50, 150))) == (["right"], "")


def test_without_a_spine_there_are_no_sides() -> None:
    assert sides(kidneys(RIGHT), body(spine=None)) == ([None], NO_SPINE)
    assert sides(*cut(body(), kidneys(RIGHT), slice(SPINE + 8, None))) == ([None], NO_SPINE)
    volume = replace(body(), hu=np.full(SHAPE, -1000, np.int16, order="F"))
    assert sides(kidneys(RIGHT), volume) == ([None], NO_SPINE)


def test_a_bone_in_some_slices_is_no_spine() -> None:
    volume = body()
    volume.hu[:, 15:45, 10:] = 40
    assert sides(kidneys(RIGHT), volume) == ([None], NO_SPINE)


@pytest.mark.parametrize("spine", [None, 55, 145])
def test_two_distant_kidneys_are_left_and_right_wherever_the_spine_seems_to_be(spine: int | None) -> None:
    assert sides(kidneys(LEFT, RIGHT), body(spine)) == (["right", "left"], "")


def test_half_of_a_real_body_has_no_side(cases_dir: Path) -> None:
    volume = load_volume(cases_dir / "right_half_of_body.nii.gz")
    mask = np.zeros(volume.shape, np.uint8, order="F")
    mask[20:34, 45:60, 8:20] = 1
    assert sides(mask, volume) == ([None], CUT)


def test_sides_of_two_phases_in_one_file(cases_dir: Path) -> None:
    volume = load_volume(cases_dir / "second_phase_appended.nii.gz")
    mask = np.zeros(volume.shape, np.uint8, order="F")
    for z in (slice(8, 20), slice(40, 52)):
        for x in (slice(30, 44), slice(84, 98)):
            mask[x, 45:60, z] = 1
    assert sides(mask, volume) == (["right", "right", "left", "left"], "")
