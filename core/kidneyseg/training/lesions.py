"""Kidney tumours and cysts put into real CTs: for training and for validation where no tumour labels are at hand.

Shapes, their place on the kidney and their HU come from a `LesionLibrary`. Around a lesion the host is pushed
outward a little; inside, the host's own noise is kept, so that neither an edge nor a smooth patch betrays it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.imaging.volume import Volume
from kidneyseg.training.lesion_library import LesionLibrary, TumourHU, is_held_out
from kidneyseg.training.lesion_placement import Box, Host, Placement, find_hosts, place
from kidneyseg.training.lesion_shapes import Kind, Lesion, procedural_lesion
from kidneyseg.training.lesion_texture import cyst_hu, host_noise, tumour_hu
from kidneyseg.training.phases import PHASES, OrganWeights, retint_organs

__all__ = [
    "PHASES",
    "Insertion",
    "Lesion",
    "LesionLibrary",
    "OrganWeights",
    "insert_lesion",
    "insert_random_lesions",
    "is_held_out",
    "procedural_lesion",
    "retint_organs",
]

# A lesion that loses more than this to its surroundings is made smaller; one still blocked this much is not inserted.
_MOST_BLOCKED = 0.15
_SHRINK = 0.6
_SHRINKS = 4
# Standard deviation in mm of the scanner's point spread at a lesion's rim.
_PSF_MM = 0.6
_CT_RANGE = (-1024, 3071)

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
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    hosts = find_hosts(hu, labels, spacing, organs)
    if not hosts:
        return hu, labels, None
    host = hosts[int(rng.choice(len(hosts), p=_shares(hosts)))]
    aim_ml = lesion.ml if ml is None else ml
    for _ in range(_SHRINKS):
        placement = place(lesion, aim_ml, host, rng, avoid=avoid)
        if placement.blocked <= _MOST_BLOCKED:
            break
        aim_ml *= _SHRINK
    else:
        return hu, labels, None
    reach_mm = 0.62 * lesion.voxel_mm * placement.scale * np.linalg.norm(lesion.mask.shape) + 12.0
    low = np.floor((placement.centre_mm - reach_mm) / spacing).astype(int)
    high = np.ceil((placement.centre_mm + reach_mm) / spacing).astype(int) + 1
    box: Any = tuple(slice(max(a, 0), min(b, n)) for a, b, n in zip(low, high, hu.shape, strict=True))
    share = np.minimum(_occupancy(lesion, placement, host, box, spacing), 1.0)
    if (share >= 0.5).sum() * spacing.prod() < 100.0:
        return hu, labels, None
    kidney_hu = float(np.median(hu[box][labels[box] == 1])) if (labels[box] == 1).any() else 100.0
    source = library if library is not None else LesionLibrary(())
    aim = source.draw_hu(rng, kidney_hu)
    if lesion.kind == "cyst":
        aim = TumourHU(float(rng.uniform(-5.0, 30.0)), 0.0, 0.0, 0.0)
    new_hu, new_labels = hu.copy(order="K"), labels.copy(order="K")
    _blend(new_hu, new_labels, box, share, lesion.kind, aim, spacing, host, rng)
    where = np.argwhere(share >= 0.5)
    centre = where.mean(axis=0) + [side.start for side in box]
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
) -> tuple[NDArray[np.int16], NDArray[np.uint8], list[Insertion]]:
    """Put `n` tumours (None: 1-3, mostly one) and `cysts` cysts (None: 0-2) of random sizes on the kidneys.

    Arguments and results as in `insert_lesion`, with a list of what found room: it may be shorter than asked for.
    """
    grey = hu.hu if isinstance(hu, Volume) else hu
    tumours = int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])) if n is None else n
    if cysts is None:
        has_cysts = any(lesion.kind == "cyst" for lesion in library.lesions)
        cysts = int(rng.choice([0, 1, 2], p=[0.5, 0.3, 0.2])) if has_cysts else 0
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    kinds: list[Kind] = ["tumour"] * tumours + ["cyst"] * cysts
    inserted: list[Insertion] = []
    neighbours: Neighbours = ()
    if organs is not None and not organs.any():
        organs = None
    for kind in kinds:
        lesion, ml = library.draw(rng, kind)
        grey, labels, done = insert_lesion(
            grey, labels, spacing_mm, lesion, rng, ml=ml, library=library, organs=organs, avoid=neighbours
        )
        if done is not None:
            inserted.append(done)
            neighbours = (*neighbours, (done.centre * spacing, (750.0 * done.ml / np.pi) ** (1 / 3)))
    return grey, labels, inserted


def _shares(hosts: list[Host]) -> NDArray[np.float64]:
    volumes = np.array([host.volume_ml for host in hosts])
    return np.asarray(volumes / volumes.sum())


def _occupancy(
    lesion: Lesion, placement: Placement, host: Host, box: Box, spacing: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Share of each voxel of `box` that the lesion fills, 0...1 float32: partial volume, blurred by the scanner."""
    solid = ndimage.gaussian_filter(lesion.mask.astype(np.float32), 0.7)
    centre = np.argwhere(lesion.mask).mean(axis=0)
    # Thick voxels are the mean of thin ones: what a 5 mm slice does to a small lesion.
    fine = np.maximum(1, np.ceil(spacing / 2.0)).astype(int)
    axes = [
        (np.arange(side.start * by, side.stop * by) + 0.5) / by * edge - 0.5 * edge
        for side, by, edge in zip(box, fine, spacing, strict=True)
    ]
    to_lesion = placement.rotation.T / (placement.scale * lesion.voxel_mm)
    steps = [float(edge / by) for edge, by in zip(spacing, fine, strict=True)]
    first = np.array([axis[0] for axis in axes])
    filled = ndimage.affine_transform(
        solid,
        to_lesion * steps,
        offset=centre + to_lesion @ (first - placement.centre_mm),
        output_shape=tuple(len(axis) for axis in axes),
        order=1,
        mode="constant",
    )
    shape = tuple(side.stop - side.start for side in box)
    filled = filled.reshape(shape[0], fine[0], shape[1], fine[1], shape[2], fine[2]).mean(axis=(1, 3, 5))
    barrier = _barrier_on(host, box, spacing)
    filled = ndimage.gaussian_filter(filled * (1.0 - barrier), _PSF_MM / spacing)
    pieces, count = ndimage.label(filled >= 0.5)
    if count > 1:
        largest = int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
        filled[ndimage.binary_dilation((pieces > 0) & (pieces != largest))] = 0.0
    return np.asarray(filled, dtype=np.float32)


def _barrier_on(host: Host, box: Box, spacing: NDArray[np.float64]) -> NDArray[np.float32]:
    """The host's barrier interpolated onto the voxels of `box`, 0...1 with an edge of about a voxel."""
    first = host.coarse_index(np.array([side.start for side in box]) * spacing)
    shape = tuple(side.stop - side.start for side in box)
    soft = ndimage.affine_transform(
        host.barrier, 1.0 / host.step, offset=first, output_shape=shape, order=1, mode="nearest"
    )
    return np.asarray(np.clip(2.0 * soft - 0.5, 0.0, 1.0), dtype=np.float32)


def _blend(
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    box: Box,
    share: NDArray[np.float32],
    kind: Kind,
    aim: TumourHU,
    spacing: NDArray[np.float64],
    host: Host,
    rng: np.random.Generator,
) -> None:
    """Write the lesion into `hu` and `labels` in place."""
    grey = hu[box].astype(np.float32)
    kidney = labels[box] == 1
    noise = host_noise(grey, spacing, rng)
    body = (
        cyst_hu(share.shape, aim.median) if kind == "cyst" else tumour_hu(share, aim, float(noise.std()), spacing, rng)
    )
    pushed, kidney_share = _push(grey, kidney, share, _barrier_on(host, box, spacing), spacing, rng)
    # The host's noise fades out as the lesion's fades in: their variances, not their values, add up to the whole.
    mixed = share * body + (1.0 - share) * pushed + np.sqrt(1.0 - (1.0 - share) ** 2) * noise
    changed = (share > 0.01) | (pushed != grey)
    hu[box][changed] = np.clip(np.rint(mixed[changed]), *_CT_RANGE).astype(np.int16)
    part = labels[box]
    # Only what was kidney or fat moves; a tumour already there stays.
    moved = changed & (part < 2)
    part[moved] = (kidney_share[moved] >= 0.5).astype(np.uint8)
    part[(share >= 0.5)] = 1 if kind == "cyst" else 2


def _push(
    grey: NDArray[np.float32],
    kidney: NDArray[np.bool_],
    share: NDArray[np.float32],
    barrier: NDArray[np.float32],
    spacing: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The host as the growing lesion pushed it outward: grey values and kidney share around it.

    What lay up to `push` mm inside the lesion's rim now lies just outside of it; the push fades to nothing
    within three times that distance, so that nothing folds, and before bone and other organs.
    """
    solid = share >= 0.5
    radius = (0.75 / np.pi * solid.sum() * spacing.prod()) ** (1 / 3)
    push = float(min(rng.uniform(0.05, 0.2) * radius, 5.0))
    reach = 3.0 * push + 1.0
    distance = ndimage.distance_transform_edt(~solid, sampling=spacing).astype(np.float32)
    smooth = ndimage.gaussian_filter(distance, 1.5 / spacing)
    gradient = np.stack(np.gradient(smooth, *spacing))
    gradient /= np.maximum(np.linalg.norm(gradient, axis=0), 1e-3)
    free = 1.0 - ndimage.gaussian_filter(np.maximum(barrier, 0.0), 3.0 / spacing)
    size = push * np.clip(1.0 - distance / reach, 0.0, 1.0) ** 2 * np.clip(2.0 * free - 1.0, 0.0, 1.0)
    where = np.nonzero((size > 0.05) & (share < 0.99))
    at = np.stack(where) - gradient[(slice(None), *where)] * size[where] / spacing[:, None]
    pushed, kidney_share = grey.copy(), kidney.astype(np.float32)
    # Cubic, since linear interpolation would smooth the noise in a tell-tale ring.
    pushed[where] = ndimage.map_coordinates(grey, at, order=3, mode="nearest")
    kidney_share[where] = ndimage.map_coordinates(kidney.astype(np.float32), at, order=1, mode="nearest")
    return pushed, kidney_share
