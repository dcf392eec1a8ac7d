from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from dicom_series import Frames, enhanced, save, write_series
from kidneyseg import load
from kidneyseg.imaging.dicom.elements import Coding, Elements
from kidneyseg.imaging.dicom.kept_headers import Headers

FRAMES = Frames(np.zeros((10, 12, 12), np.int16), np.diag([0.8, 0.8, 2.0, 1.0]))


def test_headers_hold_what_refers_to_a_series(tmp_path: Path) -> None:
    write_series(tmp_path, FRAMES, series="1.2.3", PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 192")
    headers = load(tmp_path).geometry.headers
    assert len(headers) == 10
    assert headers[0] is headers[0]
    assert [header.ImagePositionPatient[2] for header in headers[:3]] == [0, 2, 4]
    assert headers[2:4][1].SeriesInstanceUID == "1.2.3"
    assert str(headers[0].PatientName) == "Müller^Jörg"
    assert "PixelData" not in headers[0]


def test_an_enhanced_ct_keeps_its_groups(tmp_path: Path) -> None:
    save(enhanced(FRAMES), tmp_path / "one")
    (header,) = load(tmp_path).geometry.headers
    assert header.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0].ImagePositionPatient == [0, 0, 6]


def test_damaged_values_are_neither_kept_nor_printed(caplog: pytest.LogCaptureFixture) -> None:
    elements = Elements(Coding(implicit=False, little=True))
    elements.values = {
        0x00100010: (b"PN", b"Doe^Jane\xff\xfe\x1b"),
        0x00280010: (b"US", b"\x01"),
        0x0020000D: (b"UI", b"1.2.SECRET"),
        0x00080020: (b"DA", b"SECRET"),
        0x00081140: (b"SQ", b"\xfe\xff"),
        0x00080060: (b"CS", b"CT"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        header = Headers([elements])[0]
        assert header.Modality == "CT"
        assert "Rows" not in header
    assert caplog.text == ""


def test_usual_descriptions_are_read_without_pydicom(tmp_path: Path) -> None:
    write_series(tmp_path, FRAMES, SpecificCharacterSet="ISO_IR 192", SeriesDescription="venös")
    script = (
        "import pathlib, sys; from kidneyseg.imaging.dicom.series import find_study;"
        "print(find_study(pathlib.Path(sys.argv[1])).series[0].description, 'pydicom' in sys.modules)"
    )
    command = [sys.executable, "-X", "utf8", "-c", script, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout
    assert said.split() == ["venös", "False"]
