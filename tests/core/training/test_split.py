"""Which cases are trained on: the split that is written down, and copies across it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from kidneyseg.errors import InputError
from kidneyseg.training.context import TrainingSpec
from kidneyseg.training.split import split_cases, warn_of_copies, write_split


def kits(folder: Path, *names: str) -> TrainingSpec:
    """KiTS' folders with files of different content."""
    for name in names:
        (folder / name).mkdir(parents=True)
        for kind in ("imaging", "segmentation"):
            (folder / name / f"{kind}.nii.gz").write_text(f"{name} {kind}")
    return TrainingSpec(data=folder, output=folder / "out", recipe="paper", device="cpu")


def names(cases: object) -> list[str]:
    return [case.name for case in cases]


def test_a_written_split_is_read_again(tmp_path: Path) -> None:
    spec = kits(tmp_path, "case_00000", "case_00001", "case_00004")
    training, validation = split_cases(replace(spec, validate=("kits19",)))
    assert (names(training), names(validation)) == (["case_00000"], ["case_00001", "case_00004"])
    write_split(tmp_path, training, validation)
    assert (tmp_path / "training.txt").read_text() == "case_00000\n"
    again = replace(spec, validate=(str(tmp_path / "validation.txt"),))
    assert names(split_cases(again)[1]) == ["case_00001", "case_00004"]


def test_nothing_is_written_without_validation(tmp_path: Path) -> None:
    write_split(tmp_path, split_cases(kits(tmp_path, "case_00000"))[0], [])
    assert not list(tmp_path.glob("*.txt"))


def test_a_list_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    spec = kits(tmp_path, "case_00000", "case_00001")
    listed = tmp_path / "list.txt"
    for content, message in (("case_00009\n", "there is no case case_00009 to validate on"), (None, "cannot be read")):
        listed.unlink() if content is None else listed.write_text(content)
        with pytest.raises(InputError, match=message):
            split_cases(replace(spec, validate=(str(listed),)))


def test_a_copy_of_a_validation_ct_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = kits(tmp_path, "case_00000", "case_00001", "case_00001_old", "case_00002")
    copied = (tmp_path / "case_00001" / "imaging.nii.gz").read_bytes()
    (tmp_path / "case_00001_old" / "imaging.nii.gz").write_bytes(copied)
    training, validation = split_cases(replace(spec, validate=("case_00001",)))
    with caplog.at_level(logging.WARNING):
        warn_of_copies(training, [])
        assert not caplog.records
        warn_of_copies(training, validation)
    expected = "case_00001_old is trained on, and it is the same CT as case_00001, which is for validation"
    assert [record.getMessage() for record in caplog.records] == [expected]
