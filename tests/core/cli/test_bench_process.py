"""A process of `kidneyseg bench`: its clock begins before Python starts, its second CT finds the networks loaded."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pytest
import torch

from kidneyseg.cli.bench_process import print_times
from kidneyseg.imaging.nifti import save_volume
from kidneyseg.imaging.read_ahead import ReadAhead
from kidneyseg.imaging.readers import load as load_ct
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation import pipeline
from kidneyseg.sparse import native
from tiny_networks import tiny_models
from volumes import abdomen


def test_the_first_ct_counts_from_the_start_of_the_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kernels: torch.device
) -> None:
    loads: list[str] = []
    load = pipeline.load_networks
    monkeypatch.setattr(pipeline, "load_networks", lambda name, *where: (loads.append(name), load(name, *where))[1])
    save_volume(abdomen()[0], tmp_path / "ct.nii.gz")
    reads: list[float] = []

    def timed_load(ct: Path) -> Volume:
        reads.append(float(len(reads) + 1))
        return load_ct(ct)

    arguments = argparse.Namespace(
        ct=tmp_path / "ct.nii.gz",
        models=tiny_models(tmp_path),
        device=kernels.type,
        preset="default",
        started_at=time.monotonic() - 100,
    )
    with ReadAhead(timed_load) as reading:
        reading.begin(arguments.ct)
        assert print_times(arguments, reading, reads) == 0
    report = json.loads(capsys.readouterr().out)
    first, following = (report[column]["seconds"] for column in ("first CT", "next CT"))
    assert loads == ["default"]
    assert [times["reading"] for times in (first, following)] == [1.0, 2.0]
    assert 100 < first["start and imports"] < first["total"]
    assert following["total"] < 100
    assert ("stage 1: kernel maps" in first) == (native.available() and kernels.type == "cpu")
    assert report["next CT"]["points"] == report["first CT"]["points"]
