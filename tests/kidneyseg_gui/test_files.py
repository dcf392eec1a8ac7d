from __future__ import annotations

import os
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QStandardPaths, QUrl

from fakes import make_volume
from kidneyseg.errors import OutputError
from kidneyseg.settings import preset
from kidneyseg_gui.case import Case
from kidneyseg_gui.files import judge_drop, proposed_mask, read_settings, write_settings


def mime_of(*paths: Path) -> QMimeData:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return mime


def case_of(path: Path | None, name: str = "case_7") -> Case:
    case = Case()
    case.open(make_volume(name=name, path=path))
    return case


@pytest.mark.parametrize(
    "names", [["scan.nii"], ["scan.hdr"], ["scan.img.gz"], ["scan.img", "scan.hdr"], ["scan.HDR", "scan.img.gz"]]
)
def test_a_ct_is_accepted_and_a_pair_alone_or_together(tmp_path: Path, names: list[str]):
    paths = [tmp_path / name for name in names]
    assert judge_drop(mime_of(*paths)) == (paths[0], "")


def test_web_addresses_are_not_accepted():
    mime = QMimeData()
    mime.setUrls([QUrl("https://example.org/scan.nii")])
    assert judge_drop(mime)[0] is None


def test_the_mask_is_proposed_beside_the_ct(tmp_path: Path):
    assert proposed_mask(case_of(tmp_path / "case_7.nii.gz", "case_7.nii.gz")) == tmp_path / "case_7_mask.nii.gz"


def test_the_mask_is_proposed_among_the_documents_where_the_cts_folder_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda _place: str(tmp_path))
    assert proposed_mask(case_of(None)) == tmp_path / "case_7_mask.nii.gz"
    monkeypatch.setattr(os, "access", lambda *_args: False)
    assert proposed_mask(case_of(tmp_path / "media" / "ct.nii")).parent == tmp_path


def test_the_mask_of_the_sample_case_does_not_go_into_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda _place: str(tmp_path))
    sample = tmp_path / "cache" / "kidneyseg" / "sample" / "sample_ct.nii.gz"
    sample.parent.mkdir(parents=True)
    assert proposed_mask(case_of(sample)).parent == tmp_path


def test_settings_survive_a_file(tmp_path: Path):
    settings = preset("paper").with_(fill={"closing_mm": 3.5})
    write_settings(settings, tmp_path / "settings.json")
    assert read_settings(tmp_path / "settings.json") == settings
    with pytest.raises(OutputError):
        write_settings(settings, tmp_path / "missing" / "settings.json")
