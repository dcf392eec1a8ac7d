"""Regression of the bundled networks on known CTs, from the NIfTI file to the mask's file.

The networks were trained on all of these CTs, so the bounds say that nothing got worse, not how unseen CTs are
segmented: docs/results.md has the cross-validation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from command_line import kidneyseg
from kidneyseg.arrays import bounding_box
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.metrics import kits19_dice
from kidneyseg.phantom.sample import sample_case
from kidneyseg.segmentation.pipeline import Pipeline, Result
from kidneyseg.settings import preset

# Kidney Dice less .01 of what is reached.
LEAST_KIDNEY_DICE = {"btcv0005": 0.944, "btcv0010": 0.940, "btcv0039": 0.926}
CROPPED = "btcv0010"


def evaluate(*arguments: str | Path) -> Any:
    done = kidneyseg("evaluate", *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: the networks were trained on" in done.stderr
    return json.loads(done.stdout)


def test_kidneys_of_known_cts(data_dir: Path, device: str) -> None:
    report = evaluate(data_dir / "btcv", "--cases", *LEAST_KIDNEY_DICE, "--device", device)
    figures = {case["name"]: case["figures"] for case in report["cases"]}
    dice = {name: figures[name]["kidney Dice"] for name in LEAST_KIDNEY_DICE}
    assert {name: value for name, value in dice.items() if value < LEAST_KIDNEY_DICE[name]} == {}
    assert max(own["peak MB"] for own in figures.values()) < (700 if device == "cpu" else 4000)


def test_an_inserted_tumour_is_detected(data_dir: Path, device: str) -> None:
    how = ("--lesions", "procedural", "--device", device)
    (case,) = evaluate(data_dir / "btcv", "--cases", CROPPED, *how)["cases"]
    (lesion,) = case["lesions"]
    assert lesion["overlap"] > 0.8
    assert case["false_positives_ml"] == []


def test_the_sample_case(tmp_path: Path, device: str) -> None:
    ct = sample_case(tmp_path)
    result = Pipeline(load_volume(ct), device=device).run(preset("default"))
    dice = kits19_dice(result.mask, load_mask(ct.with_name("sample_labels.nii.gz"))[0])
    assert dice["kidney"] > 0.965
    assert dice["tumour"] > 0.93
    assert len(result.findings.kidneys) == 2


@pytest.fixture(scope="module")
def cropped(data_dir: Path) -> nibabel.Nifti1Image:
    """A real CT cut to 320 x 240 x 60 voxels around the kidneys, so that a run takes seconds."""
    image = nibabel.Nifti1Image.from_filename(data_dir / "btcv" / f"{CROPPED}_ct.nii.gz")
    kidneys = bounding_box(load_mask(data_dir / "btcv" / f"{CROPPED}_kidney.nii.gz")[0])
    assert kidneys is not None
    middle = [(side.start + side.stop) // 2 for side in kidneys]
    box = tuple(slice(max(0, m - half), m + half) for m, half in zip(middle, (160, 120, 30), strict=True))
    return nibabel.as_closest_canonical(image).slicer[box]


@pytest.fixture(scope="module")
def reference(cropped: nibabel.Nifti1Image, tmp_path_factory: pytest.TempPathFactory, device: str) -> Result:
    return segmented(cropped, tmp_path_factory.mktemp("reference"), device)


def segmented(image: nibabel.Nifti1Image, folder: Path, device: str) -> Result:
    path = folder / "ct.nii"
    image.to_filename(path)
    return Pipeline(load_volume(path), device=device).run(preset("default"))


def hounsfield(image: nibabel.Nifti1Image) -> Any:
    return np.rint(np.asarray(image.dataobj)).astype(np.int16)


def test_both_kidneys_are_in_the_reference(reference: Result) -> None:
    assert len(reference.findings.kidneys) == 2


def test_full_range_gives_the_same_mask(cropped: nibabel.Nifti1Image, reference: Result, tmp_path: Path) -> None:
    """Users' files hold air at -1000 HU and bone up to 1500 HU; the shared CTs are clipped to [-125, 275]."""
    hu = hounsfield(cropped)
    rng = np.random.default_rng(0)
    full = np.where(hu <= -125, -1000, hu)
    full = np.where(hu >= 275, rng.integers(275, 1500, hu.shape), full).astype(np.int16)
    result = segmented(nibabel.Nifti1Image(full, cropped.affine), tmp_path, reference.device)
    assert np.array_equal(result.mask, reference.mask)


@pytest.mark.parametrize("axes", ["LAS", "LPS", "IPL", "PSR"])
def test_any_orientation_gives_the_same_mask(
    cropped: nibabel.Nifti1Image, reference: Result, tmp_path: Path, axes: str
) -> None:
    plain = nibabel.Nifti1Image(hounsfield(cropped), cropped.affine)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(plain.affine), nibabel.orientations.axcodes2ornt(tuple(axes))
    )
    result = segmented(plain.as_reoriented(turn), tmp_path, reference.device)
    assert np.array_equal(result.mask, reference.mask)


def test_oblique_and_qform_only(cropped: nibabel.Nifti1Image, reference: Result, tmp_path: Path) -> None:
    angle = np.deg2rad(9)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    image = nibabel.Nifti1Image(hounsfield(cropped), None)
    image.set_qform(turn @ cropped.affine, code=1)
    image.set_sform(None, code=0)
    result = segmented(image, tmp_path, reference.device)
    assert np.array_equal(result.mask, reference.mask)
