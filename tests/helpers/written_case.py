"""A labelled series, all that is written of it, and the comparison of each place by every program that reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - what its users call it

from ct_series import Series
from dicom_phantom import CENTRE, MADE_AT, MADE_BY, frame_order, opened, pixel_mm
from dicom_readers import (
    Points,
    assert_same_points,
    by_dcmqi,
    by_hand,
    by_highdicom,
    by_source_instance,
    image_points,
    labelmap_by_hand,
    of_converted,
    of_nifti,
    of_structures,
)
from kidneyseg.dicom_export.formats import Format, export_formats
from kidneyseg.findings import measure
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR

Array = np.ndarray[Any, Any]
NAMES = {"Right kidney": KIDNEY, "Left kidney": KIDNEY, "Tumour 1, left kidney": TUMOUR, "Cyst 1, right kidney": CYST}


class WrittenCase:
    """A labelled series, what is written of it, and where each object lies by the arithmetic that made the series."""

    def __init__(self, series: Series, labels: Array, folder: Path) -> None:
        self.folder, self.ct = folder, folder / "ct"
        order = frame_order(series)
        self.volume = opened(series, self.ct)
        self.labels, self.mm = labels[order], pixel_mm(series)[order]
        self.mask = self.volume.geometry.from_frames(self.labels)
        self.files = {kind: folder / f"{kind}.dcm" for kind in (Format.SEG, Format.LABELMAP, Format.RTSTRUCT)}
        self.files[Format.NIFTI] = folder / "mask.nii.gz"
        findings = measure(self.mask, self.volume)
        made = {"findings": findings, "provenance": MADE_BY, "made_at": MADE_AT}
        export_formats(self.mask, self.volume, self.files, **made)
        self.sides = [kidney.side for kidney in findings.kidneys]

    def expected(self) -> Points:
        """LPS mm of the pixels of each object; the kidneys are told apart by where they lie."""
        left = self.mm[..., 0] > CENTRE[0]
        of_label = {name: self.mm[(self.labels == label) & (left == ("eft" in name))] for name, label in NAMES.items()}
        assert all(len(points) for points in of_label.values())
        return of_label

    def check(self, *, even: bool = True) -> None:
        """Compare every reader of the objects; `even`: frames at right angles and at even distances."""
        expected = self.expected()
        assert self.sides == ["right", "left"]
        assert_same_points(by_hand(self.files[Format.SEG]), expected)
        assert_same_points(labelmap_by_hand(self.files[Format.LABELMAP]), expected)
        assert_same_points(by_source_instance(self.files[Format.SEG], self.ct), expected)
        assert_same_points(of_structures(self.files[Format.RTSTRUCT], self.mm), expected)
        if even:  # highdicom makes volumes of such only, and dcmqi takes any for such
            for kind in (Format.SEG, Format.LABELMAP):
                assert_same_points(by_highdicom(self.files[kind]), expected)
                assert_same_points(by_dcmqi(self.files[kind], self.folder / f"dcmqi-{kind}"), expected)

    def check_nifti(self) -> None:
        """Compare the NIfTI mask with the series, and with the CT that dicom2nifti and SimpleITK make of it."""
        expected: dict[str, Array] = {}
        for label in (KIDNEY, TUMOUR, CYST):
            expected[str(label)] = self.mm[self.labels == label]
        path = self.files[Format.NIFTI]
        assert_same_points({str(label): points for label, points in of_nifti(path).items()}, expected)
        image = sitk.ReadImage(path)
        assert_same_points({name: image_points(image, int(name)) for name in expected}, expected)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(self.ct)))
        hu_of = {KIDNEY: 150, TUMOUR: 230, CYST: 5}
        by_itk = reader.Execute()
        assert_same_points({str(label): image_points(by_itk, hu) for label, hu in hu_of.items()}, expected)
        converted = of_converted(self.ct, self.folder / "converted.nii", list(hu_of.values()))
        assert_same_points({str(label): converted[hu] for label, hu in hu_of.items()}, expected)
