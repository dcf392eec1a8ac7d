"""The cache of lesion shapes: cut out once per content of the label maps."""

from __future__ import annotations

from pathlib import Path

import pytest

from kidneyseg.synthesis.insertion import LesionLibrary
from kidneyseg.synthesis.lesion_library import kits_library


def test_lesions_are_cut_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    built = []

    def from_kits(masks: Path, hu_csv: Path | None = None) -> LesionLibrary:
        built.append(masks)
        return LesionLibrary.procedural(count=3)

    monkeypatch.setattr(LesionLibrary, "from_kits", staticmethod(from_kits))
    masks, cache = tmp_path / "masks", tmp_path / "cache"
    masks.mkdir()
    (masks / "case_00001.nii.gz").write_bytes(b"1")
    assert [len(kits_library(masks, None, cache)) for _ in range(2)] == [3, 3]
    assert len(built) == 1
    (file,) = cache.glob("lesions-*.npz")
    file.write_bytes(b"damaged")
    kits_library(masks, None, cache)
    (masks / "case_00002.nii.gz").write_bytes(b"2")
    kits_library(masks, None, cache)
    assert len(built) == 3
    assert "made anew" in caplog.text
