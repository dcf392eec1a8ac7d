from __future__ import annotations

import sys

import pytest

from kidneyseg.errors import ResourceError
from kidneyseg.libraries import NAMED, installed_version, require_torch


def test_versions_of_what_is_installed() -> None:
    assert all(installed_version(name) for name in NAMED)
    assert installed_version("no-such-package") is None


def test_torch_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    require_torch("Training", "train")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ResourceError, match=r"^Training needs torch.*kidneyseg\[train\]"):
        require_torch("Training", "train")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ResourceError, match="the installed program does not have"):
        require_torch("Training", "train")
