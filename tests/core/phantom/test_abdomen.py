"""The made-up abdomen: repeatable, anatomically plausible, and with labels that fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from kidneyseg.errors import OutputError
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.phantom import abdomen as phantom
from kidneyseg.phantom.abdomen import make_phantom, sample_case
from kidneyseg.phantom.canvas import Canvas

# Coarse, so that the tests are quick: the anatomy is in mm and stays.
SHAPE, SPACING = (96, 96, 48), (4.0, 4.0, 6.0)
Case = tuple[Volume, np.ndarray]


@pytest.fixture(scope="module")
def case() -> Case:
    return make_phantom(3, SHAPE, SPACING)


def test_form(case: Case) -> None:
    volume, labels = case
    assert volume.shape == labels.shape == SHAPE
    assert (volume.hu.dtype, labels.dtype) == (np.int16, np.uint8)
    assert volume.hu.flags.f_contiguous
    assert labels.flags.f_contiguous
    assert volume.spacing_mm == SPACING
    assert volume.calibrated
    assert set(np.unique(labels)) == {0, 1, 2}
    centre = volume.affine @ [*(np.array(SHAPE) - 1) / 2, 1]
    np.testing.assert_allclose(centre, [0, 0, 0, 1])


def test_same_seed_same_voxels(case: Case) -> None:
    volume, labels = make_phantom(3, SHAPE, SPACING)
    np.testing.assert_array_equal(volume.hu, case[0].hu)
    np.testing.assert_array_equal(labels, case[1])
    other, _ = make_phantom(4, SHAPE, SPACING)
    assert (np.abs(other.hu - case[0].hu) > 100).mean() > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_kidneys_are_where_kidneys_are(seed: int) -> None:
    """Size and tilt as on 14 real CTs: 80 to 260 ml, the upper poles nearer to spine and back."""
    volume, labels = make_phantom(seed, SHAPE, SPACING, tumours=0)
    middle = SHAPE[0] // 2
    for side in (1, -1):
        kidney = labels.copy()
        kidney[slice(None, middle) if side > 0 else slice(middle, None)] = 0
        assert 80 < kidney.sum() * volume.voxel_ml < 260
        _, count = ndimage.label(kidney, np.ones((3, 3, 3)))
        assert count == 1
        place = np.argwhere(kidney) * SPACING
        _, axes = np.linalg.eigh(np.cov((place - place.mean(0)).T))
        up = axes[:, 2] * np.sign(axes[2, 2])
        assert up[2] > 0.75
        assert -side * up[0] > -0.05
        assert up[1] < 0.05


def test_patient_lies_on_his_back_in_air(case: Case) -> None:
    hu = case[0].hu
    assert np.median(hu[:4, -4:, :]) == pytest.approx(-1000, abs=20)
    body = ndimage.binary_opening(hu > -300, iterations=2)
    assert 0.25 < body.mean() < 0.75
    bone = np.argwhere((hu > 350) & body)
    spine = bone[np.abs(bone[:, 0] - SHAPE[0] / 2) < 6]
    inside = np.argwhere(body)
    assert spine[:, 1].mean() < inside[:, 1].mean(), "the spine is behind the middle"
    top, bottom = hu[30:66, 30:66, -2], hu[30:66, 30:66, 2]
    assert (top < -600).mean() > 0.2 > (bottom < -600).mean(), "lungs above, none below"
    liver_side, other_side = hu[62:80, 50:75, 30:36], hu[16:34, 50:75, 30:36]
    assert (np.abs(liver_side - 105) < 35).mean() > (np.abs(other_side - 105) < 35).mean()


def test_phases_look_their_part_on_the_same_anatomy() -> None:
    kidney, contrast, anatomy = {}, {}, {}
    for phase in ("noncontrast", "arterial", "portal", "late"):
        volume, labels = make_phantom(5, SHAPE, SPACING, phase=phase)
        kidney[phase] = float(np.median(volume.hu[labels == 1]))
        contrast[phase] = kidney[phase] - float(np.median(volume.hu[labels == 2]))
        anatomy[phase] = labels
    assert 20 < kidney["noncontrast"] < 50
    assert min(kidney["arterial"], kidney["portal"]) > kidney["late"] > 90
    assert abs(contrast["noncontrast"]) < 25
    assert min(contrast[phase] for phase in ("portal", "late")) > 25
    assert all(np.array_equal(anatomy["portal"], labels) for labels in anatomy.values())


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tumours_grow_from_kidneys(count: int) -> None:
    _, labels = make_phantom(6, SHAPE, SPACING, tumours=count)
    parts, found = ndimage.label(labels == 2, np.ones((3, 3, 3)))
    assert found == count
    for number in range(1, count + 1):
        rim = ndimage.binary_dilation(parts == number, np.ones((3, 3, 3)))
        assert (labels[rim] == 1).any()
    if count == 2:
        sides = [np.argwhere(parts == number)[:, 0].mean() < SHAPE[0] / 2 for number in (1, 2)]
        assert sides[0] != sides[1], "they take sides in turn"


def test_noise_has_the_grain_of_a_scanner() -> None:
    canvas = Canvas((64, 64, 24), (0.8, 0.8, 2.0), (0, 0, 0), np.random.default_rng(0))
    canvas.add_noise(11, (0.9, 0.9, 0.6))
    assert canvas.hu.std() == pytest.approx(11, rel=0.05)
    neighbours = np.corrcoef(canvas.hu[:, :, 1:].ravel(), canvas.hu[:, :, :-1].ravel())[0, 1]
    assert 0.5 < neighbours < 0.95


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((8, 9, 10), (1.0, 1.0, 1.0)), ((40, 30, 20), (0.7, 0.7, 5.0)), ((50, 50, 120), (8.0, 8.0, 8.0))],
)
def test_any_field_of_view(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> None:
    volume, labels = make_phantom(1, shape, spacing)
    assert volume.shape == labels.shape == shape


def test_unknown_phase() -> None:
    with pytest.raises(ValueError, match="venous"):
        make_phantom(phase="venous")  # type: ignore[arg-type]


def test_smooth_field_has_unit_variance() -> None:
    canvas = Canvas((64, 64, 64), (2.0, 2.0, 2.0), (0, 0, 0), np.random.default_rng(0))
    field = canvas.field(8)
    assert abs(field.mean()) < 0.1
    assert field.std() == pytest.approx(1, abs=0.1)
    box = canvas.box((-10, -20, -30), (10, 20, 30))
    assert canvas.field(8, box).shape == canvas.hu[box].shape
    nowhere = canvas.box((500, 0, 0), (510, 1, 1))
    assert canvas.field(8, nowhere).size == 0


def test_painting_fades_at_the_edge() -> None:
    canvas = Canvas((21, 21, 21), (1.0, 1.0, 1.0), (0, 0, 0), np.random.default_rng(0))
    box = canvas.around((0, 0, 0), 9)
    canvas.paint(canvas.ellipsoid(box, (0, 0, 0), (5, 5, 5)), 100.0, box, edge_mm=2)
    assert canvas.hu[10, 10, 10] == 100
    assert canvas.hu[0, 0, 0] == -1000
    assert ((canvas.hu > -990) & (canvas.hu < 90)).sum() > 50


class TestSampleCase:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        made: list[int] = []

        def make(seed: int, *_: object) -> Case:
            made.append(seed)
            return make_phantom(seed, (48, 48, 24), (8.0, 8.0, 12.0))

        monkeypatch.setattr(phantom, "make_phantom", make)
        return made

    def test_is_made_once(self, tmp_path: Path, small: list[int]) -> None:
        path = sample_case(tmp_path)
        assert path.name == "sample_ct.nii.gz"
        assert sample_case(tmp_path) == path
        assert len(small) == 1
        volume = load_volume(path)
        labels, geometry = load_mask(path.with_name("sample_labels.nii.gz"))
        assert volume.calibrated
        assert labels.max() == 2
        np.testing.assert_array_equal(geometry.affine, volume.affine)
        original, _ = make_phantom(small[0], (48, 48, 24), (8.0, 8.0, 12.0))
        np.testing.assert_array_equal(volume.hu, original.hu)

    def test_is_made_again_when_half_of_it_is_lost(self, tmp_path: Path, small: list[int]) -> None:
        path = sample_case(tmp_path)
        path.unlink()
        assert sample_case(tmp_path).is_file()
        assert len(small) == 2

    def test_lies_in_the_users_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr(phantom.platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "kidneyseg")
        assert sample_case().is_relative_to(tmp_path / "kidneyseg")

    def test_place_that_cannot_be_used(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="sample case"):
            sample_case(tmp_path / "file")
