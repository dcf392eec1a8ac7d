"""A random walk with priors: smooths a probability, but not across edges of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from kidneyseg.arrays import Doubles, Floats

# How much a difference in HU, squared, hinders a step; a step that is hindered most; the weight of the prior.
_BETA, _LEAST_STEP, _PRIOR = 0.01, 1e-3, 0.2
# The weight of a seed, which nothing overrules.
_SEED = 100.0


def random_walk(prior: Doubles, hu: Floats, seeds: Sequence[tuple[tuple[int, ...], bool]]) -> Floats:
    """The probability that a walk that starts at each cell ends inside.

    After Grady, "Multilabel random walker image segmentation using prior models" (CVPR 2005). scikit-image's random
    walker takes no priors.

    Args:
        prior: float64 (X, Y, Z), the probability of each cell that it lies inside.
        hu: float32 (X, Y, Z), the image whose edges hinder the walk.
        seeds: cells that surely lie inside (True) or outside.

    Returns:
        float32 (X, Y, Z).
    """
    shape, size = prior.shape, prior.size
    flat = hu.ravel().astype(np.float64)
    diagonal, right = np.full(size, _PRIOR), _PRIOR * prior.ravel()
    for cell, inside in seeds:
        at = np.ravel_multi_index(cell, shape)
        diagonal[at] += _SEED
        right[at] += _SEED * inside
    index = np.arange(size).reshape(shape)
    offsets, bands = [0], [diagonal]
    for axis in range(3):
        first = index.take(range(shape[axis] - 1), axis).ravel()
        stride = int(np.prod(shape[axis + 1 :]))
        step = np.zeros(size)  # between each cell and the next along the axis
        step[first] = np.exp(-_BETA * (flat[first] - flat[first + stride]) ** 2) + _LEAST_STEP
        diagonal += step
        diagonal[stride:] += step[:-stride]
        offsets += [stride, -stride]
        bands += [np.concatenate([np.zeros(stride), -step[:-stride]]), -step]
    matrix = sparse.dia_array((np.stack(bands), np.array(offsets)), shape=(size, size)).tocsr()
    inverse = sparse.diags_array(1 / diagonal)
    found, _ = cg(matrix, right, x0=prior.ravel(), rtol=1e-3, maxiter=60, M=inverse)
    return np.asarray(found.reshape(shape), np.float32)
