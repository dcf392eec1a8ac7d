"""The `kidneyseg` command in real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
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


@pytest.mark.parametrize("command", ["", "segment", "evaluate", "train", "phantom", "info"])
def test_help_reads_well_and_needs_no_torch(command: str) -> None:
    code = (
        "import sys; from kidneyseg.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )
    asked = [word for word in (command, "--help") if word]
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
    assert done.stderr.strip() == "False"
    assert max(map(len, done.stdout.splitlines())) <= 120


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


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_json_and_changed_settings(case: Path, tmp_path: Path, preset: str, device: str) -> None:
    with_models = ("--models", case / "models", "--device", device)
    own = {"default": ("--core-share", "0.25"), "paper": ("--min-samples", "30")}[preset]
    changes = ("--kept-percent", "20", "--eps-mm", "8", *own, "--fill", "hull")
    mask = tmp_path / "m.nii"
    done = kidneyseg("segment", case / "ct.nii.gz", "-o", mask, *with_models, "--preset", preset, *changes, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["settings"]["sampling"]["kept_percent"] == 20
    clusters = {"default": {"eps_mm": 8.0, "core_share": 0.25}, "paper": {"eps_mm": 8.0, "min_samples": 30}}[preset]
    assert told["settings"]["clusters"] == clusters
    assert told["settings"]["fill"]["algorithm"] == "hull"
    again = kidneyseg(
        "segment", case / "ct.nii.gz", "-o", tmp_path / "n.nii", *with_models, "--settings", tmp_path / "m.json"
    )
    assert again.returncode == 0, again.stderr
    assert np.array_equal(load_mask(mask)[0], load_mask(tmp_path / "n.nii")[0])


def test_exit_codes_mean_something(case: Path, tmp_path: Path) -> None:
    models, ct = ("--models", case / "models"), case / "ct.nii.gz"
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(ct.read_bytes()[:2000])
    for expected, says, arguments in (
        (2, "arguments are required", ["segment"]),
        (2, "DBSCAN eps must be", ["segment", ct, "--eps-mm", "0", *models]),
        (3, "not found", ["segment", tmp_path / "nothing.nii.gz", *models]),
        (3, "broken.nii.gz", ["segment", broken, *models]),
        (3, "no labelled CT", ["evaluate", tmp_path]),
        (3, "no labelled CT", ["train", tmp_path, "-o", tmp_path / "out"]),
        (4, "missing folder", ["segment", ct, "-o", tmp_path / "missing folder" / "m.nii.gz", *models]),
        (4, "never overwritten", ["segment", ct, "-o", ct, *models]),
        (1, "kidneyseg train", ["segment", ct, "-o", tmp_path / "m.nii.gz", "--models", tmp_path]),
        (1, "no CUDA", ["segment", ct, "-o", tmp_path / "m.nii.gz", "--device", "cuda", *models]),
    ):
        done = kidneyseg(*arguments)
        if says == "no CUDA" and done.returncode == 0:
            continue  # there is a GPU
        assert done.returncode == expected, (arguments, done.stderr)
        assert says in done.stderr or expected == 3, done.stderr
        assert "Traceback" not in done.stderr
        if expected != 2:
            assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_what_cannot_be_written_is_refused_before_anything_is_computed(case: Path, tmp_path: Path) -> None:
    """The folder of networks is empty: whatever is computed would end in another exit code."""
    ct = tmp_path / "pat.nii.gz"
    ct.write_bytes((case / "ct.nii.gz").read_bytes())
    (tmp_path / "pat.json").write_text('{"Modality": "CT"}')
    (tmp_path / "there.json").write_text('{"program": "kidneyseg 0"}')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for says, arguments in (
        ("pat.json", ["-o", tmp_path / "pat.nii"]),
        ("there.json exists already", ["-o", tmp_path / "there.nii", "--no-overwrite"]),
        ("no folder", ["-o", tmp_path / "missing" / "m.nii"]),
        ("NIfTI", ["-o", tmp_path / "m.png"]),
        ("never overwritten", ["-o", ct]),
    ):
        (tmp_path / "empty").mkdir()
        done = kidneyseg("segment", ct, *arguments, "--models", tmp_path / "empty")
        (tmp_path / "empty").rmdir()
        assert done.returncode == 4, done.stderr
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("output", [">/dev/full", ">&-"], ids=["full", "closed"])
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


def test_what_was_unusual_in_the_file_is_printed_and_kept(case: Path, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image.from_filename(case / "ct.nii.gz")
    voxels = np.asarray(image.dataobj, np.float32)
    voxels[:4] = np.nan
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), tmp_path / "ct.nii")
    done = kidneyseg("segment", tmp_path / "ct.nii", "--models", case / "models")
    assert done.returncode == 0, done.stderr
    assert "taken as air" in done.stdout
    assert "taken as air" in json.loads((tmp_path / "ct_mask.json").read_text())["notes"][0]


def test_the_offset_of_hu_can_be_given(case: Path, tmp_path: Path) -> None:
    for offset, expected in (("auto", 0), ("-24", -24), ("0", 0)):
        mask = tmp_path / "m.nii.gz"
        done = kidneyseg("segment", case / "ct.nii.gz", "-o", mask, "--models", case / "models", "--hu-offset", offset)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "m.json").read_text())["input"]["hu_offset"] == expected
    assert kidneyseg("segment", case / "ct.nii.gz", "--hu-offset", "some").returncode == 2


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


def test_phantom_and_info(tmp_path: Path) -> None:
    ct = tmp_path / "phantom.nii.gz"
    done = kidneyseg("phantom", ct, "--seed", "3", "--phase", "arterial")
    assert done.returncode == 0, done.stderr
    labels = load_mask(tmp_path / "phantom_labels.nii.gz")[0]
    assert set(np.unique(labels)) == {0, 1, 2}
    told = json.loads(kidneyseg("info", ct, "--json").stdout)
    assert tuple(told["voxels"]) == labels.shape
    assert told["calibrated"] == "yes"
    about = json.loads(kidneyseg("info", "--json").stdout)
    assert about["torch"].startswith("2.")
