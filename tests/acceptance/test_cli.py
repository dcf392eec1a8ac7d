"""The `kidneyseg` command in real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import kidneyseg
from kidneyseg.imaging.nifti import load_mask, load_volume, save_volume
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ct.nii.gz` and tiny random networks in `models`."""
    folder = tmp_path_factory.mktemp("case")
    save_volume(abdomen()[0], folder / "ct.nii.gz")
    (folder / "models").mkdir()
    tiny_models(folder / "models")
    return folder


def test_segment_writes_mask_and_sidecar_beside_the_ct(case: Path, tmp_path: Path, device: str) -> None:
    ct = tmp_path / "patient.nii.gz"
    ct.write_bytes((case / "ct.nii.gz").read_bytes())
    done = kidneyseg("segment", ct, "--models", case / "models", "--device", device, "--timings")
    assert done.returncode == 0, done.stderr
    assert "stage 1" in done.stdout
    assert "peak memory" in done.stdout
    assert load_mask(tmp_path / "patient_mask.nii.gz")[0].shape == load_volume(ct).shape
    told = json.loads((tmp_path / "patient_mask.json").read_text())
    assert told["settings"]["method"] == "default"
    assert told["device"] == device
    assert done.stderr == ""  # no progress bar where no terminal is


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    ("output", "more"),
    [(">/dev/full", []), (">/dev/full", ["--json"]), (">&-", ["--json"])],
    ids=["full", "json", "closed"],
)
def test_a_report_that_cannot_be_printed_leaves_the_mask(
    case: Path, tmp_path: Path, output: str, more: list[str]
) -> None:
    mask = tmp_path / "m.nii.gz"
    arguments = ["segment", str(case / "ct.nii.gz"), "-o", str(mask), "--models", str(case / "models"), *more]
    command = ["sh", "-c", f'exec "$0" -m kidneyseg "$@" {output}', sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 4, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "standard output" in done.stderr
    assert load_mask(mask)[0].shape == load_volume(case / "ct.nii.gz").shape
    assert json.loads((tmp_path / "m.json").read_text())["device"] in ("cpu", "cuda")


def test_an_interrupt_leaves_no_mask(case: Path, tmp_path: Path) -> None:
    mask = tmp_path / "m.nii.gz"
    command = [sys.executable, "-m", "kidneyseg", "segment", str(case / "ct.nii.gz"), "-o", str(mask)]
    process = subprocess.Popen([*command, "--models", str(case / "models")], stderr=subprocess.PIPE, text=True)
    time.sleep(0.5)
    while process.poll() is None:  # an import that is under way may swallow one; then a user presses Ctrl+C again
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    process.communicate(timeout=60)
    # Before the command is imported Python itself ends with the signal.
    assert process.returncode in (130, -signal.SIGINT, 1)
    assert os.listdir(tmp_path) == []


def test_info_as_json() -> None:
    done = kidneyseg("info", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["torch"].startswith("2.")
