"""`segment` takes a file or a volume and hands everything on to the pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kidneyseg.errors import Cancelled, ModelError
from kidneyseg.imaging.nifti import save_volume
from kidneyseg.progress import CallbackProgress
from kidneyseg.segmentation.pipeline import segment
from kidneyseg.settings import preset
from tiny_networks import tiny_models
from volumes import abdomen


def test_a_path_and_its_volume_give_the_same_mask(tmp_path: Path) -> None:
    volume, _ = abdomen()
    save_volume(volume, tmp_path / "ct.nii.gz")
    from_file = segment(str(tmp_path / "ct.nii.gz"), models=str(tiny_models(tmp_path)))
    from_volume = segment(volume, models=tmp_path)
    assert from_file.mask.shape == volume.shape
    assert np.array_equal(from_file.mask, from_volume.mask)
    assert from_file.settings == preset("default")


def test_settings_device_and_models_reach_the_pipeline(tmp_path: Path) -> None:
    volume, _ = abdomen()
    changed = preset("default").with_(fill={"closing_mm": 0.0})
    result = segment(volume, changed, device="cpu", models=tiny_models(tmp_path))
    assert (result.settings, result.device) == (changed, "cpu")
    with pytest.raises(ModelError, match="missing"):
        segment(volume, models=tmp_path / "none")


def test_progress_is_reported_and_can_cancel(tmp_path: Path) -> None:
    volume, _ = abdomen()
    steps: list[str] = []
    segment(volume, models=tiny_models(tmp_path), progress=CallbackProgress(lambda step, _: steps.append(step)))
    assert list(dict.fromkeys(steps)) == ["sample", "stage 1", "stage 2", "clusters", "fill", "findings"]
    with pytest.raises(Cancelled):
        segment(volume, models=tmp_path, progress=CallbackProgress(is_cancelled=lambda: True))
