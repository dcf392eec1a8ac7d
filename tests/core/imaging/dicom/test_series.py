"""Series are told apart, and the one to segment is proposed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from dicom_series import Frames, enhanced, header, numbers, save, slices, write_series
from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom.series import Study, choose, find_study


def write(folder: Path, number: int, count: int = 60, step: float = 3.0, **values: Any) -> None:
    """An axial series; `step` may be 0 for a scout."""
    frames = Frames(np.zeros((count, 16, 16), np.int16), np.diag([0.8, 0.8, step or 1.0, 1.0]))
    write_series(folder / f"{number}", frames, SeriesNumber=number, **values)


def ids(study: Study) -> list[str]:
    return [one.id for one in study.series]


def test_scouts_reports_and_other_modalities_are_left_and_said(tmp_path: Path) -> None:
    write(tmp_path, 1, count=2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write(tmp_path, 2)
    write(tmp_path, 3, count=3)
    for index, (modality, sop_class) in enumerate(
        (
            ("SR", "1.2.840.10008.5.1.4.1.1.88.67"),
            ("MR", "1.2.840.10008.5.1.4.1.1.4"),
            ("CT", "1.2.840.10008.5.1.4.1.1.7"),
        )
    ):
        one = slices(Frames(np.zeros((1, 16, 16), np.int16), np.eye(4)))[0]
        one.Modality, one.SOPClassUID = modality, sop_class
        del one.ImagePositionPatient
        save(one, tmp_path / f"other{index}")
    study = find_study(tmp_path)
    assert ids(study) == ["2"]
    assert study.left == (
        "3 CT images of series of fewer than 8",
        "1 MR object",
        "1 dose or other report",
        "2 scouts",
        "1 secondary capture",
    )


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}),
        ({}, {"SeriesDescription": "Abdomen MIP 5.0"}),
        ({}, {"ConvolutionKernel": "B70f", "SeriesDescription": "Abdomen B70f"}),
        ({}, {"SeriesDescription": "Head 1.0"}),
        ({}, {"count": 20}),
        ({}, {"count": 40, "step": 5.0}),
        ({"SeriesDescription": "Abdomen"}, {"SeriesDescription": "1.0 I30f"}),
        ({"SeriesDescription": "Abdomen portal venous"}, {"SeriesDescription": "Abdomen arterial"}),
        ({"SeriesDescription": "Abdomen nephrographic"}, {"SeriesDescription": "Abdomen native"}),
        ({"SeriesDescription": "Abdomen"}, {"SeriesDescription": "Abdomen excretory"}),
        ({"count": 130, "step": 1.5}, {}),
    ],
)
def test_the_thin_abdominal_series_is_proposed(tmp_path: Path, better: dict[str, Any], worse: dict[str, Any]) -> None:
    usual = {"SeriesDescription": "Abdomen 3.0"}
    write(tmp_path, 5, **usual | better)
    write(tmp_path, 4, **usual | worse)
    study = find_study(tmp_path)
    assert study.proposed is not None
    assert study.proposed.id == "5"


@pytest.mark.parametrize(
    ("description", "phase"),
    [
        ("Abd w/o", "noncontrast"),
        ("Nativ 5.0", "noncontrast"),
        ("ABD ART 1.0", "arterial"),
        ("corticomedullary", "arterial"),
        ("portal venous", "portal"),
        ("Abd/Pel VEN", "portal"),
        ("nephrogenic 100s", "nephrographic"),
        ("delayed 10 min", "excretory"),
        ("Abdomen 1.0", None),
        ("start", None),
        ("alternative", None),
    ],
)
def test_the_phase_is_read_from_the_description(tmp_path: Path, description: str, phase: str | None) -> None:
    write(tmp_path, 1, count=8, SeriesDescription=description)
    assert find_study(tmp_path).series[0].phase == phase


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", "GB18030"])
def test_descriptions_keep_their_letters(tmp_path: Path, charset: str) -> None:
    write(tmp_path, 1, SpecificCharacterSet=charset, SeriesDescription="Nieren venös")
    (series,) = find_study(tmp_path).series
    assert (series.description, series.phase) == ("Nieren venös", "portal")


def test_descriptions_hold_nothing_that_steers_a_terminal(tmp_path: Path) -> None:
    write(tmp_path, 1, SpecificCharacterSet=["", "ISO 2022 IR 87"], SeriesDescription="腎臓 portal")
    write(tmp_path, 2, SeriesDescription=b"\x1b]0;title\x07 ab\rdomen")
    japanese, steering = find_study(tmp_path).series
    assert japanese.description == "腎臓 portal"
    assert steering.description.isprintable()
    assert steering.description.endswith("ab domen")


def test_a_series_is_chosen_by_number_or_uid(tmp_path: Path) -> None:
    write(tmp_path, 1, series="1.2.3")
    write(tmp_path, 2, series="1.2.4")
    study = find_study(tmp_path)
    assert choose(study, "1").uid == "1.2.3"
    assert choose(study, "1.2.4").id == "2"
    assert choose(study, None) is study.proposed
    with pytest.raises(InputError, match="Choose one of: 1, 2"):
        choose(study, "3")


def test_series_of_one_number_get_letters(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, 3, series=f"1.2.{ord(name)}")
    assert ids(find_study(tmp_path)) == ["3a", "3b"]


@pytest.mark.parametrize("name", ["PatientID", "StudyInstanceUID"])
def test_two_patients_are_never_one_series(tmp_path: Path, name: str) -> None:
    frames = Frames(np.zeros((40, 16, 16), np.int16), np.diag([0.8, 0.8, 3.0, 1.0]))
    write_series(tmp_path, frames, change=lambda k, one: setattr(one, name, f"1.2.{k // 20}"))
    assert [len(one.slices) for one in find_study(tmp_path).series] == [20, 20]


def test_a_named_file_proposes_its_own_series(tmp_path: Path) -> None:
    for number, uid in ((1, "1.2.3"), (2, "1.2.4")):
        frames = Frames(np.zeros((9, 16, 16), np.int16), np.diag([0.8, 0.8, 2.0, 1.0]))
        for index, one in enumerate(slices(frames, uid, SeriesNumber=number)):
            save(one, tmp_path / f"{number}-{index}")
    study = find_study(tmp_path / "1-4")
    assert [one.uid for one in study.series] == ["1.2.3"]


def test_a_study_without_ct_says_what_it_holds(tmp_path: Path) -> None:
    one = header("1.2.3", Modality="SR")
    one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"
    save(one, tmp_path / "dose")
    with pytest.raises(InputError, match="holds no CT series, but 1 dose or other report"):
        find_study(tmp_path)
    write(tmp_path, 1, count=4)
    with pytest.raises(InputError, match="It takes 8 slices: open all of it"):
        find_study(tmp_path)


def test_slices_in_one_place_are_not_told_apart_one_by_one(tmp_path: Path) -> None:
    """Each has a time of its own; the voltage is what differs between the two energies."""
    for kind in ("A", "B"):
        frames = Frames(np.zeros((20, 16, 16), np.int16), np.diag([0.8, 0.8, 3.0, 1.0]))

        def timed(index: int, one: Any, kind: str = kind) -> None:
            one.AcquisitionTime = f"1200{index:02}.{ord(kind)}"
            one.KVP = {"A": "80", "B": "140"}[kind]

        write_series(tmp_path / kind, frames, series="1.2.3", change=timed)
    assert [len(one.slices) for one in find_study(tmp_path).series] == [20, 20]
    for path in (tmp_path / "B").iterdir():
        path.unlink()
    write_series(
        tmp_path / "B",
        frames,
        series="1.2.3",
        KVP="80",
        change=lambda k, one: setattr(one, "AcquisitionTime", f"1300{k:02}"),
    )
    assert [len(one.slices) for one in find_study(tmp_path).series] == [40]


def test_a_rotating_view_of_thousands_of_frames_is_left_at_once(tmp_path: Path) -> None:
    view = enhanced(Frames(np.zeros((1000, 8, 8), np.int16), np.eye(4)))
    del view.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for angle, frame in zip(
        np.linspace(0, 2 * np.pi, 1000, endpoint=False), view.PerFrameFunctionalGroupsSequence, strict=True
    ):
        own = Dataset()
        own.ImageOrientationPatient = numbers([np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0])
        frame.PlaneOrientationSequence = [own]
    save(view, tmp_path / "view")
    began = time.process_time()
    with pytest.raises(InputError, match="1,000 CT images of series of fewer than 8"):
        find_study(tmp_path)
    assert time.process_time() - began < 5


def test_rounded_orientations_are_one(tmp_path: Path) -> None:
    frames = Frames(np.zeros((100, 16, 16), np.int16), np.diag([0.8, 0.8, 3.0, 1.0]))

    def turned(index: int, one: Any) -> None:
        one.ImageOrientationPatient = numbers([1, 1e-6 * index, 0, 0, 1, 1e-6 * index])

    write_series(tmp_path, frames, change=turned)
    assert [len(one.slices) for one in find_study(tmp_path).series] == [100]
