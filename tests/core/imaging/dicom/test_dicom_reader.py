"""A series gives the volume that it was made of, in every axis order and transfer syntax."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from dicom_series import Frames, enhanced, frames_of, put_pixels, save, slices, write_series
from kidneyseg import load
from kidneyseg.errors import Cancelled, InputError
from kidneyseg.imaging.dicom.dicom_reader import load_dicom
from kidneyseg.imaging.dicom.frames import DicomGeometry
from kidneyseg.imaging.nifti import load_mask, load_volume, save_mask
from kidneyseg.imaging.volume import Volume
from kidneyseg.progress import CallbackProgress
from volumes import abdomen

ORDERS = ["".join(letters) for axes in permutations(("RL", "AP", "IS")) for letters in product(*axes)]
SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "big endian": "1.2.840.10008.1.2.2",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}


def made(shape: tuple[int, int, int] = (40, 36, 12)) -> Volume:
    """No two places look the same, and the voxels are not cubes."""
    hu = np.asfortranarray(np.random.default_rng(3).integers(-900, 1200, shape, np.int16))
    affine = np.diag([0.75, 0.8, 2.5, 1.0])
    affine[:3, 3] = -30.0, 12.5, -400.25
    return Volume(hu, (0.75, 0.8, 2.5), affine)


def same(one: Volume, other: Volume) -> None:
    np.testing.assert_array_equal(one.hu, other.hu)
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-4)


@pytest.mark.parametrize("order", ORDERS)
def test_every_axis_order_gives_the_same_volume(tmp_path: Path, order: str) -> None:
    volume = made()
    write_series(tmp_path / "series", frames_of(volume, order))
    read = load(tmp_path / "series")
    same(read, volume)
    assert read.notes == ()
    labels = np.random.default_rng(4).integers(0, 4, read.shape, np.uint8)
    geometry = read.geometry
    assert isinstance(geometry, DicomGeometry)
    framed = geometry.to_frames(labels)
    np.testing.assert_array_equal(geometry.from_frames(framed), labels)
    # A pixel of a frame lies where its own header says.
    for frame, row, column in ((0, 0, 0), (3, 5, 7), (len(framed) - 1, framed.shape[1] - 1, framed.shape[2] - 1)):
        voxel = np.zeros(read.shape, np.uint8)
        one = np.zeros(framed.shape, np.uint8)
        one[frame, row, column] = 1
        voxel = geometry.from_frames(one)
        at = np.append(np.argwhere(voxel)[0], 1)
        place = geometry.frame_affine_lps(frame) @ (column, row, 0, 1)
        np.testing.assert_allclose(geometry.affine_lps @ at, place, atol=1e-4)


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES.keys())
@pytest.mark.parametrize("multi", [False, True], ids=["classic", "enhanced"])
def test_every_transfer_syntax_gives_the_same_volume(tmp_path: Path, syntax: str, multi: bool) -> None:
    volume = made()
    frames = frames_of(volume)
    if multi:
        save(enhanced(frames), tmp_path / "one", syntax)
    else:
        write_series(tmp_path, frames, syntax=syntax)
    read = load(tmp_path)
    same(read, volume)
    assert len(read.geometry.headers) == (1 if multi else 12)
    assert [frame.number for frame in read.geometry.frames[:2]] == ([1, 2] if multi else [1, 1])


@pytest.mark.parametrize("order", ["LPS", "RAS", "PIR", "ILA"])
@pytest.mark.parametrize("degrees", [(20, 10), (-35, 5), (44, -44)])
def test_an_oblique_series_lies_where_its_headers_say(tmp_path: Path, order: str, degrees: tuple[float, float]) -> None:
    about_x, about_z = np.deg2rad(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(about_x), -np.sin(about_x)], [0, np.sin(about_x), np.cos(about_x)]])
    turn = turn @ [[np.cos(about_z), -np.sin(about_z), 0], [np.sin(about_z), np.cos(about_z), 0], [0, 0, 1]]
    frames = frames_of(made(), order)
    frames.affine[:3] = turn @ frames.affine[:3]
    write_series(tmp_path, frames)
    read = load(tmp_path)
    geometry = read.geometry
    assert geometry.exact
    for voxel in ((0, 0, 0), (3, 4, 5), tuple(n - 1 for n in read.shape)):
        one = np.zeros(read.shape, np.uint8)
        one[voxel] = 1
        frame, row, column = (int(index) for index in np.argwhere(geometry.to_frames(one))[0])
        place = geometry.frame_affine_lps(frame) @ (column, row, 0, 1)
        np.testing.assert_allclose(geometry.affine_lps @ (*voxel, 1), place, atol=1e-3)
        nearest = np.rint(np.linalg.inv(frames.affine) @ place)[:3].astype(int)  # of the original (column, row, frame)
        assert read.hu[voxel] == frames.hu[nearest[2], nearest[1], nearest[0]]


def test_a_volume_is_in_memory_once(tmp_path: Path) -> None:
    """Headers and one slice come on top, and no copy of the volume."""
    hu = np.zeros((100, 512, 512), np.int16)
    hu[:, ::2] = 40
    write_series(tmp_path, Frames(hu, np.diag([0.8, 0.8, 2.0, 1.0])))
    code = (
        "import resource, sys; from kidneyseg.imaging.dicom.dicom_reader import load_dicom\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak(); volume = load_dicom(sys.argv[1]); print(peak() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert float(run.stdout) < hu.nbytes / 2**20 + 20


def test_a_file_a_zip_and_a_folder_give_the_same_volume(tmp_path: Path) -> None:
    volume = made()
    paths = write_series(tmp_path / "deep" / "er", frames_of(volume))
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, f"../../a/{path.name}")
    for path in (tmp_path / "deep", paths[4], tmp_path / "study.zip"):
        same(load(path), volume)
    assert load(tmp_path / "study.zip").name == "study"


def test_a_mask_of_a_study_lies_on_the_nifti_of_its_ct(tmp_path: Path) -> None:
    volume = made()
    write_series(tmp_path / "series", frames_of(volume, "PIR"))
    read = load(tmp_path / "series")
    labels = np.asfortranarray(np.random.default_rng(5).integers(0, 3, read.shape, np.uint8))
    save_mask(labels, read, tmp_path / "mask.nii.gz")
    again, geometry = load_mask(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(again, labels)
    np.testing.assert_array_equal(geometry.affine, read.affine)
    assert geometry.file_orientation == "PIR"


def test_a_real_ct_gives_the_hu_of_its_nifti(tmp_path: Path, data_dir: Path) -> None:
    original = load_volume(data_dir / "btcv" / "btcv0033_ct.nii.gz")
    write_series(tmp_path / "series", frames_of(original))
    read = load(tmp_path / "series")
    np.testing.assert_array_equal(read.hu, original.hu)
    np.testing.assert_allclose(read.affine, original.affine, atol=1e-5)
    assert read.spacing_mm == original.spacing_mm  # to the last bit: it decides on the mask
    assert read.slice_axis == original.slice_axis


def test_each_slice_has_its_own_rescaling(tmp_path: Path) -> None:
    volume = made()
    frames = frames_of(volume)

    def change(index: int, one: object) -> None:
        one.RescaleIntercept, one.RescaleSlope = str(-1000 - index), "0.5"
        put_pixels(one, frames.hu[index])

    write_series(tmp_path, frames, change=change)
    same(load(tmp_path), volume)


def test_signed_and_12_bit_pixels_with_an_overlay_in_the_bits_above(tmp_path: Path) -> None:
    volume = made()
    frames = frames_of(volume)

    def change(index: int, one: object) -> None:
        one.PixelRepresentation, one.BitsStored, one.HighBit, one.RescaleIntercept = 1, 12, 11, "0"
        stored = (frames.hu[index].astype(np.uint16) & 0x0FFF) | 0xA000
        one.PixelData = stored.tobytes()

    write_series(tmp_path, frames, change=change)
    same(load(tmp_path), volume)


@pytest.mark.parametrize(("padding", "stated"), [(-2000, 63536), (31000, 31000 + 1024)])
def test_padding_is_air(tmp_path: Path, padding: int, stated: int) -> None:
    volume = made()
    volume.hu[:3] = padding
    frames = frames_of(volume)

    def change(index: int, one: object) -> None:
        one.RescaleIntercept = "0" if padding < 0 else "-1024"
        one.PixelRepresentation = int(padding < 0)
        put_pixels(one, frames.hu[index])
        one.add_new(0x00280120, "US", stated)

    write_series(tmp_path, frames, change=change)
    read = load(tmp_path)
    assert (read.hu[:3] == -1024).all()
    np.testing.assert_array_equal(read.hu[3:], volume.hu[3:])


def test_a_padding_value_that_is_tissue_is_none(tmp_path: Path) -> None:
    volume = made()
    write_series(tmp_path, frames_of(volume), change=lambda _i, one: one.add_new(0x00280120, "US", 1024))
    same(load(tmp_path), volume)


def test_values_without_rescaling_get_the_offset_that_they_need(tmp_path: Path) -> None:
    volume, _ = abdomen()
    frames = frames_of(volume)

    def change(index: int, one: object) -> None:
        one.PixelData = (frames.hu[index] + np.int16(1024)).astype(np.uint16).tobytes()

    stated = {"WindowCenter": "1064", "WindowWidth": "350"}
    write_series(tmp_path, frames, change=change, RescaleIntercept=None, RescaleSlope=None, **stated)
    read = load(tmp_path)
    same(read, volume)
    assert read.hu_offset == -1024
    assert read.window == (350, 40)
    assert "corrected" in read.notes[0]
    assert load(tmp_path, hu_offset=0).hu.max() == volume.hu.max() + 1024


def test_a_tilted_gantry_is_sheared_to_rest(tmp_path: Path) -> None:
    """Straight rods along the patient's z stay straight, and labels of a frame find it again."""
    volume = made((40, 64, 16))
    volume.hu[...] = -1000
    volume.hu[18:22, 30:34, :] = 500
    affine = frames_of(volume).affine
    affine[:3, 2] = 0.0, 0.8, 2.5  # each slice is one row further back
    tilted = Frames(np.stack([np.roll(one, -k, axis=0) for k, one in enumerate(frames_of(volume).hu)]), affine)
    write_series(tmp_path, tilted)
    read = load(tmp_path)
    assert "tilted by 17.7°" in read.notes[0]
    rods = np.argwhere(read.hu.max(axis=2) > 400)
    assert len(rods) == 16
    assert (read.hu[tuple(rods[0])] == 500).all()
    geometry = read.geometry
    assert not geometry.exact
    framed = geometry.to_frames((read.hu > 400).astype(np.uint8))
    np.testing.assert_array_equal(framed, tilted.hu > 400)
    np.testing.assert_array_equal(geometry.to_frames(geometry.from_frames(framed)), framed)


def test_reading_reports_and_can_be_cancelled(tmp_path: Path) -> None:
    write_series(tmp_path, frames_of(made()))
    seen: list[tuple[str, float]] = []
    load(tmp_path, progress=CallbackProgress(lambda stage, share: seen.append((stage, share))))
    assert [share for _, share in seen] == sorted(share for _, share in seen)
    assert {"Looking for CT series", "Reading slices"} == {stage for stage, _ in seen}
    with pytest.raises(Cancelled):
        load(tmp_path, progress=CallbackProgress(is_cancelled=lambda: len(seen) > 0))


def test_of_several_series_one_is_chosen(tmp_path: Path) -> None:
    volume = made()
    write_series(tmp_path / "a", frames_of(volume), SeriesNumber=7, SeriesDescription="Abdomen portal")
    other = made()
    other.hu[...] += 1
    write_series(tmp_path / "b", frames_of(other), SeriesNumber=8, SeriesDescription="Thorax LUNG")
    read = load(tmp_path)
    same(read, volume)
    assert read.notes == ("Of 2 CT series, series 7 was taken (12 slices, 2.5 mm apart).",)
    assert read.series == "7"
    assert read.name == f"{tmp_path.name}_series_7"
    same(load(tmp_path, series="8"), other)
    with pytest.raises(InputError, match=r"no one CT series 9\. Choose one of: 7, 8"):
        load(tmp_path, series="9")


def test_nothing_of_the_patient_is_in_what_is_said(tmp_path: Path) -> None:
    write_series(tmp_path / "s", frames_of(made()), SeriesNumber=7)
    write_series(tmp_path / "t", frames_of(made()), SeriesNumber=8, SeriesDescription="for Mrs Doe")
    said = " ".join(load_dicom(tmp_path).notes)
    assert not any(word in said for word in ("Doe", "Jane", "4711", "1950"))


def test_a_nifti_is_read_without_a_series(tmp_path: Path) -> None:
    path = tmp_path / "ct.nii"
    path.write_bytes(b"x")
    with pytest.raises(InputError, match="without series"):
        load(path, series="3")


def test_a_large_volume_of_small_files_is_refused(tmp_path: Path) -> None:
    """Else a few kilobytes of JPEG-LS would take any amount of memory."""
    empty = Frames(np.zeros((1, 4096, 4096), np.int16), np.diag([0.1, 0.1, 2.0, 1.0]))
    one = slices(empty)[0]
    save(one, tmp_path / "first", SYNTAXES["JPEG-LS"])
    for index in range(8):
        one.SOPInstanceUID, one.ImagePositionPatient = f"1.2.{index}", [0, 0, 2.0 * index]
        one.save_as(tmp_path / f"{index}")
    (tmp_path / "first").unlink()
    with pytest.raises(InputError, match="promises far more voxels"):
        load(tmp_path)
