"""Stage 2 of the method `default`: separates tissue, kidney and tumour on fine cells around stage 1's detections."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from kidneyseg.imaging.volume import HU_WINDOW, Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import TUMOUR, Lattice, PointCloud
from kidneyseg.points.features import kidney_level, stage2_features
from kidneyseg.points.region import Region, cells_beyond_margin, grown, regions_around
from kidneyseg.points.resample import lattice_for, resample_hu
from kidneyseg.points.sampling import LOWEST_HU
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.method import unite
from kidneyseg.segmentation.networks import Note

# How many times a tumour is followed beyond the region that stage 2 has seen.
_MOST_GROWTH = 5
# Cells are left out that are darker than stage 1's darkest point by more than this.
_BELOW_STAGE1_HU = 100


def separate_tumour(
    detections: PointCloud,
    volume: Volume,
    margin_mm: float,
    model: Model,
    device: torch.device,
    progress: Progress,
    note: Note = lambda _: None,
) -> PointCloud:
    """Label the cells within a margin of the detections: TISSUE, KIDNEY or TUMOUR, with probabilities (N, 3).

    Probabilities are the mean over what the network sees and its mirror image, as in stage 1. Where a tumour reaches
    the border of its region, as large ones do of which stage 1 detects a part, the detections grow by it and their
    surroundings are labelled again.

    Args:
        detections: stage 1's labelled cloud, tissue points included.
        volume: the CT.
        margin_mm: distance from the surface of the detected cells up to which cells are labelled.
        model: stage 2's network, with a grid.
        device: where it runs.
        progress: 0...1 of the stage.
        note: takes a sentence for the user.
    """
    grid = model.grid_mm
    if grid is None:
        raise ValueError(f"{model.id} has no grid")
    whole, lowest_hu = lattice_for(volume, grid), _lowest_hu(detections)

    def label(region: Region, progress: Progress) -> PointCloud:
        points, detected = _points(region, volume, whole, lowest_hu, progress)
        features = stage2_features(points.hu, kidney_level(points.hu, detected), model.network.config["in_channels"])
        probability = networks.predict_mirrored(model, points.index, features, device, progress, note)
        return replace(points, labels=probability.argmax(1).astype(np.uint8), probability=probability)

    labelled: dict[Hashable, PointCloud] = {}
    for turn in range(1 + _MOST_GROWTH):
        regions = regions_around(detections, volume, grid, margin_mm)
        fresh = [region for region in regions if region.key not in labelled]
        reached = []
        for i, region in enumerate(fresh):
            labelled[region.key] = part = label(region, progress.part(*_share_of(turn, i, len(fresh))))
            tumour = part.select(np.asarray(part.labels) == TUMOUR)
            reached.append(cells_beyond_margin(detections, tumour.centres_mm, grid**3 / 1000.0, margin_mm))
        if not sum(map(len, reached)):
            break
        detections = grown(detections, np.concatenate(reached))
    empty = PointCloud(
        whole,
        np.zeros((0, 3), np.int32),
        np.zeros(0, np.int16),
        np.zeros(0, np.uint8),
        np.zeros((0, model.network.config["classes"]), np.float16),
    )
    return unite([empty, *(labelled[region.key] for region in regions)])


def region_points(detections: PointCloud, volume: Volume, whole: Lattice, margin_mm: float) -> PointCloud:
    """The points, unlabelled, that `separate_tumour` labels first; `whole` is the lattice of its fine cells."""
    lowest_hu = _lowest_hu(detections)
    regions = regions_around(detections, volume, whole.step_mm[0], margin_mm)
    empty = PointCloud(whole, np.zeros((0, 3), np.int32), np.zeros(0, np.int16))
    return unite([empty, *(_points(region, volume, whole, lowest_hu, Progress())[0] for region in regions)])


def _lowest_hu(detections: PointCloud) -> int:
    return max(int(detections.hu.min(initial=HU_WINDOW[1])) - _BELOW_STAGE1_HU, LOWEST_HU)


def _points(
    region: Region, volume: Volume, whole: Lattice, lowest_hu: int, progress: Progress
) -> tuple[PointCloud, NDArray[np.bool_]]:
    """The region's cells that are bright enough, and which of them lie in the detections."""
    hu = resample_hu(volume, region.lattice, progress=progress)
    kept = region.inside & (hu >= lowest_hu)
    origin = np.rint(np.asarray(region.lattice.origin_mm) / region.lattice.step_mm).astype(np.int32)
    return PointCloud(whole, np.argwhere(kept).astype(np.int32) + origin, hu[kept]), region.detected[kept]


def _share_of(turn: int, i: int, count: int) -> tuple[float, float]:
    """Part of stage 2's progress: 0.9 for the first turn, since there is mostly no other."""
    first, width = (0.0, 0.9) if turn == 0 else (0.9 + 0.1 * (turn - 1) / _MOST_GROWTH, 0.1 / _MOST_GROWTH)
    return first + width * i / count, first + width * (i + 1) / count
