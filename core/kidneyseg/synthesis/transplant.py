"""A whole kidney of another patient in place of a CT's own: kidney, tumours and cysts as they lie together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import HU, Box, Doubles, Floats, Labels, Mask, Range, Rng, bounding_box, box_around
from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg.synthesis.blending import at_least, sampled, to_int16_hu
from kidneyseg.synthesis.donor_kidneys import VOXEL_MM, DonorKidney, with_sinus
from kidneyseg.synthesis.kidney_library import HostHU, KidneyLibrary
from kidneyseg.synthesis.kidney_removal import WithoutKidney, remove_kidney, removed_share, sources
from kidneyseg.synthesis.kidney_texture import KidneyHU, lesions_over, parenchyma, sinus_texture
from kidneyseg.synthesis.lesion_hu import any_hu
from kidneyseg.synthesis.organs import AORTA, CAVA
from kidneyseg.synthesis.texture import Texture, matching_noise, textures
from kidneyseg.synthesis.transplant_sites import DonorPlacement, TransplantSite, displacement, place_donor

# BTCV's numbers of the kidneys in an organ map.
_RIGHT, _LEFT = 2, 3
_DONOR_SPACING = np.full(3, VOXEL_MM)


@dataclass(frozen=True, eq=False)
class Transplanted:
    """A CT, or a part of it, after a transplantation."""

    hu: HU  #: int16 (X, Y, Z)
    labels: Labels  #: uint8 (X, Y, Z) of TISSUE, KIDNEY, TUMOUR, CYST
    organs: Labels  #: uint8 (X, Y, Z), BTCV's organ numbers; tumours and cysts have none
    case: int  #: number of the donor's case


@dataclass(frozen=True, eq=False)
class _Shares:
    """How much of each voxel of a box, float32 0...1, the donor's parts fill."""

    body: Floats  #: kidney, tumours and cysts
    tumour: Floats  #: of the body
    cyst: Floats  #: of the body
    sinus: Floats  #: what the donor encloses besides
    depth: Floats  #: mm below the surface of all of it


def transplant(
    hu: HU,
    labels: Labels,
    organs: Labels,
    spacing: Doubles,
    site: TransplantSite,
    donor: DonorKidney,
    library: KidneyLibrary,
    rng: Rng,
    *,
    displaced_mm: Range = (6.0, 16.0),
    closer_mm: Range = (0.0, 5.0),
    necrotic: float = 0.0,
    cystic: float = 0.0,
    any_hu_probability: float = 0.0,
) -> Transplanted | None:
    """Replace one kidney of a CT by a donor's.

    Args:
        hu: int16 (X, Y, Z), of any spacing and in any contrast phase: whole CT or a crop around a kidney.
        labels: uint8 (X, Y, Z) of TISSUE, KIDNEY, TUMOUR, CYST.
        organs: uint8 (X, Y, Z), BTCV's organ numbers; may be 0 everywhere.
        spacing: (3,) voxel edge lengths in mm.
        site: the kidney to replace, from `find_sites` of this CT in this or another contrast phase.
        donor: of either side: it is mirrored to the site's.
        library: whose measured contrasts the HU follow.
        displaced_mm: range of the largest displacement of what surrounds the kidney; what would have to move further
            is covered, and what is left open is filled with fat.
        closer_mm: range of how much nearer the surroundings come to lie to the donor than they were to the kidney.
        necrotic: probability that a tumour is mostly necrotic; see `texture.textures`.
        cystic: probability that a tumour is cystic.
        any_hu_probability: that the HU of its tumours are drawn at random; see `lesion_hu.any_hu`.

    Returns:
        Changed copies; None where the donor has no room.
    """
    if donor.medial != site.medial:
        donor = donor.mirrored()
    placement = place_donor(donor, site, rng)
    if placement is None:
        return None
    coarse = _coarse(donor.filled, placement, site)
    # The kidney's blurred rim was replaced by fat: drawn nearer, neighbours can touch the donor as they touched it.
    field = displacement(site, coarse, float(rng.uniform(*displaced_mm)), float(rng.uniform(*closer_mm)))
    inner = _donor_box(donor, placement, spacing, hu.shape)
    box = box_around(_changed_box(field, site, hu.shape), inner)
    own = (labels[box] > 0) & ~_other_kidneys(labels[box], box, site)
    host = _host_hu(hu[box], own, organs[box], site, spacing)
    target = library.hu_for(donor, host, rng)
    if any_hu_probability and rng.random() < any_hu_probability:
        target = target._replace(tumour=any_hu(host.level, rng))
    at = sources(field, box, site, spacing)
    rest = remove_kidney(hu[box], labels[box], organs[box], own, at, target.fat, spacing, rng)
    # From here on, the box of the donor within the changed one.
    part = _within(inner, box)
    shares = _shares_in(inner, with_sinus(donor, rng), placement, spacing)
    noise = _noise_in(hu, box, inner, rest, spacing, rng)
    _fill_in(rest, part, shares, target, noise, textures(necrotic, cystic), spacing, rng)
    _relabel(rest.labels[part], rest.organs[part], shares, _LEFT if site.medial > 0 else _RIGHT)
    new_hu, new_labels, new_organs = hu.copy(order="K"), labels.copy(order="K"), organs.copy(order="K")
    changed = rest.moved | (rest.free > 0.01)
    changed[part] |= shares.body + shares.sinus > 0.01
    new_hu[box][changed] = np.clip(to_int16_hu(rest.grey[changed]), hu.min(), hu.max())
    new_labels[box], new_organs[box] = rest.labels, rest.organs
    return Transplanted(new_hu, new_labels, new_organs, donor.case)


def replace_kidneys(
    hu: HU,
    labels: Labels,
    organs: Labels,
    spacing: Doubles,
    sites: Sequence[TransplantSite],
    library: KidneyLibrary,
    rng: Rng,
    *,
    lesion_probability: float = 0.8,
    largest_ml: float = 400.0,
    donors: int = 4,
    **parameters: Any,
) -> Transplanted | None:
    """Replace several kidneys of a CT by donors'.

    Args:
        hu: int16 (X, Y, Z).
        labels: uint8 (X, Y, Z) of TISSUE, KIDNEY, TUMOUR, CYST.
        organs: uint8 (X, Y, Z), BTCV's organ numbers; may be 0 everywhere.
        spacing: (3,) voxel edge lengths in mm.
        sites: the kidneys to replace, from `find_sites`.
        library: of the donors.
        lesion_probability: of a donor with tumour or cyst; see `KidneyLibrary.draw`.
        largest_ml: donors with more tumour are not drawn.
        donors: how many are tried at each site; where none has room, the CT keeps its kidney.
        parameters: of `transplant`.

    Returns:
        Changed copies, with the case of the last donor; None where no kidney was replaced.
    """
    done = None
    for site in sites:
        for _ in range(donors):
            donor = library.draw(rng, lesion_probability=lesion_probability, largest_ml=largest_ml)
            more = transplant(hu, labels, organs, spacing, site, donor, library, rng, **parameters)
            if more is not None:
                hu, labels, organs, done = more.hu, more.labels, more.organs, more
                break
    return done


def _coarse(filled: Mask, placement: DonorPlacement, site: TransplantSite) -> Mask:
    """The site's coarse cells whose centres lie in the donor."""
    cells = np.moveaxis(np.indices(site.kidney.shape), 0, -1)
    first = np.array([side.start for side in site.box])
    points = (cells * site.step + first + (site.step - 1) / 2.0) * (site.step_mm / site.step)
    index = np.moveaxis(placement.to_donor(points), -1, 0)
    return np.asarray(ndimage.map_coordinates(filled.astype(np.float32), index, order=1) >= 0.5)


def _changed_box(field: Floats, site: TransplantSite, shape: tuple[int, ...]) -> Box:
    """The voxels that are displaced, and those of the site's kidney with its sinus and rim."""
    cells = bounding_box((np.abs(field).max(axis=0) > 0.2) | site.kidney, 2)
    assert cells is not None
    sides = [
        slice(side.start + cell.start * int(by), min(side.start + cell.stop * int(by), n))
        for side, cell, by, n in zip(site.box, cells, site.step, shape, strict=True)
    ]
    return sides[0], sides[1], sides[2]


def _donor_box(donor: DonorKidney, placement: DonorPlacement, spacing: Doubles, shape: tuple[int, ...]) -> Box:
    """The voxels of a CT of `shape` that the donor may fill."""
    corners = np.stack(np.meshgrid(*([0.0, n - 1.0] for n in donor.labels.shape), indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    points = (corners * VOXEL_MM) @ placement.rotation.T + placement.offset
    low, high = np.floor(points.min(axis=0) / spacing), np.ceil(points.max(axis=0) / spacing + 1)
    sides = [slice(max(int(a), 0), min(int(b), n)) for a, b, n in zip(low, high, shape, strict=True)]
    return sides[0], sides[1], sides[2]


def _within(inner: Box, outer: Box) -> Box:
    """A box, in indices of one that holds it."""
    x, y, z = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True))
    return x, y, z


def _shares_in(box: Box, donor: DonorKidney, placement: DonorPlacement, spacing: Doubles) -> _Shares:
    """The donor's shares of the voxels of a box of the CT."""
    matrix = placement.rotation.T / VOXEL_MM
    offset = -matrix @ placement.offset

    def share_of(mask: Mask) -> Floats:
        soft = ndimage.gaussian_filter(mask.astype(np.float32), 0.8)
        # Smoothing takes off the voxels' corners; what it blurs besides is undone.
        sharp = np.clip(2.0 * sampled(soft, box, spacing, matrix, offset) - 0.5, 0.0, 1.0)
        return np.asarray(ndimage.gaussian_filter(sharp, 0.6 / spacing), np.float32)  # the scanner's point spread

    body, whole = share_of(donor.body), share_of(donor.filled)
    depth = ndimage.distance_transform_edt(donor.filled, sampling=_DONOR_SPACING).astype(np.float32)
    least = np.maximum(body, 1e-3)
    tumour, cyst = (
        np.minimum(share_of(donor.labels == label) / least, 1.0)
        if (donor.labels == label).any()
        else np.zeros_like(body)
        for label in (TUMOUR, CYST)
    )
    deep = sampled(depth, box, spacing, matrix, offset)
    return _Shares(body, tumour, cyst, np.clip(whole - body, 0.0, 1.0), deep)


def _other_kidneys(labels: Labels, box: Box, site: TransplantSite) -> Mask:
    """Which labelled voxels of `box` belong to another kidney than the site's."""
    bodies, count = ndimage.label(labels > 0)
    if count < 2:
        return np.zeros(labels.shape, bool)
    places = np.array([[(a.start + a.stop) / 2.0 for a in found] for found in ndimage.find_objects(bodies)])
    cells = np.rint(site.cells_at((places + [side.start for side in box]) * site.step_mm / site.step)).astype(int)
    x, y, z = np.clip(cells, 0, np.array(site.kidney.shape) - 1).T
    return np.asarray(np.isin(bodies, 1 + np.flatnonzero(site.distance[x, y, z] > 12.0)))


def _host_hu(hu: HU, own: Mask, organs: Labels, site: TransplantSite, spacing: Doubles) -> HostHU:
    """What the site's kidney looks like."""
    inner = ndimage.binary_erosion(own, np.ones((3, 3, 1), bool))
    inner = inner if inner.sum() > 200 else own
    smooth = ndimage.gaussian_filter(hu, 1.2 / spacing, output=np.float32)[inner]
    # The darkest third is sinus and rim as well as medulla.
    low, level, high = (float(value) for value in np.percentile(smooth, [35.0, 55.0, 80.0]))
    vessels = hu[(organs == AORTA) | (organs == CAVA)]
    vessel = float(np.median(vessels)) if len(vessels) > 50 else level
    sinus = (removed_share(own, spacing) > 0.5) & ~ndimage.binary_dilation(own)
    fat = float((hu[sinus] < -30).mean()) if sinus.sum() > 100 else 0.5
    return HostHU(high, low, level, vessel, site.fat_hu, fat)


def _noise_in(hu: HU, box: Box, inner: Box, rest: WithoutKidney, spacing: Doubles, rng: Rng) -> Floats:
    """New noise for `box` as in its middle, where anything new is: in `inner` and in the fat that was put there."""
    result = np.zeros(rest.free.shape, np.float32)
    fat = bounding_box(rest.free > 0.01)
    where = box_around(_within(inner, box), fat)
    middle = [(side.start + side.stop) // 2 for side in box]
    x, y, z = (slice(m, m + 1) for m in middle)
    sample = hu[at_least((x, y, z), 90.0 / spacing, hu.shape)].astype(np.float32)
    result[where] = matching_noise(sample, spacing, result[where].shape, rng, even_share=0.2)
    return result


def _fill_in(
    rest: WithoutKidney,
    part: Box,
    shares: _Shares,
    target: KidneyHU,
    noise: Floats,
    texture: Texture,
    spacing: Doubles,
    rng: Rng,
) -> None:
    """Put the donor into its `part` of the surroundings, in place, and noise on all that is new."""
    tissue = parenchyma(shares.depth, target, spacing, rng)
    sd = float(noise[part].std())
    tissue = lesions_over(tissue, shares.tumour, shares.cyst, target, sd, texture, spacing, rng)
    inside = sinus_texture(shares.depth, target, spacing, rng)
    left = np.maximum(1.0 - shares.body - shares.sinus, 0.0)
    old = 1.0 - rest.free
    old[part] *= left
    rest.grey[part] = shares.body * tissue + shares.sinus * inside + left * rest.grey[part]
    # The CT's own noise fades out as the new one fades in: their variances add up to the whole.
    rest.grey[...] += np.sqrt(np.maximum(1.0 - old**2, 0.0)) * noise


def _relabel(labels: Labels, organs: Labels, shares: _Shares, kidney: int) -> None:
    """Write the donor into labels and organs, in place."""
    inside = shares.body + shares.sinus >= 0.5
    labels[inside], organs[inside] = TISSUE, 0
    solid = shares.body >= 0.5
    labels[solid], organs[solid] = KIDNEY, kidney
    for label, share in ((CYST, shares.cyst), (TUMOUR, shares.tumour)):
        lesion = solid & (share >= 0.5)
        labels[lesion], organs[lesion] = label, 0
