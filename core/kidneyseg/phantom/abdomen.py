"""A synthetic abdominal CT with labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import ContrastPhase, Volume
from kidneyseg.phantom import frame, viscera
from kidneyseg.phantom.anatomy import PHASES, draw_anatomy
from kidneyseg.phantom.canvas import Canvas
from kidneyseg.phantom.kidneys import draw_kidney, paint_kidney, paint_tumour


def make_phantom(
    seed: int = 0,
    shape: tuple[int, int, int] = (256, 256, 96),
    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 3.0),
    *,
    phase: ContrastPhase = "portal",
    tumours: int = 1,
) -> tuple[Volume, NDArray[np.uint8]]:
    """Make an abdominal CT and its labels. The same arguments give the same voxels.

    The body is life-sized, with the kidneys near the middle of the volume; a small field of view shows less of it.
    Body size, fat, organ sizes and positions, bowel content and HU vary with the seed.

    Args:
        seed: of the random anatomy.
        shape: voxels along x, y, z.
        spacing_mm: voxel edge lengths along x, y, z.
        phase: one of `anatomy.PHASES`; "nephrographic" is not modelled.
        tumours: how many are placed, in alternating kidneys.

    Returns:
        The volume, HU from -1024 up, and uint8 labels (X, Y, Z): 0 tissue, 1 kidney (cysts included), 2 tumour.

    Raises:
        ValueError: a phase that is not modelled.
    """
    if phase not in PHASES:
        raise ValueError(f"phase must be one of {', '.join(PHASES)}, not {phase!r}")
    rng = np.random.default_rng([seed, 0])
    anatomy = draw_anatomy(rng, phase)
    kidneys = [draw_kidney(rng, anatomy, side) for side in (1, -1)]
    noise_sd = rng.uniform(9, 14)
    centre = (rng.uniform(-6, 6), anatomy.middle_y - 14, 14 + rng.uniform(-8, 8))
    canvas = Canvas(shape, spacing_mm, centre, np.random.default_rng([seed, 1]))
    inside = frame.paint_wall(canvas, anatomy)
    frame.paint_back_muscles(canvas, anatomy)
    viscera.paint_gut(canvas, anatomy, rng, inside)
    viscera.paint_upper_organs(canvas, anatomy, rng, inside)
    frame.paint_chest(canvas, anatomy, inside)
    frame.paint_ribs(canvas, anatomy, inside)
    frame.paint_hips(canvas, anatomy, inside)
    frame.paint_spine(canvas, anatomy)
    viscera.paint_vessels(canvas, anatomy)
    for kidney in kidneys:
        paint_kidney(canvas, anatomy, kidney, rng, inside)
    first = int(rng.integers(2))
    for number in range(tumours):
        paint_tumour(canvas, anatomy, kidneys[(first + number) % 2], rng, inside)
    canvas.blur((0.7, 0.7, 0.35 * spacing_mm[2]))
    canvas.add_noise(noise_sd, (0.9, 0.9, 0.3 * spacing_mm[2]))
    hu = np.clip(np.rint(canvas.hu), -1024, 3071).astype(np.int16).T
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * spacing_mm
    return Volume(hu, spacing_mm, affine, name=f"phantom-{seed}"), canvas.labels.T
