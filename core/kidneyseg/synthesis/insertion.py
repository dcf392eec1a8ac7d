"""Kidney tumours and cysts put into real CTs: for training and for validation where no tumour labels are at hand.

Shapes, their place on the kidney and their HU come from a `LesionLibrary`. Around a lesion the host is pushed
outward a little; inside, the host's own noise is kept, so that neither an edge nor a smooth patch betrays it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import Volume
from kidneyseg.synthesis.blending import blend, make_patch
from kidneyseg.synthesis.contrast_phases import PHASES, simulate_contrast_phase, vary_cortex
from kidneyseg.synthesis.lesion_library import LesionLibrary, TumourHU, is_held_out
from kidneyseg.synthesis.lesion_shapes import Kind, Lesion, procedural_lesion
from kidneyseg.synthesis.organs import OrganWeights
from kidneyseg.synthesis.placement import MOST_BLOCKED, Host, find_hosts, place

__all__ = [
    "PHASES",
    "Insertion",
    "Lesion",
    "LesionLibrary",
    "OrganWeights",
    "find_hosts",
    "insert_lesion",
    "insert_random_lesions",
    "is_held_out",
    "procedural_lesion",
    "simulate_contrast_phase",
    "vary_cortex",
]

# A lesion more blocked than `MOST_BLOCKED` is made smaller by this, at most so often; one still blocked is left out.
_SHRINK = 0.6
_SHRINKS = 4
_CYST_HU = (-5.0, 30.0)
_SMALLEST_ML = 0.1

Neighbours = tuple[tuple[NDArray[np.float64], float], ...]


@dataclass(frozen=True, eq=False)
class Insertion:
    """What was inserted where.

    Attributes:
        kind: "tumour" or "cyst".
        ml: volume of its voxels in millilitres.
        centre: (3,) voxel index of its centre of mass.
        hu: the median HU it was given.
        case: number of the case its shape came from, -1 for a made-up one.
    """

    kind: Kind
    ml: float
    centre: NDArray[np.float64]
    hu: float
    case: int


def insert_lesion(
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    spacing_mm: tuple[float, float, float],
    lesion: Lesion,
    rng: np.random.Generator,
    *,
    ml: float | None = None,
    library: LesionLibrary | None = None,
    organs: NDArray[np.uint8] | None = None,
    avoid: Neighbours = (),
) -> tuple[NDArray[np.int16], NDArray[np.uint8], Insertion | None]:
    """Put one lesion on a kidney.

    Args:
        hu: int16 (X, Y, Z) of any spacing, whole CT or a crop around a kidney.
        labels: uint8 (X, Y, Z): 1 kidney, 2 tumours already there.
        spacing_mm: voxel edge lengths.
        lesion: shape and pose.
        ml: volume to give it; None keeps the shape's own. It may get smaller to fit.
        library: whose measured contrasts a tumour's HU follow; None takes a plain formula.
        organs: uint8 (X, Y, Z), 13-organ labels (BTCV's numbers): a lesion grows into none of them but kidneys.
        avoid: centres (mm = index * spacing) and radii of lesions to keep clear of.

    Returns:
        New hu (int16) and labels (2 where a tumour is, 1 where a cyst is), and what was inserted; the same arrays
        and None when there is no kidney or no room for it.
    """
    hosts = find_hosts(hu, labels, np.asarray(spacing_mm, dtype=np.float64), _any(organs))
    return _insert(hu, labels, spacing_mm, lesion, rng, hosts=hosts, ml=ml, library=library, avoid=avoid)


def _any(organs: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """Organ labels, or None where there are none: then HU alone say what is in the way."""
    return organs if organs is not None and organs.any() else None


def _insert(
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    spacing_mm: tuple[float, float, float],
    lesion: Lesion,
    rng: np.random.Generator,
    *,
    hosts: list[Host],
    ml: float | None,
    library: LesionLibrary | None,
    avoid: Neighbours,
) -> tuple[NDArray[np.int16], NDArray[np.uint8], Insertion | None]:
    if not hosts:
        return hu, labels, None
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    host = hosts[int(rng.choice(len(hosts), p=_shares(hosts)))]
    aim_ml = lesion.ml if ml is None else ml
    for _ in range(_SHRINKS):
        placement = place(lesion, aim_ml, host, rng, avoid=avoid)
        if placement.blocked <= MOST_BLOCKED:
            break
        aim_ml *= _SHRINK
    else:
        return hu, labels, None
    patch = make_patch(lesion, placement, host, spacing, hu.shape)
    solid = patch.share >= 0.5
    if solid.sum() * spacing.prod() < 1000.0 * _SMALLEST_ML:
        return hu, labels, None
    aim = TumourHU(float(rng.uniform(*_CYST_HU)), 0.0, 0.0, 0.0)
    if lesion.kind == "tumour":
        aim = (library if library is not None else LesionLibrary(())).draw_hu(rng, host.median_hu)
    new_hu, new_labels = hu.copy(order="K"), labels.copy(order="K")
    blend(new_hu, new_labels, patch, lesion.kind, aim, rng)
    where = np.argwhere(solid)
    centre = where.mean(axis=0) + [side.start for side in patch.box]
    volume = len(where) * float(spacing.prod()) / 1000.0
    return new_hu, new_labels, Insertion(lesion.kind, volume, centre, aim.median, lesion.case)


def insert_random_lesions(
    hu: NDArray[np.int16] | Volume,
    labels: NDArray[np.uint8],
    spacing_mm: tuple[float, float, float],
    library: LesionLibrary,
    rng: np.random.Generator,
    n: int | None = None,
    *,
    cysts: int | None = None,
    organs: NDArray[np.uint8] | None = None,
    hosts: list[Host] | None = None,
) -> tuple[NDArray[np.int16], NDArray[np.uint8], list[Insertion]]:
    """Put `n` tumours (None: 1-3, mostly one) and `cysts` cysts (None: 0-2) of random sizes on the kidneys.

    Arguments and results as in `insert_lesion`, with a list of what found room: it may be shorter than asked for.
    `hosts` are the kidneys where `find_hosts` was asked before, on this patient in whatever contrast phase.
    """
    grey = hu.hu if isinstance(hu, Volume) else hu
    tumours = int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])) if n is None else n
    if cysts is None:
        has_cysts = any(lesion.kind == "cyst" for lesion in library.lesions)
        cysts = int(rng.choice([0, 1, 2], p=[0.5, 0.3, 0.2])) if has_cysts else 0
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    kinds: list[Kind] = []
    kinds.extend("tumour" for _ in range(tumours))
    kinds.extend("cyst" for _ in range(cysts))
    inserted: list[Insertion] = []
    neighbours: Neighbours = ()
    if hosts is None:
        hosts = find_hosts(grey, labels, spacing, _any(organs)) if kinds else []
    else:
        hosts = [host.in_phase(grey) for host in hosts]
    for kind in kinds:
        lesion, ml = library.draw(rng, kind)
        grey, labels, done = _insert(
            grey, labels, spacing_mm, lesion, rng, hosts=hosts, ml=ml, library=library, avoid=neighbours
        )
        if done is not None:
            inserted.append(done)
            neighbours = (*neighbours, (done.centre * spacing, (750.0 * done.ml / np.pi) ** (1 / 3)))
    return grey, labels, inserted


def _shares(hosts: list[Host]) -> NDArray[np.float64]:
    volumes = np.array([host.volume_ml for host in hosts])
    return np.asarray(volumes / volumes.sum())
