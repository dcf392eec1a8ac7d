"""What `serve-dicom` and `watch-folder` share."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from kidneyseg.cli.serving_arguments import above_zero, add_serving, options_of, print_jobs, say
from kidneyseg.service.job_queue import JobQueue
from kidneyseg.service.jobs import State


def test_options_of_segment_are_given_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = argparse.ArgumentParser()
    add_serving(parser, settle_s=7.0)
    parsed = parser.parse_args([])
    assert (parsed.settle, options_of(parsed)) == (7.0, ["--preset", "default", "--device", "auto"])
    monkeypatch.chdir(tmp_path)
    assert options_of(parser.parse_args(["--models", "own"]))[-1] == str(tmp_path / "own")


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "soon"])
def test_seconds_are_above_zero(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        above_zero(text)


def test_jobs_are_listed_by_number_and_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with JobQueue(tmp_path) as queue:
        for state in State:
            queue.add("key", state, source="/data/Doe_Jane.zip")
    print_jobs(tmp_path)
    told = capsys.readouterr().out
    assert [line.split("  ")[-1] for line in told.splitlines()] == [
        "receiving",
        "waits to be segmented",
        "waits to be sent",
        "done",
        "failed",
    ]
    assert "Doe" not in told


def test_lines_bear_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    say("Job 1: done.")
    assert capsys.readouterr().out[4:].startswith("-")
