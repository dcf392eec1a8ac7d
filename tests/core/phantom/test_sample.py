"""The sample case on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kidneyseg.errors import OutputError
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.phantom import abdomen, sample
from kidneyseg.phantom.abdomen import make_phantom
from kidneyseg.phantom.sample import is_sample, sample_case


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Makes a small phantom instead; the list holds the seed of each one that was made."""
    made: list[int] = []

    def make(seed: int, *_: object) -> tuple[Volume, np.ndarray]:
        made.append(seed)
        return make_phantom(seed, (48, 48, 24), (8.0, 8.0, 12.0))

    monkeypatch.setattr(abdomen, "make_phantom", make)
    return made


def test_it_is_made_once(tmp_path: Path, small: list[int]) -> None:
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


def test_it_is_made_again_when_half_of_it_is_lost(tmp_path: Path, small: list[int]) -> None:
    path = sample_case(tmp_path)
    path.unlink()
    assert sample_case(tmp_path).is_file()
    assert len(small) == 2


def test_it_lies_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample.platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "kidneyseg")
    assert sample_case().is_relative_to(tmp_path / "kidneyseg")


def test_the_installed_one_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: list[int]) -> None:
    monkeypatch.setattr(sample, "_SHIPPED", tmp_path)
    shipped = sample_case(tmp_path)
    assert sample_case() == shipped
    assert len(small) == 1
    assert is_sample(shipped)
    assert not is_sample(tmp_path.with_name("ct.nii.gz"))


def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        sample_case(tmp_path / "file")
