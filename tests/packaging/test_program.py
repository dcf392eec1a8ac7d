"""The start of the installed program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import program
import pytest


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "path", ["/opt/kidneyseg/_internal"])
    monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())
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


def test_a_package_of_which_the_program_has_a_part_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("_internal/half/__init__.py", "_internal/half/first.py", "cuda/python/half/__init__.py"):
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / module).touch()
    (tmp_path / "cuda/python/half/first.py").write_text("raise AssertionError")
    (tmp_path / "cuda/python/half/second.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "_internal")])
    program.add_gpu_build(tmp_path)
    import half.first  # noqa: PLC0415
    import half.second  # noqa: PLC0415

    assert half.__file__ == str(tmp_path / "_internal/half/__init__.py")
    with pytest.raises(ModuleNotFoundError):
        import half.third  # noqa: PLC0415


def test_the_window_can_start_processes_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that decode DICOM: `sys.executable` may bear the window's name."""
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["/usr/bin/kidneyseg-gui", "-m", "kidneyseg", "decode-frames"])
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr("kidneyseg.cli.main", lambda: started.append(sys.argv[1:]) or 7)
    assert program.start() == 7
    assert started == [["decode-frames"]]


def test_other_programs_do_not_get_its_libraries_and_another_start_of_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["kidneyseg", "info"])
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/kidneyseg/_internal")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/home/user/lib")
    monkeypatch.delenv("PYINSTALLER_RESET_ENVIRONMENT", raising=False)
    monkeypatch.setattr("kidneyseg.cli.main", lambda: 0)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    program.start()
    assert os.environ["LD_LIBRARY_PATH"] == "/home/user/lib"
    assert os.environ["PYINSTALLER_RESET_ENVIRONMENT"] == "1"
