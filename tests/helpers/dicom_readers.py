"""Reads written objects by other programs: where, in LPS mm, the voxels of each object lie by each of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dicom2nifti
import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813 - what its users call it
from scipy.spatial import cKDTree
from skimage.measure import points_in_poly

Array = np.ndarray[Any, Any]
Points = dict[str, Array]  # float64 (N, 3), LPS mm of voxel centres, by the object's name
MOST_MM = 0.01


def by_hand(path: Path) -> Points:
    """A binary SEG by its own bytes and tags: DICOM PS3.3 C.7.6.2.1.1 and PS3.5 8.1.1, without any toolkit."""
    seg = pydicom.dcmread(path)
    shape = int(seg.NumberOfFrames), int(seg.Rows), int(seg.Columns)
    bits = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), count=int(np.prod(shape)), bitorder="little")
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in seg.SegmentSequence}
    found: dict[str, list[Array]] = {name: [np.empty((0, 3))] for name in names.values()}
    shared = seg.SharedFunctionalGroupsSequence[0]
    for frame, item in zip(bits.reshape(shape), seg.PerFrameFunctionalGroupsSequence, strict=True):
        of_segment = item if "SegmentIdentificationSequence" in item else shared
        number = int(of_segment.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        found[names[number]].append(_pixels_mm(frame, item, shared))
    return {name: np.concatenate(points) for name, points in found.items()}


def labelmap_by_hand(path: Path) -> Points:
    """A label map SEG by its own bytes and tags."""
    seg = pydicom.dcmread(path)
    shape = int(seg.NumberOfFrames), int(seg.Rows), int(seg.Columns)
    values = np.frombuffer(seg.PixelData, np.uint8 if seg.BitsAllocated == 8 else "<u2")[: np.prod(shape)]
    found = {}
    for segment in seg.SegmentSequence:
        if segment.SegmentNumber:
            frames = zip(values.reshape(shape), seg.PerFrameFunctionalGroupsSequence, strict=True)
            shared = seg.SharedFunctionalGroupsSequence[0]
            points = [_pixels_mm(frame == segment.SegmentNumber, item, shared) for frame, item in frames]
            found[str(segment.SegmentLabel)] = np.concatenate(points)
    return found


def _pixels_mm(frame: Array, item: Any, shared: Any) -> Array:
    rows, columns = np.nonzero(frame)
    position = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
    row, column = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = (float(size) for size in shared.PixelMeasuresSequence[0].PixelSpacing)
    points: Array = position + np.outer(columns, row * between_columns) + np.outer(rows, column * between_rows)
    return points


def by_highdicom(path: Path) -> Points:
    """A SEG of evenly spaced frames at right angles, as highdicom's volume."""
    seg = hd.seg.segread(path)
    found = {}
    for item in seg.SegmentSequence:
        if item.SegmentNumber:
            volume = seg.get_volume(segment_numbers=[item.SegmentNumber], combine_segments=True, relabel=True)
            index = np.argwhere(volume.array)
            found[str(item.SegmentLabel)] = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return found


def by_dcmqi(path: Path, folder: Path) -> Points:
    """A SEG of evenly spaced frames, as dcmqi's segimage2itkimage converts it; NRRD, as NIfTI would round the place."""
    folder.mkdir()
    program = Path(pydicom.__file__).parents[1] / "dcmqi" / "bin" / "segimage2itkimage"
    command = [program, "--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nrrd"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    about = json.loads((folder / "meta.json").read_text())["segmentAttributes"]
    found = {}
    for number, segments in enumerate(about, start=1):
        image = sitk.ReadImage(folder / f"{number}.nrrd")
        for segment in segments:
            found[segment["SegmentLabel"]] = image_points(image, segment["labelID"])
    return found


def image_points(image: sitk.Image, label: int) -> Array:
    """Where the voxels of a label lie in an image, by SimpleITK's own arithmetic."""
    index = np.argwhere(sitk.GetArrayFromImage(image) == label)[:, ::-1]
    matrix = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    points: Array = index @ matrix.T + image.GetOrigin()
    if len(index):
        np.testing.assert_allclose(points[0], image.TransformIndexToPhysicalPoint(index[0].tolist()), atol=1e-9)
    return points


def of_structures(path: Path, pixel_mm: Array) -> Points:
    """The pixels whose centres lie within a structure set's outlines, by hand.

    Args:
        path: of the RTSTRUCT.
        pixel_mm: (frames, rows, columns, 3) where the pixels of the series lie.
    """
    made = pydicom.dcmread(path)
    names = {int(roi.ROINumber): str(roi.ROIName) for roi in made.StructureSetROISequence}
    origins, frame_axes = (
        pixel_mm[:, 0, 0],
        (pixel_mm[0, 0, 1] - pixel_mm[0, 0, 0], pixel_mm[0, 1, 0] - pixel_mm[0, 0, 0]),
    )
    row, column = (axis / np.linalg.norm(axis) for axis in frame_axes)
    normal = np.cross(row, column)
    found = {}
    for roi in made.ROIContourSequence:
        inside = np.zeros(pixel_mm.shape[:3], int)
        for contour in roi.get("ContourSequence", ()):
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            away = np.abs((points[:, None] - origins) @ normal)
            frame = int(away[0].argmin())
            assert away[:, frame].max() <= MOST_MM
            flat, centres = (
                (one - origins[frame]) @ np.stack([row, column], axis=1) for one in (points, pixel_mm[frame])
            )
            inside[frame] += points_in_poly(centres.reshape(-1, 2), flat).reshape(inside[frame].shape)
        assert inside.max(initial=0) <= 1, "outlines of one structure overlap"
        found[names[int(roi.ReferencedROINumber)]] = pixel_mm[inside == 1]
    return found


def assert_same_points(found: Points, expected: Points, most_mm: float = MOST_MM) -> None:
    """Each object has a voxel at each expected place, and no others."""
    assert found.keys() == expected.keys()
    for name, points in expected.items():
        assert len(found[name]) == len(points), name
        if len(points):
            farthest = cKDTree(found[name]).query(points)[0].max()
            assert farthest <= most_mm, f"{name} lies {farthest:.3f} mm off"


def by_source_instance(path: Path, ct: Path) -> Points:
    """A SEG by highdicom, frame by frame of the CT images that it refers to, wherever these lie."""
    seg = hd.seg.segread(path)
    images = {image.SOPInstanceUID: image for image in map(pydicom.dcmread, sorted(ct.iterdir()))}
    uids = [uid for _, _, uid in seg.get_source_image_uids()]
    assert set(uids) <= images.keys()
    frames = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    found: dict[str, list[Array]] = {str(item.SegmentLabel): [] for item in seg.SegmentSequence}
    for planes, uid in zip(frames, uids, strict=True):
        to_mm = hd.spatial.PixelToReferenceTransformer.for_image(images[uid])
        for plane, points in zip(np.moveaxis(planes, -1, 0), found.values(), strict=True):
            rows, columns = np.nonzero(plane)
            points.append(to_mm(np.stack([columns, rows], axis=1)))
    return {name: np.concatenate(points) for name, points in found.items()}


def of_nifti(path: Path) -> dict[int, Array]:
    """A label map by nibabel: LPS mm of the voxels of each label."""
    image = nib.nifti1.load(path)
    labels = np.asarray(image.dataobj)
    found = {}
    for label in np.unique(labels[labels != 0]).tolist():
        found[label] = _lps(np.argwhere(labels == label), image.affine)
    return found


def _lps(index: Array, affine: Array) -> Array:
    points: Array = (index @ affine[:3, :3].T + affine[:3, 3]) * (-1, -1, 1)
    return points


def of_converted(folder: Path, out: Path, values: Sequence[int]) -> dict[int, Array]:
    """Where the voxels of some HU lie in the CT that dicom2nifti makes of a series, in LPS mm."""
    dicom2nifti.dicom_series_to_nifti(folder, out, reorient_nifti=False)
    image = nib.nifti1.load(out)
    hu = np.asarray(image.dataobj)
    return {value: _lps(np.argwhere(hu == value), image.affine) for value in values}
