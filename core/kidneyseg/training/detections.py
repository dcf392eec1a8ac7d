"""What stage 1 finds in the training cases: stage 2 learns from its errors, not from errors that were made up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.datasets.cache import Arrays, cached
from kidneyseg.datasets.cases import CaseFiles, LabelledGrid, cut_grid, read_case, whole_grid, whole_grid_of
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.body import body_mask_on
from kidneyseg.points.features import hu_features
from kidneyseg.points.resample import lattice_for
from kidneyseg.points.sampling import LOWEST_HU, intensity_threshold
from kidneyseg.settings import SamplingSettings
from kidneyseg.sparse import SparseUNet
from kidneyseg.synthesis.contrast_phases import simulate_contrast_phase
from kidneyseg.synthesis.organs import OrganWeights
from kidneyseg.training.augmentation import random_field_of_view, scanner

# Room around what is cut out: for the margin, for turning, and for what stage 1 may take for kidney beside it.
_MARGIN_MM = 36.0
# Boxes cut around false finds, and others where an organ or bowel is; at most so large.
_FALSE_BOXES, _OTHER_BOXES, _BOX_MM = 3, 2, 96.0
_SMALLEST_FIND_ML = 1.5
# Less kidney than this at the rim of a box cut around something else makes it no box of a kidney.
_SLIVER_ML = 10.0


@dataclass(frozen=True, eq=False)
class Crop:
    """A box of a case on stage 2's lattice with stage 1's finds in the whole case.

    Attributes:
        scene: the box; its labels are all 0 where it was cut away from the kidneys.
        corner: (3,) its first cell on the fine lattice over the whole case.
        kidney: bool, the whole case on stage 1's lattice: the labels.
        finds: stage 1's finds under several changes of the case, as `kidney`; may be empty.
        find_mm: edge of their cells.
    """

    scene: LabelledGrid
    corner: NDArray[np.int64]
    kidney: NDArray[np.bool_]
    finds: Sequence[NDArray[np.bool_]]
    find_mm: float

    @cached_property
    def shows_kidney(self) -> bool:
        """Whether more than a sliver of kidney is in the box."""
        return int((self.scene.labels > 0).sum()) * self.scene.cell_mm**3 >= 1000.0 * _SLIVER_ML


def crops(
    case: CaseFiles,
    grid_mm: float,
    sampling: SamplingSettings,
    finder: SparseUNet | None,
    cache: Path,
    *,
    coarse_mm: float = 5.0,
    count: int = 8,
    seed: int = 0,
) -> list[Crop]:
    """The case's kidneys and what else stage 1 took for one; from the cache when they were made before.

    Args:
        case: a labelled CT.
        grid_mm: edge of stage 2's cells.
        sampling: stage 1's points.
        finder: stage 1's network in eval mode; None gives boxes without finds.
        cache: folder for prepared arrays.
        coarse_mm: edge of stage 1's cells.
        count: how many changes of the case are shown to stage 1; 0 shows it the case as it is, once.
        seed: of these changes.
    """

    def make() -> Arrays:
        whole = whole_grid(case, coarse_mm, cache)
        return _arrays(crops_of(*read_case(case), whole, grid_mm, sampling, finder, count=count, seed=seed))

    kind = f"closeups-{grid_mm:g} {coarse_mm:g} {sampling} {_digest(finder)} {count} {seed}"
    return list(_made(cached(cache, case.name, kind, case.files, make), grid_mm, coarse_mm, case.name))


def crops_of(
    volume: Volume,
    labels: NDArray[np.uint8],
    organs: NDArray[np.uint8] | None,
    whole: LabelledGrid | None,
    grid_mm: float,
    sampling: SamplingSettings,
    finder: SparseUNet | None,
    *,
    coarse_mm: float = 5.0,
    count: int = 8,
    seed: int = 0,
) -> list[Crop]:
    """`crops` of a CT in memory; `whole` is its `whole_grid_of` on stage 1's lattice, made if None."""
    if whole is None:
        whole = whole_grid_of(volume, labels, organs, coarse_mm)
    rng = np.random.default_rng([seed, 4])
    finds = [] if finder is None else list(stage1_finds(whole, finder, sampling, count, rng))
    kidney = whole.labels > 0
    result = []
    for low, high in _boxes(whole, kidney, finds, rng):
        first, end = np.floor(low * whole.cell_mm / grid_mm), np.ceil(high * whole.cell_mm / grid_mm)
        lattice = lattice_for(volume, grid_mm, box=(_cell(first), _cell(end)))
        corner = np.rint(np.array(lattice.origin_mm) / grid_mm).astype(np.int64)
        result.append(Crop(cut_grid(volume, labels, organs, lattice), corner, kidney, finds, whole.cell_mm))
    return result


def _cell(index: NDArray[np.floating]) -> tuple[int, int, int]:
    x, y, z = (int(i) for i in index)
    return x, y, z


def stage1_finds(
    scene: LabelledGrid, finder: SparseUNet, sampling: SamplingSettings, count: int, rng: np.random.Generator
) -> Iterator[NDArray[np.bool_]]:
    """What stage 1 calls kidney in a case under `count` changes of phase, field of view, noise and intensity.

    Yields bool arrays of the scene's shape; nothing is moved or turned, so that they all lie on the case. With a
    count of 0 there is one, of the case as it is.
    """
    weights = OrganWeights.build(scene.hu, scene.organs, scene.cell_mm) if count and scene.organs.any() else None
    for _ in range(max(count, 1)):
        hu, box, kept_percent = scene.hu, tuple(slice(0, n) for n in scene.hu.shape), sampling.kept_percent
        if count:
            if weights is not None and rng.random() < 0.7:
                hu = simulate_contrast_phase(hu, scene.organs, scene.cell_mm, rng, weights=weights)
            if rng.random() < 0.5:
                box = random_field_of_view(hu.shape, rng, smallest=0.7)
            hu = scanner(hu[box].astype(np.float32), scene.cell_mm, rng).round().astype(np.int16)
            kept_percent = float(np.clip(kept_percent + rng.uniform(-10, 10), 1, 100))
        body = body_mask_on(hu)
        kept = body & (hu >= max(intensity_threshold(hu, body, kept_percent), LOWEST_HU))
        whole = np.zeros(scene.hu.shape, bool)
        whole[box] = _found(kept, hu, finder, scene.cell_mm)
        yield whole


@torch.no_grad()
def _found(kept: NDArray[np.bool_], hu: NDArray[np.int16], finder: SparseUNet, cell_mm: float) -> NDArray[np.bool_]:
    found = np.zeros(kept.shape, bool)
    if not kept.any():
        return found
    features = hu_features(hu[kept], finder.config["in_channels"])
    device = next(finder.parameters()).device
    logits = finder(torch.from_numpy(np.argwhere(kept)).to(device), torch.from_numpy(features).to(device))
    found[kept] = logits.argmax(1).cpu().numpy() > 0
    parts, _ = ndimage.label(found, ndimage.generate_binary_structure(3, 3))
    sizes = np.bincount(parts.ravel()) * cell_mm**3 / 1000.0
    return np.asarray(found & (sizes >= _SMALLEST_FIND_ML)[parts])


_Corners = tuple[NDArray[np.int64], NDArray[np.int64]]


def _boxes(
    whole: LabelledGrid, kidney: NDArray[np.bool_], finds: Sequence[NDArray[np.bool_]], rng: np.random.Generator
) -> Iterator[_Corners]:
    """First and last cells (end excluded) on stage 1's lattice: each side's kidney, then false finds, then others."""
    margin = int(np.ceil(_MARGIN_MM / whole.cell_mm))
    covered = np.zeros(kidney.shape, bool)
    for first, end in _sides(kidney):
        low, high = np.maximum(first - margin, 0), np.minimum(end + margin, kidney.shape)
        covered[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
        yield low, high
    false = np.zeros(kidney.shape, np.int64)
    for find in finds:
        false += find & ~covered
    half = int(_BOX_MM / 2 / whole.cell_mm)
    organ = ((whole.organs > 0) | ((whole.hu > -20) & (whole.hu < 150))) & ~covered
    if whole.body is not None:
        organ &= whole.body
    for wanted in [false] * _FALSE_BOXES + [organ] * _OTHER_BOXES:
        places = np.argwhere(np.where(covered, 0, wanted))
        if len(places) == 0:
            continue
        centre = places[int(rng.integers(len(places)))]
        low, high = np.maximum(centre - half, 0), np.minimum(centre + half, kidney.shape)
        covered[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
        yield low, high


def _sides(kidney: NDArray[np.bool_]) -> Iterator[_Corners]:
    """The box of each side's labels: the two sides part at the widest gap between labelled columns."""
    columns = np.flatnonzero(kidney.any(axis=(1, 2)))
    if len(columns) == 0:
        return
    gaps = np.diff(columns)
    cut = int(np.argmax(gaps)) + 1 if len(gaps) and gaps.max() > 1 else len(columns)
    for side in (columns[:cut], columns[cut:]):
        if len(side):
            cells = np.argwhere(kidney[side[0] : side[-1] + 1])
            cells[:, 0] += side[0]
            yield cells.min(0), cells.max(0) + 1


def _digest(finder: SparseUNet | None) -> str:
    if finder is None:
        return "none"
    stamp = hashlib.sha256()
    for name, value in sorted(finder.state_dict().items()):
        stamp.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return stamp.hexdigest()[:12]


def _arrays(made: Sequence[Crop]) -> Arrays:
    arrays: Arrays = {}
    for i, one in enumerate(made):
        scene = one.scene
        arrays |= {f"hu{i}": scene.hu, f"labels{i}": scene.labels, f"organs{i}": scene.organs, f"corner{i}": one.corner}
    if made:
        arrays["kidney"] = made[0].kidney
        arrays["finds"] = np.array(made[0].finds, bool).reshape(-1, *made[0].kidney.shape)
    return arrays


def _made(arrays: Arrays, grid_mm: float, coarse_mm: float, case: str) -> Iterator[Crop]:
    for i in range(sum(name.startswith("corner") for name in arrays)):
        scene = LabelledGrid(arrays[f"hu{i}"], arrays[f"labels{i}"], arrays[f"organs{i}"], grid_mm, case=case)
        yield Crop(scene, arrays[f"corner{i}"], arrays["kidney"], list(arrays["finds"]), coarse_mm)
