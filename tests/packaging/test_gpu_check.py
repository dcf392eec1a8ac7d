"""The script that checks a GPU, on a machine without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "packaging/gpu-check"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--help"], 0, "usage: packaging/gpu-check"),
        (["--fast"], 2, "there is no option --fast"),
        (["--python"], 2, "--python needs a value"),
        (["--python", "/nowhere/python"], 2, "there is no /nowhere/python"),
        (["--python", sys.executable], 2, "torch cannot use a GPU here"),
    ],
)
def test_without_a_gpu_it_says_what_is_missing(arguments: list[str], status: int, said: str) -> None:
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, env=hidden, check=False)
    assert done.returncode == status
    assert said in done.stdout + done.stderr
