"""Files in each format: what is written, what is refused, and an Enhanced CT as the source."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from dicom_phantom import MADE_AT, MADE_BY, frame_order, in_frames, opened, pixel_mm, scanned
from dicom_readers import assert_same_points, by_hand, by_highdicom, labelmap_by_hand, of_structures
from dicom_series import Frames, enhanced, save
from kidneyseg.dicom_export.formats import Format, check_formats, check_series, export_formats, with_segmentation
from kidneyseg.errors import InputError, OutputError
from kidneyseg.findings import measure
from kidneyseg.imaging.dicom.dicom_reader import load_dicom
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.export import read_sidecar
from volumes import abdomen

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
SERIES, LABELS = scanned(AXIAL, spacing=(5.0, 4.0), steps_mm=6.0)
LABELS = LABELS[frame_order(SERIES)]


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return opened(SERIES, tmp_path_factory.mktemp("in") / "ct")


def export(volume: Volume, targets: dict[Format, Path], labels: Any = LABELS, **changes: Any) -> Any:
    mask = volume.geometry.from_frames(labels)
    values = {"findings": measure(mask, volume), "provenance": MADE_BY, "made_at": MADE_AT} | changes
    return export_formats(mask, volume, targets, **values)


def test_a_report_brings_the_segmentation_that_it_refers_to(volume: Volume, tmp_path: Path) -> None:
    made = export(volume, {Format.SR: tmp_path / "case_sr.dcm"})
    assert made.files == {Format.SEG: (tmp_path / "case_seg.dcm",), Format.SR: (tmp_path / "case_sr.dcm",)}
    report, seg = (pydicom.dcmread(made.files[kind][0]) for kind in (Format.SR, Format.SEG))
    assert str(seg.SOPInstanceUID) in str(report)
    named = {Format.SR: tmp_path / "out.dcm"}
    assert with_segmentation(named) == {Format.SEG: tmp_path / "out_seg.dcm", **named}
    with_map = {Format.LABELMAP: tmp_path / "m.dcm", Format.SR: tmp_path / "r.dcm"}
    assert with_segmentation(with_map) == with_map


def test_key_images_are_numbered(volume: Volume, tmp_path: Path) -> None:
    made = export(volume, {Format.IMAGES: tmp_path / "case_key.dcm"})
    assert [path.name for path in made.files[Format.IMAGES]] == [f"case_key-{n}.dcm" for n in (1, 2, 3, 4)]
    assert made.sidecar == tmp_path / "case_key.json"
    none = export(volume, {Format.IMAGES: tmp_path / "none_key.dcm"}, np.zeros_like(LABELS))
    assert none.files == {Format.IMAGES: ()}
    assert none.sidecar.is_file()


def test_a_sidecar_lies_beside_and_names_no_patient(volume: Volume, tmp_path: Path) -> None:
    made = export(volume, {Format.SEG: tmp_path / "a.dcm", Format.RTSTRUCT: tmp_path / "b.dcm"})
    assert made.sidecar == tmp_path / "a.json"
    text = made.sidecar.read_text()
    source = volume.geometry.headers[0]
    assert not any(word in text for word in ("Phantom", "phantom-1", "19700101", source.StudyInstanceUID))
    told = read_sidecar(tmp_path / "a.dcm")
    assert told is not None
    assert told.provenance.model_ids == MADE_BY.model_ids
    assert json.loads(text)["findings"]["tumours"][0]["side"] == "left"
    with_mask = export(volume, {Format.SEG: tmp_path / "c.dcm", Format.NIFTI: tmp_path / "c_mask.nii.gz"})
    assert with_mask.sidecar == tmp_path / "c_mask.json"


def test_own_files_are_replaced_and_no_others(volume: Volume, tmp_path: Path) -> None:
    targets = {Format.SEG: tmp_path / "a.dcm"}
    export(volume, targets)
    first = (tmp_path / "a.dcm").read_bytes()
    export(volume, targets)
    assert (tmp_path / "a.dcm").read_bytes() == first
    with pytest.raises(OutputError, match="exists already"):
        export(volume, targets, overwrite=False)
    assert volume.path is not None
    source = next(iter(sorted(volume.path.iterdir())))
    damaged = source.read_bytes()[:138] + b"\x03\0abc" + source.read_bytes()[144:]  # the length of group 2
    for content in (source.read_bytes(), damaged, b"no DICOM at all", b""):
        (tmp_path / "b.dcm").write_bytes(content)
        with pytest.raises(OutputError, match="another program's file"):
            check_formats({Format.SEG: tmp_path / "b.dcm"}, volume.path)
        with pytest.raises(OutputError, match="another program's file"):
            export(volume, {Format.RTSTRUCT: tmp_path / "b.dcm"})
        assert (tmp_path / "b.dcm").read_bytes() == content
    (tmp_path / "c.json").write_text('{"Modality": "CT"}')
    with pytest.raises(OutputError, match=r"c\.json is another program's file"):
        check_formats({Format.SEG: tmp_path / "c.dcm"}, volume.path)


@pytest.mark.parametrize("kind", [Format.SEG, Format.SR, Format.IMAGES])
def test_other_endings_are_refused(kind: Format, volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"End it in \.dcm"):
        check_formats({kind: tmp_path / "a.nii"}, volume.path)


def test_a_disk_that_fails_leaves_whole_files(volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(volume, {Format.SEG: tmp_path / "a.dcm"})
    before = (tmp_path / "a.dcm").read_bytes()

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="disk is full"):
        export(volume, {Format.SEG: tmp_path / "a.dcm"}, LABELS[::-1].copy())
    assert (tmp_path / "a.dcm").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dcm", "a.json"]


def test_a_ct_that_is_no_series_needs_a_reference(tmp_path: Path) -> None:
    volume, truth = abdomen()
    with pytest.raises(InputError, match="--dicom-reference"):
        export_formats(
            truth, volume, {Format.SEG: tmp_path / "a.dcm"}, findings=measure(truth, volume), provenance=None
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reverse", [False, True])
def test_an_enhanced_ct_is_referred_to_by_its_frames(reverse: bool, tmp_path: Path) -> None:
    one = enhanced(in_frames(SERIES, reverse))
    save(one, tmp_path / "ct" / "IM1")
    volume = load_dicom(tmp_path / "ct")
    targets = {kind: tmp_path / f"{kind}.dcm" for kind in Format if kind != Format.NIFTI}
    made = export(volume, targets)
    mm = pixel_mm(SERIES)[frame_order(SERIES)]
    left = mm[..., 0] > -3.0
    expected = {
        "Right kidney": mm[(LABELS == 1) & ~left],
        "Left kidney": mm[(LABELS == 1) & left],
        "Tumour 1, left kidney": mm[LABELS == 2],
        "Cyst 1, right kidney": mm[LABELS == 3],
    }
    assert_same_points(by_hand(targets[Format.SEG]), expected)
    assert_same_points(by_highdicom(targets[Format.SEG]), expected)
    assert_same_points(labelmap_by_hand(targets[Format.LABELMAP]), expected)
    assert_same_points(of_structures(targets[Format.RTSTRUCT], mm), expected)
    count = len(LABELS)
    for structure in pydicom.dcmread(targets[Format.RTSTRUCT]).ROIContourSequence:
        for contour in structure.ContourSequence:
            refers = contour.ContourImageSequence[0]
            assert refers.ReferencedSOPInstanceUID == one.SOPInstanceUID
            frame = refers.ReferencedFrameNumber - 1
            z = float(contour.ContourData[2])
            assert z == pytest.approx(SERIES.positions[count - 1 - frame if reverse else frame][2], abs=1e-3)
    picture = pydicom.dcmread(made.files[Format.IMAGES][0])
    assert picture.SourceImageSequence[0].ReferencedFrameNumber in range(1, count + 1)


def test_several_multi_frame_objects_are_refused_before_the_networks_run(tmp_path: Path) -> None:
    whole = in_frames(SERIES, False)
    half = len(whole.hu) // 2
    first = enhanced(Frames(whole.hu[:half], whole.affine), "1.2.3")
    further = whole.affine.copy()
    further[:3, 3] = whole.position(half)
    second = enhanced(Frames(whole.hu[half:], further), "1.2.3")
    second.StudyInstanceUID, second.FrameOfReferenceUID = first.StudyInstanceUID, first.FrameOfReferenceUID
    for number, one in enumerate((first, second)):
        save(one, tmp_path / "ct" / f"{number}")
    volume = load_dicom(tmp_path / "ct")
    for kind in (Format.SEG, Format.LABELMAP, Format.SR):
        targets = {kind: tmp_path / f"{kind}.dcm"}
        with pytest.raises(InputError, match="several multi-frame objects"):
            check_series(volume, targets)
        with pytest.raises(InputError, match="several multi-frame objects"):
            export(volume, targets)
    targets = {kind: tmp_path / f"{kind}.dcm" for kind in (Format.RTSTRUCT, Format.IMAGES)}
    assert check_series(volume, targets) is volume.geometry
    made = export(volume, targets)
    count = 0
    for path in made.files[Format.IMAGES]:
        refers = pydicom.dcmread(path).SourceImageSequence[0]
        assert 1 <= refers.ReferencedFrameNumber <= len(whole.hu) - half
        count += refers.ReferencedSOPInstanceUID in {first.SOPInstanceUID, second.SOPInstanceUID}
    assert count == len(made.files[Format.IMAGES]) > 0
