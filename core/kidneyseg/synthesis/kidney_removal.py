"""A CT without one of its kidneys: what surrounds it is displaced as the next kidney needs, fat fills what is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import HU, Box, Doubles, Floats, Indices, Labels, Mask, Rng, bounding_box
from kidneyseg.imaging.labels import TISSUE
from kidneyseg.synthesis.kidney_texture import fat_texture
from kidneyseg.synthesis.organs import KIDNEYS, box_with_margin, organ_mask
from kidneyseg.synthesis.transplant_sites import TransplantSite

# What lies between two parts of a kidney no further apart than twice this is its sinus.
_SINUS_MM = 10.0
# A kidney's blurred rim, which goes with it.
_RIM_MM = 2.5


@dataclass(frozen=True, eq=False)
class WithoutKidney:
    """A box of a CT without its kidney."""

    grey: Floats  #: float32 (X, Y, Z), HU without noise where `free` is 1
    free: Floats  #: float32 (X, Y, Z), 0...1, how much of each voxel is fat that was put there
    moved: Mask  #: bool (X, Y, Z), what was displaced
    labels: Labels  #: uint8 (X, Y, Z)
    organs: Labels  #: uint8 (X, Y, Z)


def remove_kidney(
    hu: HU, labels: Labels, organs: Labels, own: Mask, at: Floats, fat_hu: float, spacing: Doubles, rng: Rng
) -> WithoutKidney:
    """Take a kidney away and displace its surroundings.

    Args:
        hu: int16 (X, Y, Z), a box of a CT; labels and organs alike.
        own: bool (X, Y, Z), the kidney with its lesions.
        at: float32 (3, X, Y, Z), the voxel that the content of each comes from; see `sources`.
        fat_hu: HU of the fat.
        spacing: (3,) voxel edge lengths in mm.
    """
    grey, removed = hu.astype(np.float32), removed_share(own, spacing)
    bare = np.where(own, np.uint8(TISSUE), labels)
    mine = organ_mask(organs, KIDNEYS) & (removed > 0.0)
    others = np.where(own | mine, np.uint8(0), organs)
    moved = np.zeros(hu.shape, bool)
    for axis, edge in enumerate(spacing):
        along = np.arange(hu.shape[axis], dtype=np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        moved |= np.abs(at[axis] - along) > np.float32(0.2 / edge)
    places = at[:, moved]
    # Cubic: linear interpolation would smooth the noise.
    around, free = grey.copy(), removed.copy()
    around[moved] = ndimage.map_coordinates(grey, places, order=3, mode="nearest")
    free[moved] = ndimage.map_coordinates(removed, places, order=1, mode="nearest")
    nearest: Indices = np.clip(np.rint(places).astype(np.int64), 0, np.array(hu.shape)[:, None] - 1)
    bare[moved], others[moved] = bare[tuple(nearest)], others[tuple(nearest)]
    box = bounding_box(free > 0.01)
    if box is not None:
        around[box] += free[box] * (fat_texture(free[box].shape, fat_hu, spacing, rng) - around[box])
    return WithoutKidney(around, free, moved, bare, others)


def removed_share(own: Mask, spacing: Doubles) -> Floats:
    """How much of each voxel (X, Y, Z) goes with a kidney: it, its sinus and its blurred rim; float32 0...1."""
    result = np.zeros(own.shape, np.float32)
    if own.any():
        box = box_with_margin(own, _SINUS_MM + 2.0, spacing)
        near = ndimage.distance_transform_edt(~own[box], sampling=spacing) <= _SINUS_MM
        wide = ndimage.distance_transform_edt(near, sampling=spacing) > _SINUS_MM - _RIM_MM
        result[box] = ndimage.gaussian_filter(wide.astype(np.float32), 0.7 / spacing)
    return result


def sources(field: Floats, box: Box, site: TransplantSite, spacing: Doubles) -> Floats:
    """Where the content of each voxel of `box` comes from.

    Args:
        field: float32 (3, A, B, C), from `transplant_sites.displacement`.

    Returns:
        float32 (3, X, Y, Z), voxels of the box.
    """
    first = site.cells_at(np.array([side.start for side in box]) * spacing)
    shape = tuple(side.stop - side.start for side in box)
    at = np.empty((3, *shape), np.float32)
    for axis, edge in enumerate(spacing):
        ndimage.affine_transform(
            field[axis], 1.0 / site.step, offset=first, output_shape=shape, output=at[axis], order=1, mode="nearest"
        )
        at[axis] /= edge
        along = np.arange(shape[axis], dtype=np.float32)
        at[axis] += along.reshape([-1 if i == axis else 1 for i in range(3)])
    return at
