"""Crops of the training cases around kidneys and around stage 1's false detections, for stage 2 to train on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from kidneyseg.arrays import HU, Floats, Indices, Labels, Mask, Rng, bounding_box, slices
from kidneyseg.datasets.cache import Arrays, cached
from kidneyseg.datasets.cases import CaseFiles, LabelledGrid, cut_grid, read_case, whole_grid, whole_grid_of
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.body import body_mask_on
from kidneyseg.points.features import hu_features
from kidneyseg.points.region import FOLLOWED_SHARE, surface_distance_mm
from kidneyseg.points.resample import lattice_for
from kidneyseg.points.sampling import kept_inside
from kidneyseg.segmentation.stage1 import remove_small_detections
from kidneyseg.sparse import SparseUNet
from kidneyseg.synthesis.subject import GridAnatomy, Subject
from kidneyseg.training.augmentation import augmented
from kidneyseg.training.intensity import Scan, simulate_scanner
from kidneyseg.training.spatial import sample_linear, sampling_grid
from kidneyseg.training.stage_recipes import DetectionRecipe

# The margin field saturates at this distance from the border of the margin.
FAR_MM = 10.0
# Less kidney than this, at the rim of a crop around something else, makes it no crop of a kidney.
_MIN_KIDNEY_ML = 10.0


@dataclass(frozen=True, eq=False)
class Crop:
    """A box of a case on stage 2's lattice, with stage 1's detections in the whole case."""

    grid: LabelledGrid  #: the box; its labels are all 0 where it was cut away from the kidneys
    corner: Indices  #: int64 (3,), its first cell on the fine lattice over the whole case
    kidney: Mask  #: bool (X, Y, Z), the labels of the whole case on stage 1's grid
    detections: Sequence[Mask]  #: as `kidney`, what stage 1 detects in augmented versions of the case; may be empty
    detection_mm: float  #: edge of their cells

    @cached_property
    def shows_kidney(self) -> bool:
        """Whether more than a sliver of kidney is in the box."""
        return int((self.grid.labels > 0).sum()) * self.grid.cell_mm**3 >= 1000.0 * _MIN_KIDNEY_ML


@dataclass(frozen=True, eq=False)
class Detector:
    """How stage 1 is run to collect its detections."""

    network: SparseUNet | None  #: stage 1's, in eval mode; None gives crops without detections
    grid_mm: float  #: edge of its cells
    kept_percent: float  #: the share of cells that inference keeps, in percent

    @cached_property
    def key(self) -> str:
        """Differs for other weights or parameters."""
        digest = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()) if self.network else ():
            digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
        return f"{digest.hexdigest()[:12]} {self.grid_mm:g} {self.kept_percent:g}"


def crops(
    case: CaseFiles, recipe: DetectionRecipe, detector: Detector, cache: Path, *, count: int | None = None
) -> list[Crop]:
    """The case's kidneys and what else stage 1 detects; from the cache where they were made before.

    Args:
        cache: folder for prepared arrays.
        count: augmented versions on which stage 1 is run, the recipe's if None; 0 runs it once, on the case itself.
    """
    count = recipe.detection_cts.count if count is None else count

    def make() -> Arrays:
        whole = whole_grid(case, detector.grid_mm, cache)
        return _to_arrays(crops_of(*read_case(case), recipe, detector, whole=whole, count=count))

    augmentation = f"{recipe.detection_cts} {recipe.intensity}"
    kind = f"crops-{recipe.grid_mm:g} {detector.key} {augmentation} {count} 1"
    arrays = cached(cache, case.name, kind, case.files, make)
    return list(_from_arrays(arrays, recipe.grid_mm, detector.grid_mm, case.name))


def crops_of(
    volume: Volume,
    labels: Labels,
    organs: Labels | None,
    recipe: DetectionRecipe,
    detector: Detector,
    *,
    count: int,
    whole: LabelledGrid | None = None,
) -> list[Crop]:
    """`crops` of a CT in memory; `whole` is its `whole_grid_of` on stage 1's grid, made if None."""
    if whole is None:
        whole = whole_grid_of(volume, labels, organs, detector.grid_mm)
    rng = np.random.default_rng([0, 4])
    detections = list(detect(whole, detector, recipe, count, rng))
    kidney = whole.labels > 0
    result = []
    for low, high in _boxes(whole, kidney, detections, rng):
        first = np.floor(low * whole.cell_mm / recipe.grid_mm)
        end = np.ceil(high * whole.cell_mm / recipe.grid_mm)
        lattice = lattice_for(volume, recipe.grid_mm, (first.astype(np.int64), end.astype(np.int64)))
        grid, corner = cut_grid(volume, labels, organs, lattice), lattice.first_cell.astype(np.int64)
        result.append(Crop(grid, corner, kidney, detections, whole.cell_mm))
    return result


def detect(grid: LabelledGrid, detector: Detector, recipe: DetectionRecipe, count: int, rng: Rng) -> Iterator[Mask]:
    """What stage 1 detects in `count` augmented versions of a case, or with a count of 0 in the case itself.

    Yields bool arrays of the grid's shape; nothing without a network. No augmentation moves anything, so that all of
    them lie on the case.
    """
    if detector.network is None:
        return
    anatomy = GridAnatomy(grid)
    for _ in range(max(count, 1)):
        hu, box, kept_percent = grid.hu, tuple(slice(0, n) for n in grid.hu.shape), detector.kept_percent
        if count:
            versions = recipe.detection_cts
            hu = augmented(Subject.of(anatomy), versions.anatomy, rng).hu
            box = versions.field_of_view.draw(hu.shape, rng)
            scan = simulate_scanner(Scan(hu[box].astype(np.float32), grid.cell_mm), recipe.intensity, rng)
            hu, jitter = scan.hu.round().astype(np.int16), versions.kept_percent_jitter
            kept_percent = float(np.clip(kept_percent + rng.uniform(-jitter, jitter), 1, 100))
        whole = np.zeros(grid.hu.shape, bool)
        whole[box] = _detect(hu, detector.network, kept_percent, grid.cell_mm)
        yield whole


@torch.no_grad()
def _detect(hu: HU, network: SparseUNet, kept_percent: float, cell_mm: float) -> Mask:
    kept = kept_inside(hu, body_mask_on(hu), kept_percent)
    if not kept.any():
        return kept
    features = hu_features(hu[kept], network.config["in_channels"])
    device = next(network.parameters()).device
    logits = network(torch.from_numpy(np.argwhere(kept)).to(device), torch.from_numpy(features).to(device))
    detected = np.zeros(kept.shape, bool)
    detected[kept] = logits.argmax(1).cpu().numpy() > 0
    return remove_small_detections(detected, cell_mm**3 / 1000.0)


_Corners = tuple[Indices, Indices]


def _boxes(whole: LabelledGrid, kidney: Mask, detections: Sequence[Mask], rng: Rng) -> Iterator[_Corners]:
    """First and last cells (end excluded) on stage 1's grid: each side's kidney, then up to three false detections,
    then up to two places in other organs or bowel.
    """
    # Around a kidney there is room for the regions' margin, for rotation, and for false detections beside it.
    margin, half = int(np.ceil(36.0 / whole.cell_mm)), int(48.0 / whole.cell_mm)
    covered = np.zeros(kidney.shape, bool)

    def cover(low: Indices, high: Indices) -> _Corners:
        low, high = np.maximum(low, 0), np.minimum(high, kidney.shape)
        covered[slices(low, high)] = True
        return low, high

    for first, end in _sides(kidney):
        yield cover(first - margin, end + margin)
    false = np.zeros(kidney.shape, np.int64)
    for detection in detections:
        false += detection & ~covered
    organ = ((whole.organs > 0) | ((whole.hu > -20) & (whole.hu < 150))) & ~covered
    if whole.body is not None:
        organ &= whole.body
    for wanted in [false] * 3 + [organ] * 2:
        places = np.argwhere(np.where(covered, 0, wanted))
        if len(places) == 0:
            continue
        centre = places[int(rng.integers(len(places)))]
        yield cover(centre - half, centre + half)


def _sides(kidney: Mask) -> Iterator[_Corners]:
    """The box of each side's labels: the two sides part at the widest gap between labelled columns."""
    columns = np.flatnonzero(kidney.any(axis=(1, 2)))
    if len(columns) == 0:
        return
    gaps = np.diff(columns)
    cut = int(np.argmax(gaps)) + 1 if len(gaps) and gaps.max() > 1 else len(columns)
    for side in (columns[:cut], columns[cut:]):
        if len(side) and (box := bounding_box(kidney[side[0] : side[-1] + 1])):
            offset = np.array([side[0], 0, 0])
            yield offset + [axis.start for axis in box], offset + [axis.stop for axis in box]


def _to_arrays(made: Sequence[Crop]) -> Arrays:
    arrays: Arrays = {}
    for i, crop in enumerate(made):
        grid = crop.grid
        arrays |= {f"hu{i}": grid.hu, f"labels{i}": grid.labels, f"organs{i}": grid.organs, f"corner{i}": crop.corner}
    if made:
        arrays["kidney"] = made[0].kidney
        arrays["detections"] = np.array(made[0].detections, bool).reshape(-1, *made[0].kidney.shape)
    return arrays


def _from_arrays(arrays: Arrays, grid_mm: float, detection_mm: float, case: str) -> Iterator[Crop]:
    for i in range(sum(name.startswith("corner") for name in arrays)):
        grid = LabelledGrid(arrays[f"hu{i}"], arrays[f"labels{i}"], arrays[f"organs{i}"], grid_mm, case=case)
        yield Crop(grid, arrays[f"corner{i}"], arrays["kidney"], list(arrays["detections"]), detection_mm)


def on_cells(mask: Mask, crop: Crop, low: Indices) -> Mask:
    """Which of the crop's cells have their centre in a coarse cell of `mask`, which begins at the cell `low`."""
    scale = crop.grid.cell_mm / crop.detection_mm
    picks = []
    for axis, size in enumerate(crop.grid.hu.shape):
        cells = np.floor((np.arange(size) + crop.corner[axis] + 0.5) * scale).astype(np.int64) - low[axis]
        picks.append(cells.clip(0, mask.shape[axis] - 1))
    return np.asarray(mask[np.ix_(*picks)])


def margin_field(detection: Mask, cell_mm: float, margin_mm: float) -> Floats:
    """How many mm each cell of a detection's grid lies within `margin_mm` of it, at most FAR_MM."""
    return np.asarray(np.clip(margin_mm - surface_distance_mm(detection, cell_mm), -FAR_MM, FAR_MM), np.float32)


def coarse_box(crop: Crop, margin_mm: float) -> tuple[Indices, tuple[slice, ...]]:
    """Stage 1's cells that the crop covers, with the margin around: the first one, and their box."""
    scale, more = crop.grid.cell_mm / crop.detection_mm, int(np.ceil(margin_mm / crop.detection_mm)) + 1
    low = np.floor(crop.corner * scale).astype(np.int64) - more
    high = np.ceil((crop.corner + crop.grid.hu.shape) * scale).astype(np.int64) + more
    low = np.maximum(low, 0)
    return low, slices(low, np.minimum(high, crop.kidney.shape))


def coarse_cells(mask: Mask, crop: Crop, low: Indices, shape: tuple[int, ...]) -> Mask:
    """Which of stage 1's cells from `low` on hold many cells of a mask on the crop."""
    result = np.zeros(shape, bool)
    if not mask.any():
        return result
    scale = crop.grid.cell_mm / crop.detection_mm
    cells = np.floor((np.argwhere(mask) + crop.corner + 0.5) * scale).astype(np.int64) - low
    cells = cells[((cells >= 0) & (cells < shape)).all(axis=1)]
    flat, counts = np.unique(np.ravel_multi_index(tuple(cells.T), shape), return_counts=True)
    result.reshape(-1)[flat[counts >= FOLLOWED_SHARE / scale**3]] = True
    return result


def within(region: Floats, crop: Crop, low: Indices) -> Mask:
    """Which of the crop's cells lie within a `margin_field` that begins at stage 1's cell `low`."""
    shape, scale = np.array(crop.grid.hu.shape), crop.grid.cell_mm / crop.detection_mm
    box = tuple(slice(0, int(n)) for n in shape)
    middle = (shape / 2 + crop.corner) * scale - low
    grid = sampling_grid(box, shape / 2, np.eye(3) * scale, middle, region.shape)
    return np.asarray(sample_linear(region + np.float32(FAR_MM), grid) >= FAR_MM)
