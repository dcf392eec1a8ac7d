"""A kidney with a darker tumour in fat, with noise, for tests of clicks."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud

SHAPE, SPACING = (64, 60, 40), (1.5, 1.5, 2.0)
IN_TUMOUR, IN_KIDNEY, IN_FAT = (42, 30, 20), (22, 30, 20), (10, 8, 8)


class ClickScene(NamedTuple):
    volume: Volume
    truth: NDArray[np.uint8]
    missed: NDArray[np.uint8]  # the same with kidney in the tumour's place
    cloud: PointCloud  # of networks that saw kidney there


@cache
def click_scene() -> ClickScene:
    axes = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]

    def ball(centre: tuple[int, int, int], radii_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
        apart = [((at - c) * s / r) ** 2 for at, c, s, r in zip(axes, centre, SPACING, radii_mm, strict=True)]
        return np.asarray(sum(apart) < 1)

    truth = np.zeros(SHAPE, np.uint8, order="F")
    truth[ball((30, 30, 20), (28.0, 20.0, 30.0))] = KIDNEY
    truth[ball(IN_TUMOUR, (10.0, 10.0, 10.0))] = TUMOUR
    noise = np.random.default_rng(0).normal(0, 10, SHAPE)
    hu = np.asfortranarray((np.array([-80, 160, 70])[truth] + noise).astype(np.int16))
    missed = np.minimum(truth, KIDNEY)
    volume = Volume(hu=hu, spacing_mm=SPACING, affine=np.diag([*SPACING, 1.0]), name="made")
    index = np.argwhere(np.ones(SHAPE, np.bool_)).astype(np.int32)
    probability = np.zeros((len(index), 3), np.float16)
    labels = missed[tuple(index.T)]
    probability[np.arange(len(index)), labels] = 1
    cloud = PointCloud(Lattice(SPACING, SHAPE), index, hu[tuple(index.T)], labels, probability)
    return ClickScene(volume, truth, missed, cloud)


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))
