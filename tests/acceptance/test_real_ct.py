"""The bundled networks on real CTs, from the NIfTI file to the mask's file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.metrics import kits19_dice
from kidneyseg.phantom.sample import sample_case
from kidneyseg.segmentation.pipeline import Pipeline, Result
from kidneyseg.settings import preset

# Kept out of training; see the model cards.
VALIDATION = ("btcv0005", "btcv0010", "btcv0039")


def evaluate(*arguments: str | Path) -> Any:
    command = [sys.executable, "-m", "kidneyseg", "evaluate", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", VALIDATION)
def test_kidneys_of_unseen_patients(data_dir: Path, name: str, device: str) -> None:
    figures = evaluate(data_dir / "btcv", "--cases", name, "--device", device)["cases"][0]["figures"]
    print(figures)
    assert figures["kidney Dice"] >= 0.80
    assert figures["peak MB"] < 4000


def test_inserted_tumours_are_found(data_dir: Path, device: str) -> None:
    how = ("--lesions", "procedural", "--device", device)
    report = evaluate(data_dir / "btcv", "--cases", VALIDATION[1], *how)
    lesions = report["cases"][0]["lesions"]
    print(lesions)
    assert any(lesion["found"] for lesion in lesions)


def test_the_sample_case_shows_what_the_program_is_for(tmp_path: Path, device: str) -> None:
    ct = sample_case(tmp_path)
    result = Pipeline(load_volume(ct), device=device).run(preset("default"))
    dice = kits19_dice(result.mask, load_mask(ct.with_name("sample_labels.nii.gz"))[0])
    assert dice["kidney"] > 0.9
    assert dice["tumour"] > 0.3
    assert len(result.findings.kidneys) == 2


@pytest.fixture(scope="module")
def cropped(data_dir: Path) -> nibabel.Nifti1Image:
    """A real CT cut to 320 x 240 x 60 voxels around the kidneys, so that a run takes seconds."""
    image = nibabel.Nifti1Image.from_filename(data_dir / "btcv" / f"{VALIDATION[1]}_ct.nii.gz")
    kidneys = load_mask(data_dir / "btcv" / f"{VALIDATION[1]}_kidney.nii.gz")
    where = [np.flatnonzero(kidneys[0].any(axis=tuple(j for j in range(3) if j != i))) for i in range(3)]
    canonical = nibabel.as_closest_canonical(image)
    middle = [int(w.mean()) for w in where]
    box = tuple(slice(max(0, m - half), m + half) for m, half in zip(middle, (160, 120, 30), strict=True))
    return canonical.slicer[box]


@pytest.fixture(scope="module")
def reference(cropped: nibabel.Nifti1Image, tmp_path_factory: pytest.TempPathFactory, device: str) -> Result:
    return segmented(cropped, tmp_path_factory.mktemp("reference"), device)


def segmented(image: nibabel.Nifti1Image, folder: Path, device: str) -> Result:
    path = folder / "ct.nii"
    image.to_filename(path)
    return Pipeline(load_volume(path), device=device).run(preset("default"))


def hounsfield(image: nibabel.Nifti1Image) -> Any:
    return np.rint(np.asarray(image.dataobj)).astype(np.int16)


def test_reference_finds_kidneys(reference: Result) -> None:
    assert len(reference.findings.kidneys) == 2


def test_full_range_gives_the_same_mask(cropped: nibabel.Nifti1Image, reference: Result, tmp_path: Path) -> None:
    """Air at -1000 and bone spread to 1500, as in users' files; the shared CTs are clipped to [-125, 275]."""
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
