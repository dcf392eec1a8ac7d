"""What `kidneyseg bench` makes of its processes' reports."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kidneyseg.cli import benching
from kidneyseg.cli.machine import Machine
from kidneyseg.errors import ResourceError


def report_of(first: float, following: float) -> dict[str, Any]:
    def run(seconds: dict[str, float], peak: int) -> dict[str, Any]:
        return {"seconds": seconds, "peak MB": peak, "device": "cpu", "voxels": [30, 20, 10], "points": [1200, 80]}

    return {
        "machine": Machine("A Processor", 4, "avx2", 2, (0.5, 0.25), {"kidneyseg": "1.0"}).to_dict(),
        "first CT": run({"start and imports": first / 2, "stage 1": 0.5, "total": first}, round(100 * first)),
        "next CT": run({"stage 1": 0.25, "stage 1: kernel maps": 0.125, "total": following}, 50),
    }


def test_the_table_holds_medians() -> None:
    runs = [report_of(3.0, 1.0), report_of(2.0, 1.5), report_of(8.0, 1.25)]
    report = benching.summary(runs) | {"ct": "a.nii", "sample": False, "preset": "default"}
    assert report["first CT"]["seconds"]["total"] == [3.0, 2.0, 8.0]
    assert benching.table(report).splitlines() == [
        "a.nii: 30 x 20 x 10 voxels, 1,200 points in stage 1, 80 in stage 2, preset default",
        "A Processor, 4 cores, native kernels (avx2) on 2 threads, load 0.50 (1 min) and 0.25 (5 min)",
        "kidneyseg 1.0",
        "",
        "seconds, medians of 3     first CT   next CT",
        "start and imports            1.500          ",
        "stage 1                      0.500     0.250",
        "total                        3.000     1.250",
        "peak memory, MB                800        50",
        "networks ran on                cpu       cpu",
    ]


def test_parts_of_a_stage_stand_below_it() -> None:
    run = report_of(1.0, 1.0)
    run["first CT"]["seconds"] = {"stage 1": 0.5, "stage 1: kernel maps": 0.25}
    report = benching.summary([run]) | {"ct": "a.nii", "sample": True, "preset": "paper"}
    lines = benching.table(report).splitlines()
    assert lines[0].startswith("the synthetic sample case: ")
    assert "  kernel maps                0.250     0.125" in lines


def test_a_process_that_the_system_ended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "_started", lambda *_: subprocess.CompletedProcess([], -9, ""))
    with pytest.raises(ResourceError, match="signal 9"):
        benching.bench(argparse.Namespace(ct=Path("a.nii"), repeats=1))
