"""What the HU of lesions and kidneys say that the network does not: where a lesion ends, and which is none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Doubles, Floats, Indices, Labels, Mask, dense_array
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.points.cloud import PointCloud

# A border moves by so much outward, and is compared with the kidney that is nearer than that.
_REACH_MM, _AROUND_MM = 6.0, 20.0
# Cells of at least this probability show what a lesion and its kidney look like; so many are needed.
_SURE, _LEAST_CELLS = 0.8, 20
# The weight of the network's log odds beside those of the HU, and the limit of either.
_NETWORK_WEIGHT, _MOST_LOG_ODDS = 0.5, 4.0
# Where lesion and kidney have this share of their histograms in common, the network alone decides.
_MOST_OVERLAP = 0.6
_ROUNDS = 2
# At an end of the scan, a tumour that has more in common with kidney is kidney; so is one that makes up so much of what
# it is connected to, as there is no kidney that it grows from.
_MOST_OVERLAP_AT_END, _MOST_OVERLAP_ALONE, _ALONE = 0.72, 0.55, 0.75
# Anywhere, a tumour of a lower mean probability that has more in common with kidney is kidney: neither the network nor
# the HU speak for it.
_UNSURE, _MOST_OVERLAP_UNSURE = 0.65, 0.75
_SMOOTH_MM = 2.0
_BIN_HU, _LOWEST_HU, _BINS, _HISTOGRAM_SD_HU = 4.0, -200.0, 150, 8.0
_NEIGHBOURS = ndimage.generate_binary_structure(3, 3)


@dataclass(frozen=True, eq=False)
class _Around:
    """Dense grids (x, y, z) of the cells around a lesion."""

    lesion: Mask  #: as it was found
    solid: Mask  #: its cells and those of kidney
    level: Floats  #: HU, smoothed within kidneys and lesions
    log_odds: Floats  #: the network's, of lesion against kidney
    distance_mm: Doubles  #: to the lesion


def relabel_kidney_parts(cloud: PointCloud) -> PointCloud:
    """The cloud with tumours that are parts of a healthy kidney relabelled as kidney, with probabilities.

    They have the HU of the scan's kidneys, compared by histograms, and one more reason to doubt them: they lie at an
    end of the scan, where stage 2 takes the pole of a kidney that is cut for a tumour; or stage 2 is not sure of them.

    Args:
        cloud: stage 2's, with labels and probabilities; returned as it is without probabilities or such a tumour.
    """
    if cloud.labels is None or cloud.probability is None or not cloud.labelled(TUMOUR).any():
        return cloud
    kidney = cloud.labelled(KIDNEY) & (cloud.probability[:, KIDNEY] >= _SURE)
    if kidney.sum() < _LEAST_CELLS:
        return cloud
    grid, cells = dense_array(cloud.index, cloud.labels, margin=1)
    hu, _ = dense_array(cloud.index, cloud.hu.astype(np.float32), margin=1)
    at = tuple(cells.T)
    bins = _bins(_smooth_level(grid >= KIDNEY, grid, hu, np.asarray(cloud.lattice.step_mm, np.float64)))[at]
    of_kidney = _histogram(bins[kidney])
    component, whole = (ndimage.label(one, _NEIGHBOURS)[0][at] for one in (grid == TUMOUR, grid >= KIDNEY))
    of_whole = np.bincount(whole)
    at_end = np.isin(np.arange(component.max() + 1), component[cloud.at_end])
    unsure = np.bincount(component, weights=cloud.probability[:, TUMOUR]) < _UNSURE * np.bincount(component)
    relabelled = np.zeros(len(cloud), bool)
    for number in np.setdiff1d(np.flatnonzero(at_end | unsure), 0):
        tumour = component == number
        most = _MOST_OVERLAP_UNSURE if unsure[number] else 1.0
        if at_end[number]:
            alone = tumour.sum() >= _ALONE * of_whole[whole[tumour][0]]
            most = min(most, _MOST_OVERLAP_ALONE if alone else _MOST_OVERLAP_AT_END)
        relabelled |= tumour & (np.minimum(_histogram(bins[tumour]), of_kidney).sum() > most)
    return cloud.relabelled(np.flatnonzero(relabelled), TUMOUR, KIDNEY)


def refine_lesions(cloud: PointCloud) -> PointCloud:
    """The cloud with the borders between lesions and kidney moved to where the HU change, in labels and probabilities.

    The histograms of a lesion's HU and of the kidney around it are compared, and each cell goes to the likelier of the
    two, with the network's probabilities as prior: the appearance model of GrabCut (Rother, Kolmogorov and Blake, ACM
    Transactions on Graphics 23, 2004) without its graph cut. Lesions that look like their kidney stay as they are, and
    so do borders to tissue and to other lesions.

    Args:
        cloud: with labels and probabilities; returned as it is without probabilities or without a lesion.
    """
    if cloud.labels is None or cloud.probability is None:
        return cloud
    for label in (TUMOUR, CYST):
        if cloud.labelled(label).any():
            cloud = _refined(cloud, label)
    return cloud


def _refined(cloud: PointCloud, label: int) -> PointCloud:
    """The cloud with the borders of the lesions of one label moved."""
    assert cloud.labels is not None
    assert cloud.probability is not None
    grid, cells = dense_array(cloud.index, cloud.labels, margin=1)
    hu, _ = dense_array(cloud.index, cloud.hu.astype(np.float32), margin=1)
    log_odds, _ = dense_array(cloud.index, _log_odds(cloud.probability, label), margin=1)
    at = tuple(cells.T)
    step_mm = np.asarray(cloud.lattice.step_mm, np.float64)
    components, _ = ndimage.label(grid == label, _NEIGHBOURS)
    result, score = grid.copy(), np.zeros_like(hu)
    margin = np.ceil(_AROUND_MM / step_mm).astype(int)
    for number, found in enumerate(ndimage.find_objects(components), 1):
        box = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(found, margin, strict=True))
        around = _around(components[box] == number, grid[box], hu[box], log_odds[box], step_mm)
        moved = _moved(around)
        if moved is not None:
            lesion, evidence = moved
            result[box][around.lesion & ~lesion] = KIDNEY
            result[box][lesion] = label
            score[box][lesion ^ around.lesion] = evidence[lesion ^ around.lesion]
    return _with_labels(cloud, label, result[at], score[at])


def _log_odds(probability: NDArray[np.float16], label: int) -> Floats:
    """Of a label against kidney, limited."""
    lesion, kidney = (probability[:, one].astype(np.float32) + 1e-3 for one in (label, KIDNEY))
    return np.clip(np.log(lesion / kidney), -_MOST_LOG_ODDS, _MOST_LOG_ODDS)


def _around(lesion: Mask, labels: Labels, hu: Floats, log_odds: Floats, step_mm: Doubles) -> _Around:
    """A lesion with what surrounds it, without other lesions."""
    solid = lesion | (labels == KIDNEY)
    level = _smooth_level(solid, labels, hu, step_mm)
    distance = np.asarray(ndimage.distance_transform_edt(~lesion, sampling=step_mm))
    return _Around(lesion, solid, level, log_odds, distance)


def _moved(around: _Around) -> tuple[Mask, Floats] | None:
    """The lesion within its new border, and the log odds that say so; None where it stays as it is."""
    sure = np.log(_SURE / (1.0 - _SURE))
    bins = _bins(around.level)
    near = around.solid & (around.distance_mm <= _REACH_MM)
    kidney = around.solid & (around.log_odds <= -sure) & (around.distance_mm <= _AROUND_MM)
    lesion, evidence = around.lesion, None
    for _ in range(_ROUNDS):
        inside, outside = lesion & (around.log_odds >= sure), kidney & ~lesion
        if min(inside.sum(), outside.sum()) < _LEAST_CELLS:
            break
        here, there = _histogram(bins[inside]), _histogram(bins[outside])
        if np.minimum(here, there).sum() > _MOST_OVERLAP:
            break
        likelier = np.clip(np.log(here / there), -_MOST_LOG_ODDS, _MOST_LOG_ODDS)[bins]
        score = np.asarray(_NETWORK_WEIGHT * around.log_odds + likelier, np.float32)
        parts, _ = ndimage.label(near & (score > 0), _NEIGHBOURS)
        new = np.isin(parts, np.setdiff1d(parts[lesion], 0))
        if new.sum() < _LEAST_CELLS:
            break
        lesion, evidence = new, score
    return None if evidence is None else (lesion, evidence)


def _smooth_level(solid: Mask, labels: Labels, hu: Floats, step_mm: Doubles) -> Floats:
    """HU smoothed within `solid` cells."""
    # Cells at the outer surface hold fat as well: they count only where there are no others.
    inner = ndimage.binary_erosion(labels >= KIDNEY)
    weight = solid * (inner + np.float32(0.02))
    sigma = _SMOOTH_MM / step_mm
    mean = ndimage.gaussian_filter(hu * weight, sigma) / np.maximum(ndimage.gaussian_filter(weight, sigma), 1e-5)
    return np.asarray(mean, np.float32)


def _bins(level: Floats) -> Indices:
    """The histogram's bin of each HU."""
    return np.asarray(np.clip((level - _LOWEST_HU) / _BIN_HU, 0, _BINS - 1), np.int64)


def _histogram(bins: NDArray[np.integer]) -> Doubles:
    """A smoothed histogram without empty bins, of sum 1."""
    counts = np.bincount(bins, minlength=_BINS).astype(np.float64)
    smooth = ndimage.gaussian_filter1d(counts, _HISTOGRAM_SD_HU / _BIN_HU) / counts.sum() + 1e-4
    return np.asarray(smooth / smooth.sum())


def _with_labels(cloud: PointCloud, label: int, labels: Labels, score: Floats) -> PointCloud:
    """The cloud with one label and kidney exchanged where `labels` differ; their probabilities then follow `score`."""
    assert cloud.probability is not None
    changed = np.flatnonzero(labels != cloud.labels)
    if len(changed) == 0:
        return cloud
    probability = cloud.probability.astype(np.float32)
    either = probability[changed, KIDNEY] + probability[changed, label]
    likelihood = 1.0 / (1.0 + np.exp(-score[changed]))
    # A part that its lesion lost may look like it nevertheless.
    lesion = np.where(labels[changed] == label, np.maximum(likelihood, 0.51), np.minimum(likelihood, 0.49))
    probability[changed, label], probability[changed, KIDNEY] = lesion * either, (1.0 - lesion) * either
    return replace(cloud, labels=labels, probability=probability.astype(np.float16))
