"""A run's state on disk: survives kills and damage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kidneyseg.errors import ModelError, SettingsError
from kidneyseg.training.checkpoints import load_checkpoint, save_checkpoint


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
    with pytest.raises(ModelError, match="remove that folder to start anew"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pth").write_bytes(b"kidneyseg-checkpoint-1\n" + bytes(100))
    with pytest.raises(SettingsError, match="another version of KidneySeg wrote"):
        load_checkpoint(tmp_path)
