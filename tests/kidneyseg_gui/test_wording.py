from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.errors import KidneySegError
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import load_model
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.grid import paper_cells
from kidneyseg.points.resample import voxel_lattice
from kidneyseg.segmentation import devices, networks
from kidneyseg_gui.logs import sentence
from kidneyseg_gui.wording import in_the_windows_words


def said_by(call: object, *args: object) -> str:
    """The window's sentence for what the engine refuses."""
    with pytest.raises(KidneySegError) as caught:
        call(*args)  # type: ignore[operator]
    return sentence(caught.value)


def test_the_engines_remedies_are_the_windows(tmp_path, monkeypatch: pytest.MonkeyPatch):
    text = said_by(load_model, "default-stage1", tmp_path)
    assert text.startswith("The network default-stage1.safetensors is missing")
    assert text.endswith("; install KidneySeg again.")

    monkeypatch.setattr(devices, "_known_obstacle", lambda: "no NVIDIA driver with a GPU is loaded")
    text = said_by(devices.pick_device, "cuda")
    assert text == (
        "No CUDA graphics card can be used here (no NVIDIA driver with a graphics card is loaded); "
        "choose Automatic or Processor as the device."
    )

    volume = Volume(np.zeros((1, 1, 600), np.int16), (0.5, 0.5, 2.0), np.eye(4))
    index = np.array([[0, 0, 512]], np.int32)
    cloud = PointCloud(voxel_lattice(volume.shape, volume.spacing_mm), index, volume.hu[0, 0, :1])
    text = said_by(paper_cells, cloud, volume)
    assert text.startswith("This CT spans 1025 cells, more than the 1024 of the preset Paper; ")
    assert text.endswith("choose the preset Default.")


@pytest.mark.parametrize("note", [networks._TRIED_AGAIN, networks._CPU_INSTEAD])
def test_devices_have_their_names_of_the_window(note: str):
    text = in_the_windows_words(note)
    assert "GPU" not in text
    assert "CPU" not in text
    assert "The graphics card" in text


@pytest.mark.parametrize("name", ["GPU.nii.gz", "scan_GPU.nii", "CPU-7.nii", "no.nii", "/scans/GPU/a.nii", "a.CPU.nii"])
def test_names_of_files_stay(name: str):
    assert in_the_windows_words(f"{name} is damaged") == f"{name} is damaged."
