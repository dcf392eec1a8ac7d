"""Odd and damaged headers give objects or one sentence, and what they say of the patient is not printed."""

from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import config

from dicom_phantom import MADE_AT, MADE_BY, frame_order, opened, scanned
from kidneyseg.dicom_export.formats import Format, check_series, export_formats
from kidneyseg.errors import InputError
from kidneyseg.findings import measure
from kidneyseg.imaging.volume import Volume

SERIES, LABELS = scanned(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), spacing=(8.0, 8.0), steps_mm=10.0)
ODD = ("", "garbage \\ % 12:99", "x" * 200, "-1", "1e400")


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return opened(SERIES, tmp_path_factory.mktemp("ct"))


def changed(volume: Volume, name: str, value: str | None) -> Volume:
    """The volume of a series in whose headers an attribute has another value, or is missing."""
    headers = [copy.deepcopy(header) for header in volume.geometry.headers]
    with config.disable_value_validation():
        for header in headers:
            try:
                setattr(header, name, value)
            except (ValueError, TypeError, OverflowError):  # no value of that type: none of a file either
                return volume
            if value is None:
                delattr(header, name)
    return replace(volume, geometry=replace(volume.geometry, headers=tuple(headers)))


def export(volume: Volume, folder: Path) -> None:
    mask = volume.geometry.from_frames(LABELS[frame_order(SERIES)])
    targets = {kind: folder / f"{kind}.dcm" for kind in (Format.SEG, Format.RTSTRUCT, Format.SR, Format.IMAGES)}
    export_formats(mask, volume, targets, findings=measure(mask, volume), provenance=MADE_BY, made_at=MADE_AT)


def test_any_attribute_may_be_odd_or_missing(
    volume: Volume, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    refused: dict[str, str] = {}
    for name in sorted({element.keyword for element in volume.geometry.headers[0]}):
        for value in (None, ODD[len(name) % len(ODD)]):
            try:
                with warnings.catch_warnings(record=True) as said:
                    export(changed(volume, name, value), tmp_path)
                assert not said
            except InputError as error:
                refused[name] = str(error)
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []
    identifiers = {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"}
    assert identifiers <= refused.keys()
    assert all(len(sentence.splitlines()) == 1 for sentence in refused.values())
    assert (
        refused.keys() & {"PatientName", "PatientID", "StudyDate", "ReferringPhysicianName", "Modality", "KVP"} == set()
    )


@pytest.mark.parametrize("name", ["Anonymous", "Doe", "O'Neil^A^B^C^D^E^F", "x" * 100])
def test_unusual_names_are_kept_and_not_printed(
    name: str, volume: Volume, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    named: Any = changed(volume, "PatientName", name)
    export(named, tmp_path)
    assert str(named.geometry.headers[0].PatientName) == name
    assert not any(name in text for text in (*capfd.readouterr(), caplog.text))


def test_images_that_share_an_identifier_are_refused(volume: Volume) -> None:
    shared = changed(volume, "SOPInstanceUID", "1.2.3")
    with pytest.raises(InputError, match="have one SOPInstanceUID"):
        check_series(shared, {})


def test_arguments_that_do_not_fit_are_not_taken_for_damaged_headers(volume: Volume, tmp_path: Path) -> None:
    mask = volume.geometry.from_frames(LABELS[frame_order(SERIES)])
    findings = measure(mask, volume)
    mask[mask == 3] = 0
    with pytest.raises(ValueError, match="not those of the mask"):
        export_formats(mask, volume, {Format.SEG: tmp_path / "a.dcm"}, findings=findings, provenance=None)


@pytest.mark.parametrize("error", [KeyError, TypeError, AttributeError, ValueError])
def test_an_error_of_our_own_is_not_taken_for_damaged_headers(
    error: type[Exception], volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: Any) -> str:
        # As a module of ours would raise it.
        exec("raise error('a fault')", {"__name__": "kidneyseg.dicom_export.seg", "error": error})
        return ""

    monkeypatch.setattr("kidneyseg.dicom_export.seg.description", wrong)
    with pytest.raises(error, match="a fault"):
        export(volume, tmp_path)
