"""Lesions that hold fluid: which are tumours, and which are cysts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Mask, dense_array
from kidneyseg.imaging.labels import CYST, TUMOUR
from kidneyseg.points.cloud import PointCloud

# Fluid that has this share of its surface in common with tumours is one lesion with them: a tumour if they make up this
# share of the whole.
_LEAST_CONTACT, _LEAST_TUMOUR_SHARE = 0.3, 0.45
# The wall of a cyst is no thicker; so much of it must be within that distance of the fluid.
_WALL_MM, _LEAST_WALL_SHARE = 6.0, 0.9
_NEIGHBOURS = ndimage.generate_binary_structure(3, 3)


def label_cystic_lesions(cloud: PointCloud) -> PointCloud:
    """The cloud with lesions that are cyst in part and tumour in part labelled as one, with probabilities.

    Stage 2 takes the necrotic core of a tumour for a cyst, and the wall of a cyst, whose cells hold kidney as well, for
    a tumour. The larger part decides. Where that is the cyst, a thick wall remains a tumour beside it.

    Args:
        cloud: with labels; returned as it is without cysts or tumours.
    """
    if cloud.labels is None or not (cloud.labelled(CYST).any() and cloud.labelled(TUMOUR).any()):
        return cloud
    grid, cells = dense_array(cloud.index, cloud.labels, margin=1)
    at = tuple(cells.T)
    (fluid, cysts), (solid, tumours) = (ndimage.label(grid == label, _NEIGHBOURS) for label in (CYST, TUMOUR))
    surface, contact = _contact(fluid, solid, cysts, tumours)
    cells_of_cyst, cells_of_tumour = np.bincount(fluid[at]), np.bincount(solid[at])

    cystic = contact.sum(axis=1) >= _LEAST_CONTACT * np.maximum(surface, 1)
    tumour = (contact > 0) @ cells_of_tumour
    is_tumour = cystic & (tumour >= _LEAST_TUMOUR_SHARE * (tumour + cells_of_cyst))
    is_cyst = cystic & ~is_tumour
    in_wall = np.bincount(solid[at], weights=_within_wall(is_cyst[fluid], cloud)[at], minlength=tumours + 1)
    is_wall = contact[is_cyst].sum(axis=0) > contact[is_tumour].sum(axis=0)
    is_wall &= in_wall >= _LEAST_WALL_SHARE * cells_of_tumour
    joined = cloud.relabelled(np.flatnonzero(is_tumour[fluid[at]]), CYST, TUMOUR)
    return joined.relabelled(np.flatnonzero(is_wall[solid[at]]), TUMOUR, CYST)


def _within_wall(cyst: Mask, cloud: PointCloud) -> Mask:
    """Which cells of a dense array are as near to a cyst as its wall."""
    if not cyst.any():
        return cyst
    return np.asarray(ndimage.distance_transform_edt(~cyst, sampling=cloud.lattice.step_mm) <= _WALL_MM)


def _contact(
    fluid: NDArray[np.integer], solid: NDArray[np.integer], cysts: int, tumours: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The faces of each fluid's surface, (cysts + 1,), and those that it shares with each tumour; 0 is none."""
    surface, contact = np.zeros(cysts + 1, np.intp), np.zeros((cysts + 1) * (tumours + 1), np.intp)
    for axis in range(3):
        for by in (-1, 1):
            outer = (fluid > 0) & (np.roll(fluid, by, axis) == 0)  # there is nothing at the edges
            surface += np.bincount(fluid[outer], minlength=cysts + 1)
            pair = fluid[outer].astype(np.intp) * (tumours + 1) + np.roll(solid, by, axis)[outer]
            contact += np.bincount(pair, minlength=len(contact))
    pairs = contact.reshape(cysts + 1, tumours + 1)
    pairs[:, 0] = 0
    return surface, pairs
