"""A placed lesion becomes voxels: its share of each, the displaced host around it, and its HU blended into the CT's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import HU, Box, Doubles, Floats, Labels, Mask, Rng
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.synthesis.lesion_shapes import LesionShape
from kidneyseg.synthesis.placement import Host, Placement
from kidneyseg.synthesis.texture import Texture, TumourHU, matching_noise, tumour_texture

# A growing lesion displaces its host outward, at its rim by at most this share of its radius and so many mm. The
# displacement fades out over so many times its size at the rim, so that nothing folds.
_DISPLACED_SHARE, _DISPLACED_MM, _DISPLACED_REACH = 0.2, 5.0, 3.0


def to_int16_hu(hu: NDArray[np.floating]) -> HU:
    """HU rounded and clipped to the range of a scanner."""
    return np.asarray(np.clip(np.rint(hu), -1024, 3071), np.int16)


@dataclass(frozen=True, eq=False)
class Patch:
    """The part of a CT that a lesion changes."""

    box: Box  #: where it lies in the CT
    spacing: Doubles  #: (3,) voxel edge lengths in mm
    share: Floats  #: float32, how much of each voxel the lesion fills, 0...1
    barrier: Floats  #: float32, 1 where the lesion must not grow and displaces nothing, 0 where it may

    @property
    def radius_mm(self) -> float:
        """Radius of the ball of the lesion's volume."""
        return float((0.75 / np.pi * (self.share >= 0.5).sum() * self.spacing.prod()) ** (1 / 3))


def make_patch(
    lesion: LesionShape, placement: Placement, host: Host, spacing: Doubles, shape: tuple[int, ...]
) -> Patch:
    """The voxels of a CT of `shape` and `spacing` (mm) that a lesion placed on `host` fills or displaces."""
    where = np.argwhere(lesion.mask)
    radii = np.linalg.norm(where - where.mean(axis=0), axis=1) * lesion.voxel_mm * placement.scale
    radius = float(radii.max())
    reach_mm = radius + 4.0 + _DISPLACED_REACH * min(_DISPLACED_SHARE * radius, _DISPLACED_MM)
    low = np.floor((placement.centre_mm - reach_mm) / spacing).astype(int)
    high = np.ceil((placement.centre_mm + reach_mm) / spacing).astype(int) + 1
    sides = [slice(max(int(a), 0), min(int(b), n)) for a, b, n in zip(low, high, shape, strict=True)]
    box = (sides[0], sides[1], sides[2])
    barrier = _barrier_on(host, box, spacing)
    return Patch(box, spacing, _occupancy(lesion, placement, box, barrier, spacing), barrier)


def _occupancy(lesion: LesionShape, placement: Placement, box: Box, barrier: Floats, spacing: Doubles) -> Floats:
    """Share of each voxel of `box` that the lesion fills, float32 0...1."""
    solid = ndimage.gaussian_filter(lesion.mask.astype(np.float32), 0.7)
    centre = np.argwhere(lesion.mask).mean(axis=0)
    to_lesion = placement.rotation.T / (placement.scale * lesion.voxel_mm)
    filled = sampled(solid, box, spacing, to_lesion, centre - to_lesion @ placement.centre_mm)
    cut = bool((filled * barrier > 0.3).any())
    filled = ndimage.gaussian_filter(filled * (1.0 - barrier), 0.6 / spacing)  # the scanner's point spread
    if cut:
        _remove_fragments(filled, min(2.5, 0.3 * placement.radius_mm), spacing)
    return np.asarray(np.minimum(filled, 1.0), dtype=np.float32)


def sampled(field: Floats, box: Box, spacing: Doubles, matrix: Doubles, offset: Doubles) -> Floats:
    """The mean of a field over each voxel of `box`, float32; 0 beyond the field.

    Thick voxels are the mean of thin ones: what a 5 mm slice does to a small lesion.

    Args:
        field: float32 (A, B, C).
        box: voxels of a CT.
        spacing: (3,) the CT's voxel edge lengths in mm.
        matrix: (3, 3), with `offset` (3,): mm in the CT (index times spacing) to the field's voxels.
    """
    fine = np.maximum(1, np.ceil(spacing / 2.0)).astype(int)
    shape = tuple(side.stop - side.start for side in box)
    first = [
        side.start * edge + 0.5 * edge / by - 0.5 * edge for side, edge, by in zip(box, spacing, fine, strict=True)
    ]
    filled = ndimage.affine_transform(
        field,
        matrix * (spacing / fine),
        offset=offset + matrix @ np.array(first),
        output_shape=tuple(n * int(by) for n, by in zip(shape, fine, strict=True)),
        order=1,
        mode="constant",
    )
    thin = filled.reshape(shape[0], fine[0], shape[1], fine[1], shape[2], fine[2])
    return np.asarray(thin.mean(axis=(1, 3, 5)), np.float32)


def _remove_fragments(filled: Floats, half_width_mm: float, spacing: Doubles) -> None:
    """Empty, in place, parts that are cut off or connected through a narrow gap between organs only."""
    core = ndimage.distance_transform_edt(filled >= 0.5, sampling=spacing) > half_width_mm
    pieces, count = ndimage.label(core)
    if count:
        core = pieces == int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
        filled[ndimage.distance_transform_edt(~core, sampling=spacing) > half_width_mm + 2.0] = 0.0


def _barrier_on(host: Host, box: Box, spacing: Doubles) -> Floats:
    """The host's barrier interpolated onto the voxels of `box`, 0...1 with an edge of about a voxel."""
    first = host.coarse_index(np.array([side.start for side in box]) * spacing)
    shape = tuple(side.stop - side.start for side in box)
    soft = ndimage.affine_transform(
        host.barrier, 1.0 / host.step, offset=first, output_shape=shape, order=1, mode="nearest"
    )
    return np.asarray(np.clip(2.0 * soft - 0.5, 0.0, 1.0), dtype=np.float32)


def blend(
    hu: HU,
    labels: Labels,
    patch: Patch,
    label: int,
    aim: TumourHU,
    rng: Rng,
    *,
    texture: Texture = tumour_texture,
) -> None:
    """Write a lesion into `hu` (int16) and `labels` (uint8), in place.

    Args:
        patch: the lesion's voxels.
        label: TUMOUR, which gets a tumour's texture, or CYST or KIDNEY (pseudotumours): homogeneous at `aim.median`.
        aim: the HU to give it.
        texture: what a tumour looks like inside.
    """
    grey, part, share = hu[patch.box].astype(np.float32), labels[patch.box], patch.share
    around = at_least(patch.box, 50.0 / patch.spacing, hu.shape)  # mm, enough to measure the CT's noise
    noise = matching_noise(hu[around].astype(np.float32), patch.spacing, share.shape, rng)
    if label == TUMOUR:
        body = texture(share, aim, float(noise.std()), patch.spacing, rng)
    else:
        body = np.full(share.shape, aim.median, dtype=np.float32)
    displaced, kidney_share, moved = _displace(grey, part == KIDNEY, patch, rng)
    # The host's noise fades out as the lesion's fades in: their variances, not their values, add up to the whole.
    mixed = share * body + (1.0 - share) * displaced + np.sqrt(1.0 - (1.0 - share) ** 2) * noise
    changed = (share > 0.01) | moved
    hu[patch.box][changed] = to_int16_hu(mixed[changed])
    # Only kidney and tissue are displaced; a lesion already there stays.
    part[moved & (part < TUMOUR)] = kidney_share[moved & (part < TUMOUR)] >= 0.5
    part[share >= 0.5] = label


def at_least(box: Box, size: Doubles, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """A box of about `size` voxels with the same centre, clipped to the array."""
    sides = []
    for side, wanted, limit in zip(box, np.ceil(size).astype(int), shape, strict=True):
        start = max(min((side.start + side.stop - int(wanted)) // 2, limit - int(wanted)), 0)
        sides.append(slice(start, min(start + int(wanted), limit)))
    return tuple(sides)


def _displace(grey: Floats, kidney: Mask, patch: Patch, rng: Rng) -> tuple[Floats, Floats, Mask]:
    """The host displaced by the growing lesion: grey values, kidney share and which voxels moved.

    What lay inside the lesion's rim now lies just outside of it; the displacement fades out with distance, and before
    bone and other organs.
    """
    rim = float(min(rng.uniform(0.05, _DISPLACED_SHARE) * patch.radius_mm, _DISPLACED_MM))
    distance = ndimage.distance_transform_edt(patch.share < 0.5, sampling=patch.spacing).astype(np.float32)
    free = 1.0 - ndimage.gaussian_filter(patch.barrier, 3.0 / patch.spacing)
    shift = rim * np.clip(1.0 - distance / (_DISPLACED_REACH * rim + 1.0), 0.0, 1.0) ** 2
    shift *= np.clip(2.0 * free - 1.0, 0.0, 1.0)
    moved = (shift > 0.05) & (patch.share < 0.99)
    smooth = ndimage.gaussian_filter(distance, 1.5 / patch.spacing)
    outward = np.stack([np.gradient(smooth, edge, axis=axis)[moved] for axis, edge in enumerate(patch.spacing)])
    outward /= np.maximum(np.linalg.norm(outward, axis=0), 1e-3)
    at = np.stack(np.nonzero(moved)) - outward * shift[moved] / patch.spacing[:, None]
    displaced, kidney_share = grey.copy(), kidney.astype(np.float32)
    # Cubic: linear interpolation would smooth the noise in a visible ring.
    displaced[moved] = ndimage.map_coordinates(grey, at, order=3, mode="nearest")
    kidney_share[moved] = ndimage.map_coordinates(kidney.astype(np.float32), at, order=1, mode="nearest")
    return displaced, kidney_share, moved
