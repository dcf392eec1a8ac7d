"""A made-up abdomen on CT, with labels: for tests, and as the sample case that the program opens with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import platformdirs
from numpy.typing import NDArray

from kidneyseg.errors import OutputError
from kidneyseg.imaging.geometry import plain_geometry
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.phantom import frame, organs
from kidneyseg.phantom.anatomy import PHASES, draw_anatomy
from kidneyseg.phantom.canvas import Canvas
from kidneyseg.phantom.kidneys import draw_kidney, paint_kidney, paint_tumour

Phase = Literal["noncontrast", "arterial", "portal", "late"]

SAMPLE_SEED = 22
_SAMPLE_SHAPE, _SAMPLE_SPACING_MM = (288, 288, 100), (1.35, 1.35, 2.9)
_SAMPLE_VERSION = 3  # counts up when the phantom changes, so that no stale sample is shown


def make_phantom(
    seed: int = 0,
    shape: tuple[int, int, int] = (256, 256, 96),
    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 3.0),
    *,
    phase: Phase = "portal",
    tumours: int = 1,
) -> tuple[Volume, NDArray[np.uint8]]:
    """Make an abdominal CT and its labels. The same arguments give the same voxels.

    The patient is life-sized, with the kidneys near the middle of the volume: a small field of view shows less of him.
    Body size, fat, organ sizes and places, bowel content and HU vary with the seed.

    Args:
        seed: which patient.
        shape: voxels along x, y, z.
        spacing_mm: voxel edge lengths along x, y, z.
        phase: when after the contrast medium the scan is taken: "noncontrast", "arterial", "portal" or "late".
        tumours: how many are put into the kidneys, taking sides in turn.

    Returns:
        The volume, HU from -1024 up, and uint8 labels (X, Y, Z): 0 tissue, 1 kidney (cysts included), 2 tumour.

    Raises:
        ValueError: an unknown phase.
    """
    if phase not in PHASES:
        raise ValueError(f"phase must be one of {', '.join(PHASES)}, not {phase!r}")
    rng = np.random.default_rng([seed, 0])
    patient = draw_anatomy(rng, phase)
    kidneys = [draw_kidney(rng, patient, side) for side in (1, -1)]
    noise_sd = rng.uniform(9, 14)
    centre = (rng.uniform(-6, 6), patient.middle_y - 14, 14 + rng.uniform(-8, 8))
    canvas = Canvas(shape, spacing_mm, centre, np.random.default_rng([seed, 1]))
    inside = frame.paint_wall(canvas, patient)
    frame.paint_back_muscles(canvas, patient)
    organs.paint_gut(canvas, patient, rng, inside)
    organs.paint_upper_organs(canvas, patient, rng, inside)
    frame.paint_chest(canvas, patient, inside)
    frame.paint_ribs(canvas, patient, inside)
    frame.paint_hips(canvas, patient, inside)
    frame.paint_spine(canvas, patient)
    organs.paint_vessels(canvas, patient)
    for kidney in kidneys:
        paint_kidney(canvas, patient, kidney, rng, inside)
    first = int(rng.integers(2))
    for number in range(tumours):
        paint_tumour(canvas, patient, kidneys[(first + number) % 2], rng, inside)
    canvas.blur((0.7, 0.7, 0.35 * spacing_mm[2]))
    canvas.add_noise(noise_sd, (0.9, 0.9, 0.3 * spacing_mm[2]))
    hu = np.clip(np.rint(canvas.hu), -1024, 3071).astype(np.int16).T
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * step for n, step in zip(shape, spacing_mm, strict=True)]
    volume = Volume(
        hu=hu,
        spacing_mm=spacing_mm,
        affine=affine,
        name=f"phantom-{seed}",
        geometry=plain_geometry(shape, affine),
    )
    return volume, canvas.labels.T


def sample_case(directory: str | os.PathLike[str] | None = None) -> Path:
    """The sample CT's file, `sample_ct.nii.gz`, made on first use (a few seconds); its labels lie beside it.

    Args:
        directory: where to keep it; the user's cache folder if None.

    Raises:
        OutputError: it cannot be written there.
    """
    folder = Path(directory) if directory is not None else platformdirs.user_cache_path("kidneyseg", appauthor=False)
    folder = folder / f"sample-{_SAMPLE_VERSION}"
    ct, labels = folder / "sample_ct.nii.gz", folder / "sample_labels.nii.gz"
    if not (ct.is_file() and labels.is_file()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The sample case cannot be kept in {folder}: {error.strerror}. Free or unlock it."
            ) from error
        volume, mask = make_phantom(SAMPLE_SEED, _SAMPLE_SHAPE, _SAMPLE_SPACING_MM)
        save_mask(mask, volume, labels)
        save_volume(volume, ct)
    return ct
