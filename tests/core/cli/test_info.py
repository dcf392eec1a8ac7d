"""What `info` says of files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kidneyseg.cli import main
from kidneyseg.models import load_model, save_model
from kidneyseg.sparse import SparseUNet


def test_a_network_says_how_it_was_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "default-stage2.safetensors"
    save_model(SparseUNet(1, 3, [4, 4]).arrays, path, {"steps": 70, "trained on": ["a", "c"], "scored on": []})
    assert main(["info", str(path)]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    told = {name: value.strip() for name, value in rows.items()}
    assert told["network"] == load_model("default-stage2", tmp_path).id
    assert (told["trained on"], told["scored on"], told["steps"], told["classes"]) == ("a, c", "none", "70", "3")
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained on"] == ["a", "c"]


def test_a_network_that_is_missing_or_torn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "default-stage2.safetensors"
    assert main(["info", str(path)]) == 3
    assert "There is no file" in capsys.readouterr().err
    path.write_bytes(b"torn")
    assert main(["info", str(path)]) == 1
    assert "is damaged" in capsys.readouterr().err
