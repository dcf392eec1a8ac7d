"""Network files: what is written is read again, and what cannot be a network is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kidneyseg.errors import ModelError
from kidneyseg.models import BUNDLED, load_model, save_model
from kidneyseg.sparse import SparseUNet


@pytest.fixture
def network() -> SparseUNet:
    torch.manual_seed(0)
    return SparseUNet(1, 2, [4, 8]).eval()


@pytest.fixture
def path(network: SparseUNet, tmp_path: Path) -> Path:
    save_model(network.arrays, tmp_path / "mine.safetensors", {"steps": 7, "trained on": ["a", "b"]})
    return tmp_path / "mine.safetensors"


def test_a_saved_network_is_read_again(network: SparseUNet, path: Path) -> None:
    model = load_model("mine", path.parent)
    assert model.network.config == network.config
    read = SparseUNet.of(model.network)
    for name, value in network.state_dict().items():
        assert model.network.weights[name].dtype == np.float32
        assert torch.equal(read.state_dict()[name], value.half().float())
    assert not read.training
    assert dict(model.info) == {"steps": 7, "trained on": ["a", "b"]}
    assert model.id == f"mine-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    assert [file.name for file in path.parent.iterdir()] == ["mine.safetensors"], "no temporary file is left"


def test_a_diverged_network_is_not_saved(network: SparseUNet, tmp_path: Path) -> None:
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = 1e6
    with pytest.raises(ModelError, match="fp16"):
        save_model(network.arrays, tmp_path / "mine.safetensors", {})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"default-stage1\.safetensors.*kidneyseg train"):
        load_model("default-stage1", tmp_path)


def test_what_stage_1_keeps_is_a_number(network: SparseUNet, tmp_path: Path) -> None:
    for kept, expected in ((None, 0.5), (0.8, 0.8)):
        save_model(network.arrays, tmp_path / "one.safetensors", {} if kept is None else {"kept_probability": kept})
        assert load_model("one", tmp_path).kept_probability == expected
    save_model(network.arrays, tmp_path / "one.safetensors", {"kept_probability": "most"})
    with pytest.raises(ModelError, match="its kept_probability is not a number"):
        load_model("one", tmp_path)


def test_damaged_files_are_refused(path: Path) -> None:
    whole = path.read_bytes()
    for damaged in (b"", b"no network", whole[: len(whole) // 2], b"\xff" * 8 + whole[8:]):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"mine\.safetensors is damaged"):
            load_model("mine", path.parent)


def test_files_of_other_programs_and_other_shapes_are_refused(network: SparseUNet, path: Path) -> None:
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, path)
    with pytest.raises(ModelError, match="no network of this program"):
        load_model("mine", path.parent)
    other = {"format": "kidneyseg-unet-1", "config": json.dumps({**network.config, "classes": 3})}
    save_file(state, path, other)
    with pytest.raises(ModelError, match="damaged"):
        load_model("mine", path.parent)


@pytest.mark.parametrize("file", sorted(BUNDLED.glob("*.safetensors")), ids=lambda file: file.stem)
def test_bundled_networks_are_read_and_have_a_card(file: Path) -> None:
    model = load_model(file.stem)
    assert model.network.config["in_channels"] >= 1
    assert model.info
    assert file.with_suffix(".md").is_file()
