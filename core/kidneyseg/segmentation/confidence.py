"""How likely each tumour of the findings is one, and how well its outline fits, from stage 2's class probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Box, bounding_box
from kidneyseg.findings import Confidence, Findings, TumourFinding
from kidneyseg.findings.components import label_components
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.resample import nearest_values, voxel_lattice

_FITTED_TO = "default"  # the method; the paper's stage 2 sees only some of a tumour's voxels
_MOST_BY_HAND = 0.5  # of a tumour's voxels; the networks' probabilities say little about one that has more


class ConfidenceModel(NamedTuple):
    """What follows from the mean of the class probability over a tumour's voxels."""

    real: tuple[float, float]  #: constant and factor of the log odds that the object is a tumour
    dice: tuple[float, float]  #: constant and factor of the Dice

    def __call__(self, mean_probability: float) -> Confidence:
        """The confidence in a tumour."""
        odds, dice = (constant + factor * mean_probability for constant, factor in (self.real, self.dice))
        return Confidence(1 / (1 + math.exp(-min(max(odds, -30.0), 30.0))), min(max(dice, 0.0), 1.0))


# Fitted by `kidneyseg evaluate DATA --models FOLD --cases ... --insertions 24 --originals --confidence` to 174
# predicted tumours, 129 of them real, in 125 versions of 5 CTs that stage 2 had not seen, with inserted tumours;
# docs/results.md says how it fits others. Volume and the 10th percentile of the probability did not improve an earlier
# fit to left-out CTs.
MODEL = ConfidenceModel(real=(-5.57, 10.98), dice=(-0.37, 1.42))


def tumour_confidence(
    tumours: Sequence[TumourFinding],
    labels: NDArray[np.uint8],
    cloud: PointCloud,
    volume: Volume,
    marks: NDArray[np.uint8] | None = None,
) -> tuple[Confidence | None, ...]:
    """The confidence in each tumour of a mask's findings, in their order.

    None where it is unknown: for a tumour of which more than half is made by hand, for one that the mask no longer
    holds, and for all of them where the cloud has no probabilities.

    Args:
        tumours: as `measure` lists them for these labels.
        labels: uint8 (X, Y, Z), on the volume's voxels; see `measure`.
        cloud: stage 2's points with probabilities (N, classes).
        volume: the CT.
        marks: uint8 (X, Y, Z), not 0 where a label was made by hand; see `EditedMask.marks`.
    """
    means = (mean_tumour_probability(tumour, labels, cloud, volume, marks) for tumour in tumours)
    return tuple(None if mean is None else MODEL(mean) for mean in means)


def with_confidence(
    findings: Findings,
    labels: NDArray[np.uint8],
    cloud: PointCloud,
    volume: Volume,
    method: str,
    marks: NDArray[np.uint8] | None = None,
) -> Findings:
    """The findings with the confidence in each tumour where it is known.

    It is known for the method that the model was fitted to. Arguments as of `tumour_confidence`.
    """
    if method != _FITTED_TO:
        return findings
    confidences = tumour_confidence(findings.tumours, labels, cloud, volume, marks)
    tumours = (replace(one, confidence=sure) for one, sure in zip(findings.tumours, confidences, strict=True))
    return replace(findings, tumours=tuple(tumours))


def mean_tumour_probability(
    tumour: TumourFinding,
    labels: NDArray[np.uint8],
    cloud: PointCloud,
    volume: Volume,
    marks: NDArray[np.uint8] | None = None,
) -> float | None:
    """The mean probability of the class tumour over a tumour's voxels, each that of its cell.

    It is 0 in cells that stage 2 did not label. None where the confidence is unknown; see `tumour_confidence`, also
    for the arguments.
    """
    if cloud.probability is None:
        return None
    box, own = tumour_voxels(tumour, labels, volume)
    voxels = np.count_nonzero(own)
    if not voxels or (marks is not None and np.count_nonzero(marks[box][own]) > _MOST_BY_HAND * voxels):
        return None
    probability = _of_voxels(cloud, cloud.probability[:, TUMOUR], volume, box)
    return float(probability[own].mean())


def tumour_voxels(tumour: TumourFinding, labels: NDArray[np.uint8], volume: Volume) -> tuple[Box, NDArray[np.bool_]]:
    """A box that holds a tumour, and which of its voxels (X, Y, Z) do; none where the mask no longer holds it."""
    # No voxel of the tumour lies farther from its centre than its longest diameter, so the rest need not be searched.
    reach = [int(tumour.longest_mm / edge) + 1 for edge in volume.spacing_mm]
    low = [max(at - n, 0) for at, n in zip(tumour.centre, reach, strict=True)]
    x, y, z = (slice(a, at + n + 1) for a, at, n in zip(low, tumour.centre, reach, strict=True))
    inside = labels[x, y, z] == TUMOUR
    used = bounding_box(inside)
    if used is None or labels[tumour.centre] != TUMOUR:
        return (slice(0, 0), slice(0, 0), slice(0, 0)), np.zeros((0, 0, 0), np.bool_)
    numbers, _ = label_components(inside[used])
    x, y, z = (slice(first + side.start, first + side.stop) for first, side in zip(low, used, strict=True))
    own = numbers == numbers[tuple(at - side.start for at, side in zip(tumour.centre, (x, y, z), strict=True))]
    return (x, y, z), own


def _of_voxels(cloud: PointCloud, of_points: NDArray[np.float16], volume: Volume, box: Box) -> NDArray[np.float32]:
    """A value of the points (N,) in the cell of each voxel of a box: float32 (X, Y, Z), 0 where there is no point."""
    voxels = voxel_lattice(volume.shape, volume.spacing_mm, ([s.start for s in box], [s.stop for s in box]))
    low, high = np.array([cloud.lattice.cells_around(voxels, axis)[[0, -1]] for axis in range(3)]).T
    values = np.zeros((high - low + 1).tolist(), np.float32)
    # The points are in the order of x; those of other x need not be compared.
    first, last = low + cloud.lattice.first_cell, high + cloud.lattice.first_cell
    start, stop = np.searchsorted(cloud.index[:, 0], [first[0], last[0] + 1])
    _, y, z = cloud.index[start:stop].T
    rows = start + np.flatnonzero((y >= first[1]) & (y <= last[1]) & (z >= first[2]) & (z <= last[2]))
    values[tuple((cloud.index[rows] - first).T)] = of_points[rows]
    return nearest_values(values, cloud.lattice, voxels, low)
