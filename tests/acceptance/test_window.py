"""The real window on a real X server (Xvfb), in processes of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kidneyseg import models
from kidneyseg.imaging.nifti import load_mask, load_volume, save_volume
from kidneyseg.phantom.abdomen import make_phantom
from window_process import XVFB, environment, needs_xvfb

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    needs_xvfb,
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic CT as a file."""
    path = tmp_path_factory.mktemp("ct") / "made_up.nii.gz"
    volume, _labels = make_phantom(seed=4, shape=(128, 128, 48), spacing_mm=(3.0, 3.0, 6.0))
    save_volume(volume, path)
    return path


def drive(ct: Path, folder: Path, *options: str, **more: str) -> dict[str, Any]:
    command = [*XVFB, sys.executable, str(ROOT / "tests/acceptance/window_driver.py"), str(ct), str(folder), *options]
    there = {**environment(folder), **more}
    done = subprocess.run(command, env=there, capture_output=True, text=True, timeout=800, check=False)
    lines = done.stdout.strip().splitlines()
    assert done.returncode == 0, done.stderr  # also after the window has closed
    assert lines, done.stderr
    seen = json.loads(lines[-1])
    assert "error" not in seen, seen
    return seen


@pytest.mark.parametrize(
    ("choice", "widget", "platform"),
    [
        ("pyvistaqt", "QtInteractor", "xcb"),
        ("offscreen", "OffscreenCanvas", "xcb"),
        ("pyvistaqt", "OffscreenCanvas", "offscreen"),
    ],
)
def test_all_panes_are_drawn_and_both_canvases_show_the_surface(
    phantom: Path, tmp_path: Path, choice: str, widget: str, platform: str
):
    seen = drive(phantom, tmp_path, "--surface", KIDNEYSEG_3D=choice, QT_QPA_PLATFORM=platform)
    assert seen["title"].startswith("made_up")
    for pane in ("Axial", "Coronal", "Sagittal"):
        assert seen[f"greys {pane}"] > 30, seen
    assert seen["greys 3D"] > 10, seen  # the box, the crosshair and the compass over a gradient
    assert seen["canvas"] == widget
    assert seen["changed by the surface"] > 0.05, seen
    assert seen["surface pixels"] > 0.01, seen


def test_a_tumour_at_the_rim_is_not_striped_by_the_kidneys_surface_nor_drawn_as_kidney_once_hidden(tmp_path: Path):
    command = [*XVFB, sys.executable, str(ROOT / "tests/acceptance/rim_tumour.py")]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    striped, as_kidney, cyst = map(float, done.stdout.split())
    assert striped < 0.01
    assert 0.01 < as_kidney < 0.2  # the kidney that is left is a small ball inside the tumour
    assert cyst > 0.02, "its points are seen through those of the kidney"


def test_a_reset_of_the_3d_view_cuts_neither_tall_nor_wide_findings(tmp_path: Path):
    command = [*XVFB, sys.executable, str(ROOT / "tests/acceptance/camera_fit.py")]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert 0.85 < max(map(float, line.split())) < 0.99, done.stdout


@pytest.mark.parametrize(("screen", "scale"), [("1280x720", "1"), ("1600x1000", "1.5"), ("1600x1000", "2")])
def test_everything_fits_on_a_small_screen(tmp_path: Path, screen: str, scale: str):
    script = str(ROOT / "tests/acceptance/small_screen.py")
    command = ["xvfb-run", "-a", "-s", f"-screen 0 {screen}x24", sys.executable, script, str(tmp_path)]
    there = {**environment(tmp_path), "QT_SCALE_FACTOR": scale}
    done = subprocess.run(command, env=there, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["screen"] == [round(int(pixels) / float(scale)) for pixels in screen.split("x")]
    assert seen["hidden"] == []
    width, height = seen["smallest view"]
    assert width >= 190
    assert height >= 85


@pytest.mark.skipif(
    not (Path(models.__file__).parent / "default-stage2.safetensors").is_file(), reason="no networks are bundled yet"
)
def test_segment_change_the_fill_and_export(phantom: Path, tmp_path: Path):
    seen = drive(phantom, tmp_path, "--segment")
    assert not seen["networks_again"]
    assert {"made_up_mask.nii.gz", "made_up_mask.json"} <= set(seen["exported"])
    mask, _geometry = load_mask(tmp_path / "made_up_mask.nii.gz")
    assert mask.shape == load_volume(phantom).shape
    assert json.loads((tmp_path / "made_up_mask.json").read_text())["settings"]["fill"]["algorithm"] == "hull"


@pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("Xvfb", "xdotool", "openbox")), reason="Xvfb, xdotool or openbox is missing"
)
def test_a_file_dragged_from_another_program_opens(phantom: Path, tmp_path: Path):
    dropped = tmp_path / "dropped.nii.gz"
    shutil.copy(phantom, dropped)
    with contextlib.ExitStack() as programs:

        def start(*command: str, wait_for: str = "") -> subprocess.Popen[str]:
            program = subprocess.Popen(command, env=there, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            programs.callback(program.communicate)
            programs.callback(program.terminate)
            if wait_for:
                assert wait_for in program.stdout.readline()
            return program

        reading, writing = os.pipe()
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1200x24"],
            pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        programs.callback(server.wait)
        programs.callback(server.terminate)
        os.close(writing)
        with os.fdopen(reading) as numbers:
            there = {**environment(tmp_path), "DISPLAY": f":{numbers.readline().strip()}"}
        start("openbox")
        start(sys.executable, "-m", "kidneyseg_gui", str(phantom))
        await_log(tmp_path, "opened a CT", times=1)
        source = start(sys.executable, str(ROOT / "tests/acceptance/drag_source.py"), str(dropped), wait_for="ready")
        time.sleep(2)
        for move in ("50 30", "mousedown", "90 70", "300 300", "500 400", "520 420", "540 440", "mouseup"):
            command = [move, "1"] if move.startswith("mouse") else ["mousemove", *move.split()]
            subprocess.run(["xdotool", *command], env=there, check=True)
            time.sleep(0.5)
        await_log(tmp_path, "opened a CT", times=2)
        assert source.stdout.readline().strip() == "CopyAction"  # a file manager deletes what was moved


def await_log(home: Path, words: str, times: int) -> None:
    log = home / ".local/share/KidneySeg/logs/kidneyseg.log"
    end = time.monotonic() + 90
    while not (log.is_file() and log.read_text().count(words) >= times):
        assert time.monotonic() < end, log.read_text() if log.is_file() else "no log"
        time.sleep(0.2)


def test_help_and_version_need_no_display(tmp_path: Path):
    for option, words in (("--help", "sample case"), ("--version", "KidneySeg")):
        done = subprocess.run(
            [sys.executable, "-m", "kidneyseg_gui", option],
            env={k: v for k, v in environment(tmp_path).items() if k != "QT_QPA_PLATFORM"},
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert words in done.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_program_and_saves_its_options(phantom: Path, tmp_path: Path, how: signal.Signals):
    # Offscreen, so that the signal reaches the program itself and not xvfb-run.
    program = subprocess.Popen(
        [sys.executable, "-m", "kidneyseg_gui", str(phantom)],
        env={**environment(tmp_path), "QT_QPA_PLATFORM": "offscreen"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    await_log(tmp_path, "opened a CT", times=1)
    program.send_signal(how)
    program.communicate(timeout=60)
    assert program.returncode == 130
    assert "geometry=" in (tmp_path / ".config/KidneySeg/KidneySeg.conf").read_text()
