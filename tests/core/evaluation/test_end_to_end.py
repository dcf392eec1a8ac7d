import errno
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import InputError, KidneySegError
from kidneyseg.evaluation import (
    AS_IS,
    INSERTED,
    LESIONS_UNLABELLED,
    CaseScore,
    Failure,
    Segmenting,
    Variants,
    end_to_end,
    segment_and_score,
)
from kidneyseg.imaging.nifti import load_mask, load_volume, save_mask, save_volume
from kidneyseg.settings import Settings, preset
from kidneyseg.synthesis.insertion import LesionLibrary
from volumes import abdomen

PROCEDURAL = LesionLibrary.procedural(12, seed=1)


@pytest.fixture
def cases(tmp_path):
    volume, truth = abdomen()
    found = []
    for name in ("a", "b"):
        case = CaseFiles(name, tmp_path / f"{name}_ct.nii.gz", tmp_path / f"{name}_kidney.nii.gz")
        save_volume(volume, case.image)
        save_mask((truth > 0).astype(np.uint8), volume, case.labels)
        found.append(case)
    return found


@pytest.fixture
def segmented(monkeypatch):
    """Stands in for the program: every voxel above 100 HU is kidney. Keeps the settings of each call."""
    calls = []

    def segment(image: Path, mask: Path, how: Segmenting, settings: Path) -> tuple[float, float]:
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
    one, two = segment_and_score(cases, Segmenting(settings), keep=tmp_path / "out")
    assert (one.name, two.name, one.group) == ("a", "b", AS_IS)
    assert one.dice["kidney_and_masses"] == 1.0
    assert (one.seconds, one.peak_mb) == (2.5, 512.0)
    assert one.points is not None
    assert segmented == [("a_ct.nii.gz", settings), ("b_ct.nii.gz", settings)]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a_mask.nii.gz", "b_mask.nii.gz"]


def test_insertions_are_many_different_and_repeatable(cases, segmented, tmp_path):
    def scores(folder, seed=0, insertions=3):
        variants = Variants(PROCEDURAL, insertions, as_is=True, seed=seed, lesions_unlabelled=frozenset({"b"}))
        return list(segment_and_score(cases, Segmenting(preset("default")), variants, keep=tmp_path / folder))

    first = scores("one")
    assert [score.name for score in first] == [
        *("a", "a_inserted0", "a_inserted1", "a_inserted2"),
        *("b", "b_inserted0", "b_inserted1", "b_inserted2"),
    ]
    assert [score.case for score in first] == ["a"] * 4 + ["b"] * 4
    assert [score.group for score in first] == [AS_IS, *[INSERTED] * 3, LESIONS_UNLABELLED, *[INSERTED] * 3]
    inserted = [score for score in first if score.group == INSERTED]
    assert all(score.lesions for score in inserted)
    assert len({score.lesions for score in inserted}) == 6
    assert first[0].lesions == ()
    assert scores("again") == first
    labels = load_mask(tmp_path / "one" / "a_inserted1_labels.nii.gz")[0]
    assert (labels == 2).sum() * 2 * 2 * 4 / 1000 == pytest.approx(first[2].tumour_ml[1])
    # The next seed begins where the second insertion stood.
    assert [score.lesions for score in scores("next", seed=1, insertions=1)[1::2]] == [
        first[2].lesions,
        first[6].lesions,
    ]


def test_a_case_that_fails_is_named_and_the_others_go_on(cases, segmented):
    volume = abdomen()[0]
    volume.hu[0, 0, 0] = 1234
    save_volume(volume, cases[0].image)
    failed, good = segment_and_score(cases, Segmenting(preset("default")))
    assert failed == Failure("a", "no CT at all", "a", AS_IS)
    assert isinstance(good, CaseScore)
    cases[0].labels.write_bytes(b"torn")
    failed, _ = segment_and_score(cases, Segmenting(preset("default")))
    assert "a_kidney.nii.gz" in failed.error


def test_a_case_without_memory_is_named_and_the_others_go_on(cases, segmented, monkeypatch):
    score, insert = end_to_end.score_case, end_to_end.insert_random_lesions
    tried = []

    def first_fails(original):
        def work(*arguments, **named):
            tried.append(original)
            if tried.count(original) == 1:
                raise MemoryError
            return original(*arguments, **named)

        return work

    monkeypatch.setattr(end_to_end, "score_case", first_fails(score))
    failed, good = segment_and_score(cases, Segmenting(preset("default")))
    assert (failed.name, "too little free memory" in failed.error) == ("a", True)
    assert isinstance(good, CaseScore)
    monkeypatch.setattr(end_to_end, "insert_random_lesions", first_fails(insert))
    failed, good = segment_and_score(cases, Segmenting(preset("default")), Variants(PROCEDURAL))
    assert (failed.name, "close other programs" in failed.error) == ("a", True)
    assert isinstance(good, CaseScore)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", ("SIGKILL", "lack of memory", "close other programs")),
        ("os.kill(os.getpid(), signal.SIGTERM)", ("SIGTERM", "kidneyseg segment", "a_ct.nii.gz")),
        ("sys.exit(3)", ("failed without a word", "kidneyseg segment")),
        ("sys.exit('note\\nno CT')", ("no CT",)),
    ],
)
def test_a_segmentation_that_ends_badly_says_why(cases, monkeypatch, code, words):
    started = subprocess.run

    def run(command, **named):
        return started([command[0], "-c", f"import os, signal, sys; {code}"], **named)

    monkeypatch.setattr(end_to_end.subprocess, "run", run)
    (failed,) = segment_and_score(cases[:1], Segmenting(preset("default")))
    assert all(word in failed.error for word in words), failed.error


def test_a_segmentation_that_cannot_be_started(cases, monkeypatch):
    def run(*_, **__):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(end_to_end.subprocess, "run", run)
    (failed,) = segment_and_score(cases[:1], Segmenting(preset("default")))
    assert "could not be started (Cannot allocate memory); close" in failed.error


def test_a_ct_without_room_for_a_tumour(cases, segmented):
    truth = load_mask(cases[0].labels)[0]
    save_mask(np.zeros_like(truth), abdomen()[0], cases[0].labels)
    (failed,) = segment_and_score(cases[:1], Segmenting(preset("default")), Variants(PROCEDURAL))
    assert "no tumour finds room in a" in failed.error


def test_a_folder_that_cannot_be_made(cases, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KidneySegError, match="cannot be made"):
        next(segment_and_score(cases, Segmenting(preset("default")), keep=tmp_path / "file" / "x"))
