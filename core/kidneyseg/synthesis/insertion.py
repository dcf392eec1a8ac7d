"""Kidney tumours, cysts and pseudotumours inserted into real CTs, for training and validation without tumour labels.

Shapes, their place on the kidney and their HU come from a `LesionLibrary`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kidneyseg.arrays import HU, Doubles, Labels, Range, Rng, Spacing
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.synthesis.blending import blend, make_patch
from kidneyseg.synthesis.lesion_hu import MOST_CYST_HU, any_hu
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.lesion_shapes import Kind, LesionShape, ball_radius_mm
from kidneyseg.synthesis.placement import MAX_BLOCKED, Host, Neighbours, find_hosts, place
from kidneyseg.synthesis.texture import Texture, TumourHU, textures, tumour_texture

# A lesion that comes out smaller is not inserted.
_MIN_LESION_ML = 0.1


@dataclass(frozen=True, eq=False)
class Insertion:
    """What was inserted where."""

    kind: Kind  #: "tumour" or "cyst"
    ml: float  #: volume of its voxels in millilitres
    centre: Doubles  #: (3,) voxel index of its centre of mass
    hu: float  #: the median HU it was given
    case: int  #: number of the case its shape came from, -1 for a procedural one


def insert_lesion(
    hu: HU,
    labels: Labels,
    spacing_mm: Spacing,
    lesion: LesionShape,
    library: LesionLibrary,
    hosts: Sequence[Host],
    rng: Rng,
    *,
    ml: float | None = None,
    avoid: Neighbours = (),
    aim: TumourHU | None = None,
    texture: Texture = tumour_texture,
    at_hilum: bool = False,
) -> tuple[HU, Labels, Insertion | None]:
    """Put one lesion on a kidney.

    Args:
        hu: int16 (X, Y, Z) of any spacing, whole CT or a crop around a kidney.
        labels: uint8 (X, Y, Z): 1 kidney, 2 tumours and 3 cysts already there.
        lesion: shape and pose.
        library: whose measured contrasts a tumour's HU follow.
        hosts: the kidneys, from `find_hosts`.
        ml: volume to give it; None keeps the shape's own. It may get smaller to fit.
        avoid: lesions to keep clear of.
        aim: the HU to give it; None draws them.
        texture: what a tumour looks like inside.
        at_hilum: whether it sits in the hilum.

    Returns:
        New hu (int16) and labels (2 where a tumour is, 3 where a cyst is), and what was inserted; the same arrays
        and None when there is no kidney or no room for it.
    """
    if not hosts:
        return hu, labels, None
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    volumes = np.array([host.volume_ml for host in hosts])
    host = hosts[int(rng.choice(len(hosts), p=volumes / volumes.sum()))]
    aim_ml = lesion.ml if ml is None else ml
    for _ in range(4):
        placement = place(lesion, aim_ml, host, rng, avoid=avoid, at_hilum=at_hilum)
        if placement.blocked <= MAX_BLOCKED:
            break
        aim_ml *= 0.6
    else:
        return hu, labels, None
    patch = make_patch(lesion, placement, host, spacing, hu.shape)
    solid = patch.share >= 0.5
    if solid.sum() * spacing.prod() < 1000.0 * _MIN_LESION_ML:
        return hu, labels, None
    if aim is None:
        cyst = TumourHU(float(rng.uniform(-5.0, 30.0)), 0.0)
        aim = library.draw_hu(rng, host.median_hu) if lesion.kind == "tumour" else cyst
    new_hu, new_labels = hu.copy(order="K"), labels.copy(order="K")
    blend(new_hu, new_labels, patch, TUMOUR if lesion.kind == "tumour" else CYST, aim, rng, texture=texture)
    where = np.argwhere(solid)
    centre = where.mean(axis=0) + [side.start for side in patch.box]
    volume = len(where) * float(spacing.prod()) / 1000.0
    return new_hu, new_labels, Insertion(lesion.kind, volume, centre, aim.median, lesion.case)


def insert_lesions(
    hu: HU,
    labels: Labels,
    spacing_mm: Spacing,
    library: LesionLibrary,
    hosts: Sequence[Host],
    rng: Rng,
    *,
    tumour_odds: tuple[float, ...] = (0.0, 0.7, 0.2, 0.1),
    cyst_odds: tuple[float, ...] = (0.5, 0.3, 0.2),
    necrotic: float = 0.0,
    cystic: float = 0.0,
    any_hu_probability: float = 0.0,
) -> tuple[HU, Labels, list[Insertion]]:
    """Put some tumours and cysts of random sizes on the kidneys.

    Args:
        hosts: the kidneys, from `find_hosts`.
        tumour_odds: probability of 0, 1, 2 ... tumours.
        cyst_odds: probability of 0, 1, 2 ... cysts, where the library holds any.
        necrotic: probability that a tumour is mostly necrotic; see `texture.textures`.
        cystic: probability that a tumour is cystic.
        any_hu_probability: of a lesion whose HU are drawn at random; see `lesion_hu.any_hu`. Cysts are given -10
            to 40 HU.

    Returns:
        New hu and labels as `insert_lesion` gives them, and what found room.
    """
    tumours = int(rng.choice(len(tumour_odds), p=tumour_odds))
    has_cysts = any(lesion.kind == "cyst" for lesion in library.lesions)
    cysts = int(rng.choice(len(cyst_odds), p=cyst_odds)) if has_cysts else 0
    kinds: list[Kind] = ["tumour"] * tumours
    kinds += ["cyst"] * cysts
    texture = textures(necrotic, cystic)
    inserted: list[Insertion] = []
    neighbours: Neighbours = ()
    for kind in kinds:
        lesion, ml = library.draw(rng, kind)
        aim = _any_aim(kind, hosts, rng) if any_hu_probability and rng.random() < any_hu_probability else None
        hu, labels, done = insert_lesion(
            hu, labels, spacing_mm, lesion, library, hosts, rng, ml=ml, avoid=neighbours, aim=aim, texture=texture
        )
        if done is not None:
            inserted.append(done)
            neighbours = (*neighbours, (done.centre * np.asarray(spacing_mm), ball_radius_mm(done.ml)))
    return hu, labels, inserted


def _any_aim(kind: Kind, hosts: Sequence[Host], rng: Rng) -> TumourHU | None:
    """HU at random for a lesion on one of the kidneys, which have about the same HU."""
    if not hosts:
        return None
    if kind == "tumour":
        return any_hu(hosts[0].median_hu, rng)
    return TumourHU(float(rng.uniform(-10.0, MOST_CYST_HU)), 0.0)


def insert_random_lesions(
    hu: HU, labels: Labels, spacing_mm: Spacing, library: LesionLibrary, rng: Rng, *, organs: Labels | None = None
) -> tuple[HU, Labels, list[Insertion]]:
    """`insert_lesions` on the kidneys that this CT shows; `organs` as in `find_hosts`."""
    hosts = find_hosts(hu, labels, np.asarray(spacing_mm, dtype=np.float64), organs)
    return insert_lesions(hu, labels, spacing_mm, library, hosts, rng)


def insert_pseudotumour(
    hu: HU,
    labels: Labels,
    spacing_mm: Spacing,
    library: LesionLibrary,
    hosts: list[Host],
    rng: Rng,
    *,
    volume_ml: Range = (3.0, 60.0),
    inside: Range = (0.85, 1.0),
    percentile: Range = (50.0, 70.0),
    sd_hu: float = 6.0,
    min_kidney_hu: float = 90.0,
) -> tuple[HU, Labels]:
    """Give one enhanced kidney a homogeneous pseudotumour of its own HU, shaped as a tumour that grows inward.

    Tumours are so rarely as homogeneous and as bright as their enhanced kidney that this may count as kidney.

    Args:
        hu: int16 (X, Y, Z) of any spacing.
        labels: uint8 (X, Y, Z): 1 kidney, and no tumour yet, since a pseudotumour may cover one.
        library: whose tumours' shapes it takes.
        hosts: the kidneys, from `find_hosts`, in this or another contrast phase of the CT.
        volume_ml: range of its volume, uniform in the logarithm; at most half of the kidney's.
        inside: range of the share of it within the kidney's hull.
        percentile: range of the percentile of the kidney's HU, from its middle to its cortex, that it is given.
        sd_hu: SD of the deviation from that percentile.
        min_kidney_hu: median HU below which a kidney has too little contrast agent to tell tumours from parenchyma.

    Returns:
        New hu and labels (1 where the pseudotumour is); the same arrays when no kidney is bright enough or has room.

    Raises:
        InputError: the library holds no tumour.
    """
    bright = [host for host in hosts if np.median(host.hu_in(hu)) >= min_kidney_hu]
    if not bright:
        return hu, labels
    host = bright[int(rng.integers(len(bright)))]
    ml = min(float(np.exp(rng.uniform(*np.log(volume_ml)))), 0.5 * host.volume_ml)
    lesion, _ = library.draw(rng, "tumour", about_ml=ml)
    lesion = replace(lesion, inside=max(lesion.inside, float(rng.uniform(*inside))))
    placement = place(lesion, ml, host, rng)
    if placement.blocked > MAX_BLOCKED:
        return hu, labels
    new_hu, new_labels = hu.copy(order="K"), labels.copy(order="K")
    patch = make_patch(lesion, placement, host, np.asarray(spacing_mm, dtype=np.float64), hu.shape)
    level = float(np.percentile(host.hu_in(hu), rng.uniform(*percentile)) + rng.normal(0.0, sd_hu))
    blend(new_hu, new_labels, patch, KIDNEY, TumourHU(level, 0.0), rng)
    return new_hu, new_labels
