"""What all commands have in common: help, exit codes, and one sentence for each error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kidneyseg.cli import main
from kidneyseg.cli.main import _COMMANDS
from kidneyseg.imaging.nifti import save_volume
from tiny_networks import tiny_models
from volumes import abdomen


def test_help_reads_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for command in ("", *_COMMANDS):
        with pytest.raises(SystemExit, match="0"):
            main([word for word in (command, "--help") if word])
        told = capsys.readouterr().out
        assert told.startswith(f"usage: kidneyseg {command}".rstrip())
        assert max(map(len, told.splitlines())) <= 120


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from kidneyseg.cli import main\n"
        f"for command in {_COMMANDS}:\n"
        "    try: main([command, '--help'])\n"
        "    except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_exit_codes_mean_something(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ct, broken, folder, empty = (tmp_path / name for name in ("ct.nii.gz", "broken.nii.gz", "missing", "empty"))
    save_volume(abdomen()[0], ct)
    broken.write_bytes(ct.read_bytes()[:2000])
    empty.mkdir()
    models = ("--models", tiny_models(tmp_path))
    cases: list[tuple[int, str, list[str | Path]]] = [
        (2, "DBSCAN eps must be", ["segment", ct, "--eps-mm", "0", *models]),
        (3, "There is no file", ["segment", tmp_path / "nothing.nii.gz", *models]),
        (3, "broken.nii.gz", ["segment", broken, *models]),
        (3, "labelled CT", ["evaluate", empty]),
        (3, "labelled CT", ["train", empty, "-o", tmp_path / "out"]),
        (4, "no folder", ["segment", ct, "-o", folder / "m.nii.gz", *models]),
        (1, "kidneyseg train", ["segment", ct, "-o", tmp_path / "m.nii.gz", "--models", empty]),
    ]
    if not torch.cuda.is_available():
        cases.append((1, "no CUDA", ["segment", ct, "-o", tmp_path / "m.nii.gz", "--device", "cuda", *models]))
    for code, says, arguments in cases:
        assert main([str(word) for word in arguments]) == code, arguments
        told = capsys.readouterr()
        assert says in told.err, arguments
        assert (told.out, len(told.err.strip().splitlines())) == ("", 1)


@pytest.mark.parametrize("arguments", [["segment"], ["segment", "a.nii", "--hu-offset", "some"], ["segmentt"]])
def test_wrong_arguments_end_with_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "too little free memory"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_what_ends_a_command_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: BaseException, code: int, says: str
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("kidneyseg.cli.info.run", fail)
    assert main(["info"]) == code
    told = capfd.readouterr().err
    assert says in told
    assert len(told.splitlines()) == bool(says)
