"""The work of `kidneyseg bench`: starts processes that are timed, and prints medians."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kidneyseg.cli.machine import Machine
from kidneyseg.cli.terminal import BarProgress, print_json
from kidneyseg.errors import ResourceError
from kidneyseg.phantom.sample import sample_case

COLUMNS = ("first CT", "next CT")
_FIRST_COLUMN = 24  # characters


def bench(arguments: argparse.Namespace) -> int:
    """Time the stages and print them. Returns the exit code of a process that fails, else 0.

    Raises:
        ResourceError: when the system ends a process, as it does where memory runs out.
    """
    sample = arguments.ct is None
    ct = sample_case() if sample else arguments.ct
    runs: list[dict[str, Any]] = []
    with BarProgress() as bar:
        for repeat in range(arguments.repeats):
            bar.update(f"run {repeat + 1} of {arguments.repeats}", repeat / arguments.repeats)
            process = _started(ct, arguments)
            if process.returncode < 0:
                raise ResourceError(f"the timed process was ended by signal {-process.returncode}; is memory short?")
            if process.returncode:
                return process.returncode  # it has said why
            runs.append(json.loads(process.stdout))
    report = summary(runs) | {"ct": ct.name, "sample": sample, "preset": arguments.preset}
    if arguments.json:
        print_json(report)
    else:
        print(table(report))
    return 0


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the processes' reports, with the seconds of every one.

    Args:
        runs: what the processes printed; see `bench_process`.
    """
    report: dict[str, Any] = {key: runs[0][COLUMNS[0]][key] for key in ("voxels", "points")}
    report |= {"machine": runs[0]["machine"], "repeats": len(runs)}
    for column in COLUMNS:
        each = [run[column] for run in runs]
        seconds = {stage: [round(one["seconds"][stage], 4) for one in each] for stage in each[0]["seconds"]}
        report[column] = {
            "median": {stage: round(statistics.median(times), 4) for stage, times in seconds.items()},
            "seconds": seconds,
            "peak MB": max(one["peak MB"] for one in each),
            "device": each[0]["device"],
        }
    return report


def table(report: dict[str, Any]) -> str:
    """The summary as text: what was segmented, the machine, and a row for each stage."""
    first, following = (report[column] for column in COLUMNS)
    voxels = " x ".join(map(str, report["voxels"]))
    points = "{:,} points in stage 1, {:,} in stage 2".format(*report["points"])
    what = "the synthetic sample case" if report["sample"] else report["ct"]
    machine = Machine(**report["machine"])
    lines = [
        f"{what}: {voxels} voxels, {points}, preset {report['preset']}",
        *str(machine).splitlines(),
        "",
        f"{'seconds, medians of ' + str(report['repeats']):<{_FIRST_COLUMN}}{COLUMNS[0]:>10}{COLUMNS[1]:>10}",
    ]
    for stage in first["median"]:
        name = "  " + stage.split(": ")[1] if ": " in stage else stage
        lines.append(_row(name, *(_seconds(one["median"].get(stage)) for one in (first, following))))
    lines.append(_row("peak memory, MB", first["peak MB"], following["peak MB"]))
    lines.append(_row("networks ran on", first["device"], following["device"]))
    return "\n".join(lines)


def _started(ct: Path, arguments: argparse.Namespace) -> subprocess.CompletedProcess[str]:
    """Run a process that segments the CT; its messages go to this one's standard error."""
    models = [] if arguments.models is None else ["--models", str(arguments.models)]
    command = [sys.executable, "-m", "kidneyseg", "bench", str(ct), *models]
    command += ["--preset", arguments.preset, "--device", arguments.device]
    environment = os.environ | ({} if arguments.threads is None else {"OMP_NUM_THREADS": str(arguments.threads)})
    command += ["--started-at", repr(time.monotonic())]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)


def _row(name: str, *cells: object) -> str:
    return f"{name:<{_FIRST_COLUMN}}" + "".join(f"{cell:>10}" for cell in cells)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
