"""The start of the installed program."""

from __future__ import annotations

import sys
from pathlib import Path

import program
import pytest


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "path", ["/opt/kidneyseg/_internal"])
    return sys.path


def test_nothing_is_added_where_there_is_no_gpu_build(tmp_path: Path) -> None:
    program.add_gpu_build(tmp_path)
    assert sys.path == ["/opt/kidneyseg/_internal"]


def test_the_gpu_build_comes_after_the_programs_own_modules(tmp_path: Path) -> None:
    for module in ("packages/torch_of_the_gpu_build.py", "python/module_of_python.py"):
        (tmp_path / "cuda" / module).parent.mkdir(parents=True)
        (tmp_path / "cuda" / module).touch()
    program.add_gpu_build(tmp_path)
    assert sys.path[0] == "/opt/kidneyseg/_internal"
    import module_of_python  # noqa: F401, PLC0415
    import torch_of_the_gpu_build  # noqa: F401, PLC0415
