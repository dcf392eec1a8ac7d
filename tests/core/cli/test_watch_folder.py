"""`watch-folder`: what is put into a folder is segmented into another one."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dicom_peers import study
from dicom_series import save
from kidneyseg.cli import main
from kidneyseg.service import job_process
from kidneyseg.service.job_process import NotSegmentedError


def watch(folder: Path, *arguments: str) -> int:
    return main(
        ["watch-folder", str(folder / "in"), "--queue", str(folder / "queue"), "--settle", "0.1", *arguments],
    )


def test_it_needs_a_folder_and_another_for_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch(tmp_path) == 2
    assert "-o DIR" in capsys.readouterr().err
    assert watch(tmp_path, "-o", str(tmp_path / "out")) == 3
    assert "There is no folder" in capsys.readouterr().err
    (tmp_path / "in").mkdir()
    assert watch(tmp_path, "-o", str(tmp_path / "in")) == 2
    assert "would be taken for CTs" in capsys.readouterr().err
    assert watch(tmp_path, "--status") == 0
    assert capsys.readouterr().out == "The queue is empty.\n"


def test_each_kind_gets_its_formats_and_a_bad_file_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def segment(ct: Path, output: Path, options: list[str], timeout_s: float, _stop: threading.Event) -> None:
        asked[ct.name] = (output, options[1], timeout_s)
        if len(asked) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        if ct.suffix == ".gz":
            raise NotSegmentedError(f"{ct.name} is damaged.", lasting=True)

    monkeypatch.setattr(job_process, "segment_job", segment)
    [one] = study(1)
    save(one, tmp_path / "in" / "study" / "IM1")
    for name in ("Doe_Jane.nii.gz", "other.nii"):
        (tmp_path / "in" / name).write_bytes(b"x" * 400)
    guard = threading.Timer(60, lambda: os.kill(os.getpid(), signal.SIGTERM))
    guard.start()
    time.sleep(0.2)
    assert watch(tmp_path, "-o", str(tmp_path / "out")) == 0
    guard.cancel()
    out = tmp_path / "out"
    assert asked == {
        "Doe_Jane.nii.gz": (out, "nifti", 1800.0),
        "other.nii": (out, "nifti", 1800.0),
        "study": (out, "nifti,seg,sr", 1800.0),
    }
    assert (out / "Doe_Jane.nii.gz_failed.txt").read_text() == "The CT is damaged.\n"
    told = capsys.readouterr().out
    assert "Job 1 failed: The CT is damaged." in told
    assert "Jane" not in told
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["Doe_Jane.nii.gz", "other.nii", "study"]
    assert watch(tmp_path, "--status") == 0
    assert [line.split("  ")[-1] for line in capsys.readouterr().out.splitlines()] == [
        "failed. The CT is damaged.",
        "done",
        "done",
    ]
