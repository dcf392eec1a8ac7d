"""A run's state on disk survives kills and damage, and is not gone on with by another run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kidneyseg.errors import ModelError, OutputError, SettingsError
from kidneyseg.training.checkpoints import BusyError, claim, claimed, load_checkpoint, save_checkpoint
from kidneyseg.training.training_log import TrainingLog, time_left


def test_a_checkpoint_comes_back_and_keeps_one_spare(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    for step in range(3):
        save_checkpoint({"step": step, "w": torch.full((4,), float(step))}, tmp_path)
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert state["step"] == 2
    assert torch.equal(state["w"], torch.full((4,), 2.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-before.pth", "checkpoint.pth"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 2):
        save_checkpoint({"step": step}, tmp_path)
    path = tmp_path / "checkpoint.pth"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if damage != "gone":
        path.write_bytes({"cut": content[:-30], "flipped": content, "empty": b""}[damage])
        assert load_checkpoint(tmp_path) == {"step": 1}
        assert "damaged" in caplog.text
    assert load_checkpoint(tmp_path) == {"step": 1}
    (tmp_path / "checkpoint-before.pth").write_bytes(b"x")
    with pytest.raises(ModelError, match="remove that folder to begin anew"):
        load_checkpoint(tmp_path)


def test_a_folder_is_gone_on_with_by_the_same_run_only(tmp_path: Path) -> None:
    begun = {"steps": 5, "cases": {"a": "1", "b": "2"}, "weights": (1.0, 2.0)}
    claim(tmp_path / "run", begun)
    claim(tmp_path / "run", begun)
    with pytest.raises(SettingsError, match="begun with another steps: 5, not 6; give the same arguments"):
        claim(tmp_path / "run", {**begun, "steps": 6})
    with pytest.raises(SettingsError, match=r"another cases: {'b': '2'}, not {'b': '3'};"):
        claim(tmp_path / "run", {**begun, "cases": {"a": "1", "b": "3"}})


def test_only_one_process_works_in_a_folder(tmp_path: Path) -> None:
    other = "import sys; from pathlib import Path; from kidneyseg.training.checkpoints import claimed\n"
    other += "with claimed(Path(sys.argv[1])): print('in', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", other, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        with pytest.raises(BusyError, match="another process works in"), claimed(tmp_path):
            pass
        process.kill()  # a lock does not outlive its process
    with claimed(tmp_path):
        pass


def test_the_log_forgets_rows_that_will_come_again(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, 0) as book:
        for step in (10, 20, 30):
            book.note(step, {"loss": 1 / step, "kidney mean": 0.5})
    with TrainingLog(tmp_path, 20) as book:
        book.note(30, {"loss": 0.25, "kidney mean": 0.75})
    assert (tmp_path / "log.csv").read_text().splitlines() == [
        "step,loss,kidney mean",
        "10,0.1,0.5",
        "20,0.05,0.5",
        "30,0.25,0.75",
    ]


def test_figures_reach_tensorboard_where_it_is_installed(tmp_path: Path) -> None:
    events_of = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard is an optional package"
    )
    with TrainingLog(tmp_path, 0) as book:
        book.note(10, {"loss": 0.5})
    events = events_of.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(10, 0.5)]


def test_times_are_told_in_words() -> None:
    assert [time_left(seconds) for seconds in (5, 100, 5500, 60 * 185)] == ["5 s", "2 min", "1 h 32 min", "3 h 05 min"]


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be made.*Choose another"), claimed(tmp_path / "file" / "run"):
        pass
    (tmp_path / ".lock").mkdir()
    with pytest.raises(OutputError, match="cannot be written"), claimed(tmp_path):
        pass
