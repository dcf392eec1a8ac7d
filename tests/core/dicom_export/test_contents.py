"""What objects say: names, makers, and identifiers that follow from all of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_series import stack
from dicom_phantom import MADE_BY, frame_order, gathered, opened, scanned
from kidneyseg.dicom_export.contents import gather
from kidneyseg.dicom_export.seg import segmentation
from kidneyseg.findings import measure
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.settings import preset

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
SERIES, LABELS = scanned(AXIAL, spacing=(5.0, 4.0), steps_mm=6.0)
LABELS = LABELS[frame_order(SERIES)]


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return opened(SERIES, tmp_path_factory.mktemp("ct"))


def names(volume: Volume, labels: np.ndarray[Any, Any]) -> list[str]:
    return [segment.name for segment in gathered(volume, labels).segments]


def test_names_tell_the_objects_apart(volume: Volume) -> None:
    assert names(volume, LABELS) == ["Right kidney", "Left kidney", "Tumour 1, left kidney", "Cyst 1, right kidney"]
    labels = LABELS.copy()
    labels[:, :3] = 0
    labels[3:5, 4:6, 30:32] = TUMOUR
    labels[3, 4, 2] = CYST
    assert set(names(volume, labels)) - set(names(volume, LABELS)) == {"Tumour 2, left kidney", "Cyst 2, right kidney"}
    crumbs = np.zeros_like(labels)
    crumbs[3, 4, 5] = KIDNEY
    crumbs[8, 4:6, 5] = TUMOUR
    assert names(volume, crumbs) == ["Kidney, small pieces", "Tumour 1"]


def test_kidneys_of_unknown_sides_are_numbered(volume: Volume) -> None:
    mask = volume.geometry.from_frames(LABELS)
    findings = measure(mask, volume, oriented=False)
    made = gather(mask, volume, volume.geometry, findings=findings, provenance=MADE_BY)
    assert [segment.name for segment in made.segments] == ["Kidney 1", "Kidney 2", "Tumour 1", "Cyst 1"]
    assert {segment.side for segment in made.segments} == {None}


def test_every_labelled_pixel_is_in_a_segment_of_its_label(volume: Volume) -> None:
    contents = gathered(volume, LABELS)
    of_number = np.array([0, *(segment.label for segment in contents.segments)])
    np.testing.assert_array_equal(of_number[contents.numbers], LABELS)


def test_what_was_made_by_hand_is_said(volume: Volume) -> None:
    def made(marks: np.ndarray[Any, Any] | None, **changes: Any) -> list[str]:
        return [segment.made for segment in gathered(volume, LABELS, marks=marks, **changes).segments]

    mask = volume.geometry.from_frames(LABELS)
    marks = np.zeros_like(mask)
    assert made(None) == made(marks) == ["AUTOMATIC"] * 4
    marks[mask == CYST] = 1
    x, y, z = np.argwhere(mask == TUMOUR)[0]
    marks[x, y, z] = 1
    assert made(marks) == ["AUTOMATIC", "AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
    assert made(None, provenance=None) == ["SEMIAUTOMATIC"] * 4


def test_the_same_result_gives_the_same_identifiers_and_another_one_others(volume: Volume, tmp_path: Path) -> None:
    first = gathered(volume, LABELS)
    seg = segmentation(first)
    again = segmentation(gathered(opened(SERIES, tmp_path / "again"), LABELS))
    assert again.SOPInstanceUID == seg.SOPInstanceUID
    assert str(again) == str(seg)
    assert again.PixelData == seg.PixelData
    later = segmentation(gathered(volume, LABELS, made_at=datetime(2027, 1, 1)))
    assert later.SOPInstanceUID == seg.SOPInstanceUID
    differs = [element.keyword for element in later if element != seg.get(element.tag)]
    assert {"ContentDate", "InstanceCreationDate"} <= set(differs)
    assert all(one.endswith(("Date", "Time")) for one in differs if one != "ContributingEquipmentSequence")
    other = LABELS.copy()
    other[tuple(np.argwhere(LABELS == TUMOUR)[0])] = KIDNEY
    mask = volume.geometry.from_frames(LABELS)
    marks = np.where(mask == CYST, 1, 0).astype(np.uint8)
    settings = replace(preset("default"), fill=replace(preset("default").fill, algorithm="hull"))
    changed = [
        gathered(volume, other),
        gathered(volume, LABELS, marks=marks),
        gathered(volume, LABELS, provenance=None),
        gathered(volume, LABELS, provenance=replace(MADE_BY, model_ids=("default-stage1-0", "default-stage2-0"))),
        gathered(volume, LABELS, provenance=replace(MADE_BY, settings=settings)),
        gathered(opened(SERIES, tmp_path / "b", "other"), LABELS),
        gathered(opened(SERIES, tmp_path / "c", PatientName="Corrected^Name"), LABELS),
    ]
    assert len({one.uid("object", "seg") for one in (first, *changed)}) == len(changed) + 1
    slower = gathered(volume, LABELS, provenance=replace(MADE_BY, seconds={"fill": 9.0}))
    assert slower.digest == first.digest


def test_identifiers_are_valid_and_of_one_kind_each(volume: Volume) -> None:
    contents = gathered(volume, LABELS)
    found = [contents.uid("object", kind) for kind in ("seg", "labelmap", "rtstruct", "sr")]
    found += [contents.uid("series", kind) for kind in ("seg", "sr")] + [one.tracking_uid for one in contents.segments]
    assert len(set(found)) == len(found)
    for uid in found:
        root, number = uid.rsplit(".", 1)
        assert (root, str(int(number))) == ("2.25", number)
        assert len(uid) <= 64
        assert int(number) < 1 << 128


def test_an_algorithm_with_long_names_is_named_by_its_last_network(volume: Volume) -> None:
    networks = ("a-network-with-a-long-name-stage1-0123abcd", "a-network-with-a-long-name-stage2-0123abcd")
    algorithm = gathered(volume, LABELS, provenance=replace(MADE_BY, model_ids=networks)).algorithm
    assert algorithm.name == f"KidneySeg ({networks[1]})"
    assert len(algorithm.name) <= 64
    assert algorithm.parameters["networks"] == ", ".join(networks)


def test_large_volumes_of_air_have_a_kidney_without_voxels(tmp_path: Path) -> None:
    air = opened(stack(np.full((12, 20, 24), -1000, np.int16), AXIAL), tmp_path / "ct")
    (segment,) = gathered(air, np.zeros((12, 20, 24), np.uint8)).segments
    assert (segment.name, segment.ml, segment.finding) == ("Kidney", 0.0, None)
