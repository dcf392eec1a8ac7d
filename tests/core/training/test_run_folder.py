"""A run's folder: locked against other processes, and refused to other runs and versions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kidneyseg.errors import ModelError, OutputError, SettingsError
from kidneyseg.training.run_folder import BusyError, lock, require_same_run


def test_a_folder_is_continued_by_the_same_run_only(tmp_path: Path) -> None:
    begun = {"steps": 5, "cases": {"a": "1", "b": "2"}, "weights": (1.0, 2.0)}
    require_same_run(tmp_path / "run", begun)
    require_same_run(tmp_path / "run", begun)
    with pytest.raises(SettingsError, match="begun with another steps: 5, not 6; give the same arguments"):
        require_same_run(tmp_path / "run", {**begun, "steps": 6})
    with pytest.raises(SettingsError, match=r"another cases: {'b': '2'}, not {'b': '3'};"):
        require_same_run(tmp_path / "run", {**begun, "cases": {"a": "1", "b": "3"}})


def test_only_one_process_works_in_a_folder(tmp_path: Path) -> None:
    other = "import sys; from pathlib import Path; from kidneyseg.training.run_folder import lock\n"
    other += "with lock(Path(sys.argv[1])): print('in', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", other, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        with pytest.raises(BusyError, match="another process works in"), lock(tmp_path):
            pass
        process.kill()  # a lock does not outlive its process
    with lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be made.*Choose another"), lock(tmp_path / "file" / "run"):
        pass
    (tmp_path / ".lock").mkdir()
    with pytest.raises(OutputError, match="cannot be written"), lock(tmp_path):
        pass


@pytest.mark.parametrize("begun", [{"stage": 1, "steps": 5}, {"format": 1, "steps": 5}, {"format": 3, "steps": 5}])
def test_a_folder_of_another_version_is_refused(tmp_path: Path, begun: dict[str, int]) -> None:
    (tmp_path / "run.json").write_text(json.dumps(begun))
    with pytest.raises(SettingsError, match="begun by another version of KidneySeg; choose another folder"):
        require_same_run(tmp_path, {"steps": 5})


@pytest.mark.parametrize("content", ["", '{"steps": 5', "[]"])
def test_a_damaged_run_json_says_the_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ModelError, match="is damaged; remove"):
        require_same_run(tmp_path, {"steps": 5})
