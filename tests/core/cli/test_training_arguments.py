"""What `train` and `crossvalidate` refuse before anything is trained."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from kidneyseg.cli.bench import lesions_of
from kidneyseg.cli.main import main
from kidneyseg.errors import InputError
from kidneyseg.synthesis import lesion_cache
from kidneyseg.synthesis.insertion import LesionLibrary


def test_a_negative_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(tmp_path), "-o", str(tmp_path / "out"), "--seed", "-1"])
    assert stopped.value.code == 2
    assert "argument --seed: a whole number from 0, not '-1'" in capsys.readouterr().err


def test_the_fixed_kits19_cases_where_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}_ct.nii.gz").touch()
        (tmp_path / f"{name}_kidney.nii.gz").touch()
    assert main(["train", str(tmp_path), "-o", str(tmp_path / "out"), "--validate", "kits19"]) == 3
    assert "--validate kits19 means case_00000 to case_00209" in capsys.readouterr().err


def test_a_library_without_a_shape_to_score_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_no_case = LesionLibrary.procedural(seed=0)
    monkeypatch.setattr(lesion_cache, "kits_library", lambda *_: of_no_case)
    arguments = Namespace(no_insertion=False, lesions=tmp_path, lesion_hu=None, seed=0)
    learn, score = lesions_of(arguments, tmp_path, scored=False)
    assert learn is not None
    assert learn.lesions
    assert score is not None
    assert not score.lesions
    with pytest.raises(InputError, match="whose number is divisible by 5: such shapes serve to score"):
        lesions_of(arguments, tmp_path, scored=True)


def test_a_network_that_the_preset_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a_ct.nii.gz").touch()
    (tmp_path / "a_kidney.nii.gz").touch()
    command = ["train", str(tmp_path), "-o", str(tmp_path / "out"), "--stage", "coarse"]
    for more in (["--preset", "paper"], ["--start-from", str(tmp_path)]):
        assert main([*command, *more]) == 2
        assert "--stage coarse is for preset default without --start-from" in capsys.readouterr().err
