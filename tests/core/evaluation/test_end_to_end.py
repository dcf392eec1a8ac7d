import errno
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.errors import InputError, KidneySegError
from kidneyseg.evaluation import end_to_end
from kidneyseg.evaluation.end_to_end import SegmentationSpec, seen_in_training, segment_and_score
from kidneyseg.evaluation.scores import AS_IS, INSERTED, CaseScore, Failure
from kidneyseg.evaluation.variants import Variants
from kidneyseg.imaging.nifti import load_mask, load_volume, save_mask, save_volume
from kidneyseg.models import load_model, save_model
from kidneyseg.settings import Settings, preset
from kidneyseg.synthesis.lesion_library import LesionLibrary
from labelled_cases import labelled_cases
from tiny_networks import tiny_models
from volumes import abdomen

SPEC = SegmentationSpec(preset("default"))


@pytest.fixture
def cases(tmp_path):
    return labelled_cases(tmp_path)


@pytest.fixture
def segmented(monkeypatch):
    """Replaces `kidneyseg segment`: every voxel above 100 HU is kidney. Keeps the settings of each call."""
    calls = []

    def segment(image: Path, mask: Path, spec: SegmentationSpec, settings: Path) -> tuple[float, float]:
        volume = load_volume(image)
        if (volume.hu == 1234).any():
            raise InputError("no CT at all")
        calls.append((image.name, Settings.from_json(settings.read_text())))
        save_mask((volume.hu > 100).astype(np.uint8), volume, mask)
        return 512.0, 2.5

    monkeypatch.setattr(end_to_end, "_segment", segment)
    return calls


def test_each_ct_is_segmented_with_the_settings_and_scored(cases, segmented, tmp_path):
    settings = preset("default").with_(clusters={"eps_mm": 7.0})
    one, two = segment_and_score(cases, SegmentationSpec(settings), keep=tmp_path / "out")
    assert (one.name, two.name, one.group) == ("a", "b", AS_IS)
    assert one.dice["kidney_and_masses"] == 1.0
    assert (one.seconds, one.peak_mb) == (2.5, 512.0)
    assert one.points is not None
    assert segmented == [("a_ct.nii.gz", settings), ("b_ct.nii.gz", settings)]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a_mask.nii.gz", "b_mask.nii.gz"]


def test_a_ct_with_inserted_tumours_is_kept_with_its_labels(cases, segmented, tmp_path):
    variants = Variants(LesionLibrary.procedural(12, seed=1), as_is=True)
    original, inserted = segment_and_score(cases[:1], SPEC, variants, keep=tmp_path / "out")
    assert (original.name, original.group, original.lesions) == ("a", AS_IS, ())
    assert (inserted.name, inserted.case, inserted.group) == ("a_inserted", "a", INSERTED)
    assert [image for image, _ in segmented] == ["a_ct.nii.gz", "a_inserted.nii.gz"]
    labels, geometry = load_mask(tmp_path / "out" / "a_inserted_labels.nii.gz")
    assert (labels == 2).sum() * np.prod(geometry.spacing_mm) / 1000 == pytest.approx(inserted.tumour_ml[1])
    assert inserted.tumour_ml[1] > 0


def test_a_case_that_fails_is_named_and_the_others_go_on(cases, segmented):
    volume = abdomen()[0]
    volume.hu[0, 0, 0] = 1234
    save_volume(volume, cases[0].image)
    failed, good = segment_and_score(cases, SPEC)
    assert failed == Failure("a", "no CT at all", "a", AS_IS)
    assert isinstance(good, CaseScore)
    cases[0].labels.write_bytes(b"torn")
    failed, _ = segment_and_score(cases, SPEC)
    assert "a_kidney.nii.gz" in failed.error


@pytest.mark.parametrize("name", ["case_variants", "score_case"])
def test_a_case_without_memory_is_named_and_the_others_go_on(cases, segmented, monkeypatch, name):
    original, calls = getattr(end_to_end, name), []

    def first_fails(*arguments, **named):
        calls.append(name)
        if len(calls) == 1:
            raise MemoryError
        return original(*arguments, **named)

    monkeypatch.setattr(end_to_end, name, first_fails)
    failed, good = segment_and_score(cases, SPEC)
    assert (failed.name, "too little free memory" in failed.error) == ("a", True)
    assert isinstance(good, CaseScore)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", ("SIGKILL", "lack of memory", "close other programs")),
        ("os.kill(os.getpid(), signal.SIGTERM)", ("signal 15 (Terminated)", "kidneyseg segment", "a_ct.nii.gz")),
        ("sys.exit(3)", ("failed without a message", "kidneyseg segment")),
        ("sys.exit('note\\nno CT')", ("no CT",)),
    ],
)
def test_a_segmentation_that_ends_badly_says_why(cases, monkeypatch, code, words):
    started = subprocess.run

    def run(command, **named):
        return started([command[0], "-c", f"import os, signal, sys; {code}"], **named)

    monkeypatch.setattr(end_to_end.subprocess, "run", run)
    (failed,) = segment_and_score(cases[:1], SPEC)
    assert all(word in failed.error for word in words), failed.error


def test_a_segmentation_that_cannot_be_started(cases, monkeypatch):
    def run(*_, **__):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(end_to_end.subprocess, "run", run)
    (failed,) = segment_and_score(cases[:1], SPEC)
    assert "could not be started (Cannot allocate memory); close" in failed.error


def test_a_folder_that_cannot_be_made(cases, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KidneySegError, match="cannot be made"):
        next(segment_and_score(cases, SPEC, keep=tmp_path / "file" / "x"))


@pytest.mark.parametrize("stage", [1, 2])
def test_cases_that_any_network_was_trained_on(cases, tmp_path, stage):
    spec = SegmentationSpec(preset("default"), tiny_models(tmp_path))
    assert seen_in_training(cases, spec) == []
    name = f"default-stage{stage}"
    save_model(load_model(name, tmp_path).network, tmp_path / f"{name}.safetensors", {"trained on": ["b", "c"]})
    assert seen_in_training(cases, spec) == ["b"]
