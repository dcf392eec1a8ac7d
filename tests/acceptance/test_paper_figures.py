"""The pictures of docs/paper.md: drawn by their script, from the real window with its real 3-D view."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage

from kidneyseg.imaging.nifti import save_volume
from kidneyseg.phantom.abdomen import make_phantom

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ("1-deck", "2-cloud", "3-kidney-cloud", "4-class-cloud", "5-points", "6-hulls")


def colours(path: Path) -> np.ndarray:
    """Blue, green and red of every pixel."""
    image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    return pixels[..., :3].astype(int)


@pytest.mark.timeout(300)
def test_the_six_pictures_show_the_steps(tmp_path: Path):
    volume, _labels = make_phantom(seed=4, shape=(128, 128, 48), spacing_mm=(3.0, 3.0, 6.0))
    save_volume(volume, tmp_path / "ct.nii.gz")
    # The networks of preset default find the kidneys of so coarse a CT; those of preset paper do not.
    command = [str(ROOT / "docs/draw_paper_figures.py"), str(tmp_path / "ct.nii.gz"), "--preset", "default"]
    done = subprocess.run([sys.executable, *command, "-o", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    drawn = {name: colours(tmp_path / f"paper-{name}.png") for name in PICTURES}
    assert done.stdout.split() == [str(tmp_path / f"paper-{name}.png") for name in PICTURES]
    sizes = {picture.shape for picture in drawn.values()}
    assert len(sizes) == 1
    light = {name: float((picture.min(axis=-1) > 70).mean()) for name, picture in drawn.items()}
    reddish = {name: float((p[..., 2] > p[..., 1] + 40).mean()) for name, p in drawn.items()}
    greenish = {name: float((p[..., 1] > p[..., 2] + 30).mean()) for name, p in drawn.items()}
    for name in ("1-deck", "2-cloud"):  # grey, and nothing of a network
        assert light[name] > 0.03, light
        assert reddish[name] < 0.001, reddish
    for name in ("3-kidney-cloud", "4-class-cloud", "5-points", "6-hulls"):
        assert reddish[name] > 0.005, reddish
    assert greenish["5-points"] > 0.005 > greenish["6-hulls"], greenish  # points of tissue around the kidneys


def test_the_page_s_pictures_are_there():
    page = (ROOT / "docs/paper.md").read_text(encoding="utf-8")
    for name in PICTURES:
        assert f"(images/paper-{name}.png)" in page
