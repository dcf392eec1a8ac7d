"""A case is finished in the real window across a kill; the engine gives the same mask for the same gestures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kidneyseg
from kidneyseg.editing import Brush, Change, Click, EditedMask, Voxels, fix, merged, paint, relabel_piece
from kidneyseg.imaging.nifti import load_mask
from window_process import XVFB, environment, needs_xvfb

ROOT = Path(__file__).resolve().parents[2]
CT = ROOT.parent / "shared/data/btcv/btcv0005_ct.nii.gz"

pytestmark = [
    needs_xvfb,
    pytest.mark.skipif(not CT.exists(), reason=f"no real CT at {CT}"),
    pytest.mark.timeout(900),
]


def drive(phase: str, folder: Path, status: int) -> dict[str, Any]:
    command = [*XVFB, sys.executable, str(ROOT / "tests/acceptance/editing_driver.py"), phase, str(CT), str(folder)]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True, timeout=600, check=False)
    lines = done.stdout.strip().splitlines()
    assert lines, done.stderr
    seen: dict[str, Any] = json.loads(lines[-1])
    assert "error" not in seen, seen
    assert done.returncode == status, done.stderr
    return seen


class Session:
    """The engine's side: the same gestures without a window."""

    def __init__(self) -> None:
        self.volume = kidneyseg.load(CT)
        self.result = kidneyseg.segment(self.volume)
        self.mask = EditedMask(self.result.mask)
        self.done: list[Change] = []
        self.undone: list[Change] = []
        self.clicks: list[Click] = []
        self.clicked = Change.none()

    def run(self, gesture: dict[str, Any]) -> None:
        kind = gesture["do"]
        if kind == "undo":
            self.undone.append(self.done.pop())
            self.mask.revert(self.undone[-1])
        elif kind == "redo":
            self.done.append(self.undone.pop())
            self.mask.apply(self.done[-1])
        else:
            self.done.append(getattr(self, kind)(gesture))

    def delete(self, gesture: dict[str, Any]) -> Change:
        change = self.mask.painted(relabel_piece(self.volume, self.mask.labels, tuple(gesture["voxel"]), 0))
        self.mask.apply(change)
        return change

    def click(self, gesture: dict[str, Any]) -> Change:
        """All clicks start from the mask before the first."""
        self.clicks.append(Click(tuple(gesture["voxel"]), gesture["label"]))
        self.mask.revert(self.clicked)
        voxels: Voxels = fix(self.volume, self.mask.labels, self.result.stage2, self.clicks)
        before, self.clicked = self.clicked, self.mask.painted(voxels)
        self.mask.apply(self.clicked)
        return merged([before.inverse(), self.clicked])

    def stroke(self, gesture: dict[str, Any]) -> Change:
        brush = Brush(gesture["label"], gesture["radius_mm"], axis=2)
        points, parts = np.array(gesture["points"]), []
        for first, last in [(0, 0), *((number, number + 1) for number in range(len(points) - 1))]:
            parts.append(self.mask.painted(paint(self.volume, self.mask.labels, brush, points[[first, last]])))
            self.mask.apply(parts[-1])
        return merged(parts)


def test_a_case_is_finished_across_a_kill_and_equals_the_engines(tmp_path: Path) -> None:
    edited = drive("edit", tmp_path, 128 + signal.SIGKILL)
    recovered = drive("recover", tmp_path, 0)
    kinds = [gesture["do"] for gesture in edited["gestures"]]
    assert kinds.count("stroke") == 4
    assert kinds.count("click") == 2
    assert (
        recovered["position"] == 1 + kinds.count("stroke") + kinds.count("click") + 1 - 1
    )  # segment and delete; one undone
    session = Session()
    for gesture in edited["gestures"]:
        session.run(gesture)
        assert zlib.crc32(session.mask.labels.tobytes(order="F")) == gesture["mask"], gesture
    exported, _geometry = load_mask(tmp_path / "btcv0005_ct_mask.nii.gz")
    np.testing.assert_array_equal(exported, session.mask.labels)
    assert not np.array_equal(exported, session.result.mask)
    assert {int(label): count for label, count in edited["by_hand"].items()} == dict(session.mask.by_hand)
    sidecar = json.loads((tmp_path / "btcv0005_ct_mask.json").read_text())
    by_hand = sidecar["edits"]["voxels by hand"]
    assert [by_hand.get(name, 0) for name in ("background", "kidney", "tumour")] == [
        session.mask.by_hand[label] for label in (0, 1, 2)
    ]
    assert (tmp_path / "edited.png").stat().st_size > 50_000
