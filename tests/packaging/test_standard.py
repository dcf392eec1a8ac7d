"""highdicom's copy of the DICOM standard in the installed program, beside the whole one."""

from __future__ import annotations

import pkgutil
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import highdicom
import pydicom
import pytest
from highdicom import _standard_utils as lookup
from standard import shorten

from dicom_phantom import MADE_AT, MADE_BY, frame_order, opened, scanned
from kidneyseg.dicom_export.formats import ENDINGS, Format, export_formats
from kidneyseg.findings import measure

ROOT = Path(__file__).parents[2]
WRITTEN = tomllib.loads((ROOT / "packaging/installer/contents.toml").read_text())["dicom"]["written"]
WHOLE = Path(highdicom.__file__).parent / "_standard"
# What highdicom asks of any image that an object refers to.
ASKED = ("NumberOfFrames", "PixelData", "FloatPixelData", "DoubleFloatPixelData", "ContentDate", "ContentTime")


@pytest.fixture
def short(tmp_path: Path) -> Path:
    folder = tmp_path / "_standard"
    shutil.copytree(WHOLE, folder)
    shorten(folder, WRITTEN)
    return folder


@pytest.fixture
def caches() -> Iterator[None]:
    """highdicom reads each file once."""
    yield
    forget()


def forget() -> None:
    for read in (lookup.get_sop_class_iod_map, lookup.get_iod_module_map, lookup.get_module_attribute_map):
        read.cache_clear()


def has_pixels(sop_class: str) -> bool:
    try:
        return lookup.does_iod_have_pixel_data(sop_class)
    except KeyError:  # highdicom's own table lacks a module of this kind
        return False


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pkgutil.get_data

    def get_data(package: str, name: str) -> bytes | None:
        return (folder / Path(name).name).read_bytes() if name.startswith("_standard/") else whole(package, name)

    monkeypatch.setattr(lookup.pkgutil, "get_data", get_data)
    forget()


def test_it_is_a_small_part(short: Path) -> None:
    sizes = [sum(path.stat().st_size for path in folder.iterdir()) for folder in (short, WHOLE)]
    assert sizes[0] < 2e6
    assert sizes[0] < 0.1 * sizes[1]


@pytest.mark.usefixtures("caches")
def test_the_objects_are_the_same_byte_for_byte(short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series, labels = scanned(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), spacing=(5.0, 4.0), steps_mm=6.0)
    volume = opened(series, tmp_path / "ct")
    mask = volume.geometry.from_frames(labels[frame_order(series)])
    findings = measure(mask, volume)

    def written(folder: Path) -> dict[str, bytes]:
        folder.mkdir()
        targets = {kind: folder / f"case{ENDINGS[kind]}" for kind in Format}
        made = export_formats(mask, volume, targets, findings=findings, provenance=MADE_BY, made_at=MADE_AT)
        return {path.name: path.read_bytes() for paths in made.files.values() for path in paths}

    whole = written(tmp_path / "whole")
    use(short, monkeypatch)
    assert written(tmp_path / "short") == whole
    classes = {pydicom.dcmread(path).SOPClassUID for path in (tmp_path / "short").glob("*.dcm")}
    assert classes - {pydicom.uid.RTStructureSetStorage} == set(WRITTEN)


@pytest.mark.usefixtures("caches")
def test_the_answers_about_images_of_any_kind_are_the_same(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answers() -> dict[str, set[str]]:
        """What `lookup.is_attribute_in_iod` says of each name, in one pass."""
        modules, attributes = lookup.get_iod_module_map(), lookup.get_module_attribute_map()
        return {
            kind: {
                entry["keyword"]
                for module in modules[kind]
                for entry in attributes[module["key"]]
                if entry["keyword"] in ASKED and "IconImageSequence" not in entry["path"]
            }
            for kind in images
        }

    images = {kind for sop_class, kind in lookup.get_sop_class_iod_map().items() if has_pixels(sop_class)}
    assert len(images) > 50
    whole = answers()
    use(short, monkeypatch)
    assert answers() == whole
