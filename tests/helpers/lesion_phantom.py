"""A kidney in fat with a darker tumour at its rim, for clicks."""

from __future__ import annotations

from typing import Any

import numpy as np

from kidney_host import ball
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.resample import lattice_for

SPACING = (1.5, 1.5, 3.0)
SHAPE = (60, 60, 30)
TUMOUR_AT = (38, 28, 15)


def lesion_phantom() -> tuple[Volume, np.ndarray[Any, Any]]:
    """A CT of 9 x 9 x 9 cm and its labels; the tumour, a ball of 20 mm, has its middle at TUMOUR_AT."""
    hu = np.full(SHAPE, -95.0)
    kidney = ball(SHAPE, SPACING, (42, 42, 42), (20, 18, 36))
    tumour = ball(SHAPE, SPACING, np.multiply(TUMOUR_AT, SPACING), (10, 10, 10))
    hu[kidney], hu[tumour] = 130, 60
    hu += np.random.default_rng(3).normal(0, 15, SHAPE)
    truth = np.where(tumour, TUMOUR, np.where(kidney, KIDNEY, 0)).astype(np.uint8)
    volume = Volume(np.asfortranarray(hu.astype(np.int16)), SPACING, np.diag([*SPACING, 1.0]))
    return volume, np.asfortranarray(truth)


def lesion_evidence(volume: Volume, labels: np.ndarray[Any, Any]) -> PointCloud:
    """Stage 2's cloud of networks that are nearly sure of these labels."""
    lattice = lattice_for(volume, 2.0)
    index = np.indices(lattice.shape).reshape(3, -1).T.astype(np.int32)
    voxel = np.floor(lattice.centres_mm(index) / SPACING).astype(int).clip(0, np.subtract(SHAPE, 1))
    own = labels[tuple(voxel.T)]
    probability = np.array([[0.95, 0.04, 0.01], [0.04, 0.95, 0.01], [0.01, 0.03, 0.96]], np.float16)[own]
    return PointCloud(lattice, index, np.zeros(len(index), np.int16), own, probability)
