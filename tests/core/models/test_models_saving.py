"""Networks on disk that cannot be written or read."""

from __future__ import annotations

from pathlib import Path

import pytest

from kidneyseg.errors import ModelError
from kidneyseg.models import load_model, save_model
from kidneyseg.sparse import SparseUNet


def test_a_diverged_network_is_not_saved(tmp_path: Path) -> None:
    network = SparseUNet(1, 2, [4])
    network.stem.weight.data.fill_(1e6)
    with pytest.raises(ModelError, match="beyond fp16"):
        save_model(network.arrays, tmp_path / "n.safetensors", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["missing", "cut", "text"])
def test_a_damaged_network_says_the_mend(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "net.safetensors"
    save_model(SparseUNet(1, 2, [4]).arrays, path, {})
    content = path.read_bytes()
    path.unlink() if damage == "missing" else path.write_bytes(content[:200] if damage == "cut" else b"hello")
    with pytest.raises(ModelError, match="kidneyseg train"):
        load_model("net", tmp_path)
