"""What a benchmark says of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.cli import machine
from kidneyseg.cli.machine import Machine
from kidneyseg.sparse import native, threads


def test_it_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1.234, 2.0, 3.0))
    monkeypatch.setattr(threads, "count", lambda: 3)
    here = Machine.here()
    assert (here.load, here.threads, here.cores) == ((1.23, 2.0), 3, threads.cores())
    assert here.versions["numpy"] == np.__version__
    assert here.instruction_set == (native.instruction_set() if native.available() else "none")
    assert here.processor == machine.processor() != ""
    assert "on 3 threads, load 1.23 (1 min) and 2.00 (5 min)\nkidneyseg " in str(here)


def test_kernels_that_were_not_built_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "available", lambda: False)
    assert "torch kernels on" in str(Machine.here())


def test_a_library_that_is_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "installed_version", lambda name: None if name == "torch" else "1.0")
    assert "torch" not in Machine.here().versions
    assert Machine.here().versions["numpy"] == "1.0"


def test_a_processor_is_told_by_its_model_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "Path", lambda _: cpuinfo)
    one = "processor\t: {}\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nflags\t\t: a: b\n\n"
    cpuinfo.write_text(one.format(0) + one.format(1))
    assert machine.processor() == "AMD EPYC (family 25, model 17)"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: A Board\n\n")
    assert machine.processor() == "A Board"
    cpuinfo.unlink()
    assert machine.processor()
