"""The benchmark: its operation counts, its check of agreement, and one small run in real processes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import libraries, sites, worker
from benchmarks.command import comparison_table, growth_table, main
from benchmarks.compare import Row, check_agreement
from benchmarks.contention import Contention, contention_table
from benchmarks.libraries import Case
from benchmarks.passes import Passes, passes_table
from kidneyseg.cli.machine import Machine
from kidneyseg.imaging.nifti import save_volume
from kidneyseg.phantom.abdomen import make_phantom
from kidneyseg.sparse import native
from kidneyseg.sparse.layers import InputLayer

OURS = [name for name in worker.installed() if name in ("native", "torch")]


def random_coords(count: int = 4000, edge: int = 20) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    cells = np.unique(np.random.default_rng(0).integers(0, edge, (count, 3)), axis=0)
    return np.column_stack([cells, np.zeros(len(cells), np.int64)])


def test_pairs_are_those_between_neighbouring_sites() -> None:
    coords = random_coords(500, 9)[:, :3]
    apart = np.abs(coords[:, None] - coords[None]).max(2)
    assert sites.neighbour_pairs(coords) == (apart <= 1).sum()


def test_work_of_a_network_on_one_site() -> None:
    one = np.zeros((1, 4), np.int64)
    # Level 1: 3->4, 4->4, 8->4; down 4->5 and up 5->4; level 2: 5->5. Two operations each.
    assert sites.unet_gflop(one, 3, (4, 5)) == pytest.approx(2e-9 * (12 + 16 + 32 + 20 + 20 + 25))


def test_brightest_sites_are_bright_and_in_order() -> None:
    coords = random_coords()
    hu = np.random.default_rng(1).integers(0, 50, len(coords)).astype(np.int16)
    chosen = sites.brightest(coords[:, :3], hu, 300)
    assert chosen.shape == (300, 4)
    _, rows = InputLayer()(torch.from_numpy(chosen), torch.zeros(300, 1))
    assert rows is None or torch.equal(rows, torch.arange(300))
    kept = {tuple(cell) for cell in (chosen[:, :3] + coords[:, :3].min(0))}
    worst = min(value for cell, value in zip(coords, hu, strict=True) if tuple(cell[:3]) in kept)
    assert (hu > worst).sum() <= 300 <= (hu >= worst).sum()


def test_no_time_is_reported_for_wrong_outputs(tmp_path: Path) -> None:
    rows = {name: Row(name, seconds={"total": [1.0, 3.0, 2.0]}) for name in ("native", "torch", "peer")}
    results = {}
    for name, off in (("native", 5e-5), ("torch", 0.0), ("peer", 2e-4)):
        np.save(tmp_path / f"{name}.npy", np.array([1.0, -2.0 + 2 * off]))
        results[name] = {"output": tmp_path / f"{name}.npy"}
    check_agreement(rows, results)
    assert [row.agrees for row in rows.values()] == [True, True, False]
    lines = comparison_table(list(rows.values())).splitlines()
    assert "2.000" in lines[2]
    assert "wrong" in lines[4]
    assert "2.000" not in lines[4]


def test_growth_is_reported_per_site() -> None:
    row = Row("native", sites=1_000_000, seconds={"maps": [0.1], "network": [0.3], "total": [0.4]}, peak_mb=700.0)
    assert growth_table([row]).splitlines()[-1] == "| 1000000 | 0.100 | 0.300 | 0.400 | 0.40 | 700 |"


def test_contention_is_the_median_of_paired_ratios() -> None:
    rows = [Contention(1, sessions, {1: [1.0, 2.0, 4.0], 2: [0.5, 1.2, 2.8]}) for sessions in (False, True)]
    assert contention_table(rows).splitlines()[2:] == [
        "| 1 | 2.000 | 1.200 | 0.60 |",
        "| 1, each in its own session | 2.000 | 1.200 | 0.60 |",
    ]


def test_passes_are_medians_with_their_ratio() -> None:
    seconds = {"first": [0.5, 0.75], "later": [0.25, 0.25], "first cpu": [0.5, 0.5], "later cpu": [0.25, 0.25]}
    rows = [Passes("native", seconds=seconds, shuffled=True), Passes("torch", seconds=seconds, agrees=False)]
    assert passes_table(rows).splitlines()[2:] == [
        "| native | shuffled | 0.625 | 0.250 | 0.500 | 0.250 | 2.00 |  |",
        "| torch | sorted | wrong: outputs differ by 0.0e+00, gradients by 0.0e+00 | | | | | |",
    ]


@pytest.mark.skipif(not native.available(), reason=native.reason())
def test_a_run_on_a_busy_machine(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    volume = make_phantom(1, (96, 96, 32), (3.0, 3.0, 6.0))
    monkeypatch.setattr("benchmarks.command.make_phantom", lambda *_: volume)
    assert main(["--sites", "500", "--repeats", "1", "--cases", "busy"]) == 0
    assert "| 2, each in its own session | 0." in capsys.readouterr().out


def test_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ct, out = tmp_path / "ct.nii.gz", tmp_path / "times.json"
    save_volume(make_phantom(1, (96, 96, 32), (3.0, 3.0, 6.0))[0], ct)
    arguments = ["--sites", "2000", "--repeats", "1", "--cases", "inference", "passes", "maps", "--libraries", *OURS]
    assert main(["--ct", str(ct), *arguments, "-o", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["machine"] | {"load": None} == Machine.here().to_dict() | {"load": None}
    inference, passes, maps = (table["rows"] for table in report["tables"])
    assert [row["name"] for row in inference] == [row["name"] for row in maps] == OURS
    assert [row["name"] for row in passes] == [name for name in OURS for _ in range(2)]
    assert [row["shuffled"] for row in passes] == [False, True] * len(OURS)
    assert all((row["difference"] or 0) < 1e-4 for row in (*inference, *passes))
    assert all(min(row["seconds"][part]) > 0 for row in passes for part in ("first", "later", "first cpu", "later cpu"))
    assert all(0 < row["seconds"]["maps"][0] < row["seconds"]["total"][0] for row in inference)
    assert all(row["seconds"]["maps"][0] > 0 for row in maps)
    told = capsys.readouterr().out
    assert told.startswith(f"{Machine.here().processor}, ")
    assert "| torch | shuffled | 0." in told
    assert f"torch {torch.__version__}" in told


@pytest.mark.skipif(not native.available(), reason="the native kernels were not built here")
def test_a_worker_can_be_limited_to_avx2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    coords = tmp_path / "coords.npy"
    np.save(coords, random_coords())
    case = Case("layer", coords, len(random_coords()), (4,), 4)
    wide, narrow = (worker.Worker("native", replace(case, avx2=avx2)) for avx2 in (False, True))
    try:
        assert wide.version.endswith(native.instruction_set())
        assert narrow.version.endswith(("avx2", "baseline"))
        assert narrow.measure()["network"] > 0
    finally:
        wide.close()
        narrow.close()
    assert os.environ["ATEN_CPU_CAPABILITY"] == "default", "this process is as it was"
    assert "MKL_ENABLE_INSTRUCTIONS" not in os.environ


@pytest.mark.parametrize("kind", ["inference", "layer"])
@pytest.mark.parametrize("library", OURS)
def test_parts_are_timed_by_themselves(
    library: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "coords.npy", iter(range(10_000))
    np.save(path, random_coords())
    monkeypatch.setattr(native, "available", native.available)  # Torch replaces it
    ours = {"native": libraries.Native, "torch": libraries.Torch}[library]()
    ours.prepare(Case(kind, path, len(random_coords()), (4,) if kind == "layer" else (4, 5), 4))
    monkeypatch.setattr("benchmarks.libraries.time.perf_counter", lambda: float(next(clock)))
    # Each part takes the ticks of this clock that pass in it.
    monkeypatch.setattr(ours, "make_maps", lambda _: [next(clock) for _ in range(10)])
    monkeypatch.setattr(ours, "forward", lambda _: [next(clock) for _ in range(100)])
    seconds = ours.measure()
    assert [seconds[part] for part in ("maps", "network", "total")] == [11, 101, 112]
    monkeypatch.setattr(ours, "make_maps", lambda _: False)
    seconds = ours.measure()
    assert (seconds["network"], seconds["total"], "maps" in seconds) == (101, 102, False), "a second pass was timed"


@pytest.mark.parametrize("library", OURS)
def test_no_map_is_left_to_the_network(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(path := tmp_path / "coords.npy", random_coords())
    for kind, planes in (("inference", (4, 5, 6)), ("layer", (4,))):
        monkeypatch.setattr(native, "available", native.available)  # Torch replaces it
        ours = {"native": libraries.Native, "torch": libraries.Torch}[library]()
        ours.prepare(Case(kind, path, len(random_coords()), planes, 4))
        with torch.inference_mode():
            sites = ours.sites()
            assert ours.make_maps(sites)
            for maker in ("of_neighbours", "of_table", "of_parents"):
                monkeypatch.setattr(native.Plan, maker, lambda *_: pytest.fail("a plan was made in the pass"))
            monkeypatch.setattr(native, "coarsen", lambda *_: pytest.fail("a level was made in the pass"))
            monkeypatch.setattr(
                "kidneyseg.sparse.torch_maps.neighbour_table", lambda *_: pytest.fail("a table was made")
            )
            ours.forward(sites)
        monkeypatch.undo()
