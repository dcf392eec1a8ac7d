"""Masses beside a kidney that are not of it: of adrenal, liver or spleen, bowel, psoas, or the retroperitoneum."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import QhullError

from kidneyseg.arrays import HU, Doubles, Labels, Mask, Range, Rng, Spacing
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.synthesis.blending import blend, make_patch
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.lesion_shapes import KidneyHull, LesionShape, ball_radius_mm, random_rotation
from kidneyseg.synthesis.placement import MAX_BLOCKED, Host, Placement
from kidneyseg.synthesis.transplant_sites import TransplantSite, find_sites

# Where each lies from the kidney: towards the spine, to the front, upward.
_DIRECTIONS = {
    "adrenal": (0.5, 0.2, 0.9),
    "liver or spleen": (-0.8, 0.5, 0.5),
    "bowel": (0.0, 1.0, -0.2),
    "psoas": (0.8, -0.5, -0.4),
    "retroperitoneal": (1.0, 0.3, 0.0),
}


def insert_extrarenal_mass(
    hu: HU,
    labels: Labels,
    spacing_mm: Spacing,
    library: LesionLibrary,
    rng: Rng,
    *,
    organs: Labels | None = None,
    volume_ml: Range = (8.0, 400.0),
    gap_mm: Range = (0.0, 8.0),
    tries: int = 16,
) -> tuple[HU, Labels, Mask] | None:
    """Put a mass beside a kidney, which it may displace, with the texture and HU of a kidney's tumour.

    Args:
        hu: int16 (X, Y, Z) of any spacing.
        labels: uint8 (X, Y, Z): 1 kidney, 2 tumours already there.
        library: whose tumours' shapes and contrasts it takes.
        organs: uint8 (X, Y, Z), BTCV's organ numbers, or None.
        volume_ml: range of its volume, uniform in the logarithm.
        gap_mm: range of its distance from the kidney.
        tries: places that are tried.

    Returns:
        New hu and labels (0 where the mass is), and the mass, bool (X, Y, Z); None where there is no room.

    Raises:
        InputError: the library holds no tumour.
    """
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    sites = find_sites(hu, labels, np.zeros_like(labels) if organs is None else organs, spacing)
    names = list(_DIRECTIONS)
    for _ in range(tries if sites else 0):
        site = sites[int(rng.integers(len(sites)))]
        host = _host_of(site, hu)
        if host is None:
            continue
        ml = float(np.exp(rng.uniform(*np.log(volume_ml))))
        lesion, _ = library.draw(rng, "tumour", about_ml=ml)
        towards = np.array(_DIRECTIONS[names[int(rng.integers(len(names)))]]) * (site.medial, 1.0, 1.0)
        placement = _beside(lesion, ml, host, towards, float(rng.uniform(*gap_mm)), rng)
        if placement.blocked > MAX_BLOCKED:
            continue
        patch = make_patch(lesion, placement, host, spacing, hu.shape)
        if (patch.share >= 0.5).sum() * spacing.prod() < 500.0 * ml:
            continue
        new_hu, new_labels = hu.copy(order="K"), labels.copy(order="K")
        blend(new_hu, new_labels, patch, TUMOUR, library.draw_hu(rng, host.median_hu), rng)
        mass = np.zeros(labels.shape, bool)
        mass[patch.box] = patch.share >= 0.5
        new_labels[mass] = 0
        return new_hu, new_labels, mass
    return None


def _host_of(site: TransplantSite, hu: HU) -> Host | None:
    """The site's kidney, which no mass grows into, nor into bone; organs and muscle give way."""
    start = np.array([side.start for side in site.box])
    first = (start + (site.step - 1) / 2.0) * site.step_mm / site.step
    rim = site.kidney & ~ndimage.binary_erosion(site.kidney)
    try:
        hull = KidneyHull.of(np.argwhere(rim) * site.step_mm + first)
    except QhullError:
        return None
    host = Host(
        hull=hull,
        kidney=site.kidney,
        barrier=(site.fixed | site.kidney).astype(np.float32),
        start=start,
        step=site.step,
        step_mm=site.step_mm,
        volume_ml=float(site.kidney.sum() * site.step_mm.prod() / 1000.0),
        median_hu=0.0,
    )
    return host.in_phase(hu)


def _beside(lesion: LesionShape, ml: float, host: Host, towards: Doubles, gap_mm: float, rng: Rng) -> Placement:
    """A place for a mass of `ml` in about the direction `towards` of a kidney, `gap_mm` from its hull."""
    towards = towards + rng.normal(0.0, 0.3, 3)
    towards /= np.linalg.norm(towards)
    rotation, scale, radius = random_rotation(rng), (ml / lesion.ml) ** (1 / 3), ball_radius_mm(ml)
    where = np.argwhere(lesion.mask)
    sample = (where[rng.choice(len(where), 600)] - where.mean(axis=0)) * lesion.voxel_mm * scale @ rotation.T
    centre = host.hull.centre.copy()
    for _ in range(60):
        if host.hull.distance(sample + centre).min() >= gap_mm:
            break
        centre += 3.0 * towards
    index = np.rint(host.coarse_index(sample + centre)).astype(int)
    beyond = ((index < 0) | (index >= host.kidney.shape)).any(axis=1)
    x, y, z = np.clip(index, 0, np.array(host.kidney.shape) - 1).T
    blocked = float((beyond | (host.barrier[x, y, z] > 0.5)).mean())
    return Placement(centre, rotation, scale, radius, blocked)
