"""Stage 2 of the method `default`: separates tissue, kidney and lesions on fine cells around stage 1's detections."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from kidneyseg.arrays import Mask
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.features import kidney_level, stage2_features
from kidneyseg.points.region import Region, cells_beyond_margin, grown, regions_around, with_layers_beyond
from kidneyseg.points.resample import lattice_for, resample_hu
from kidneyseg.points.sampling import LOWEST_HU
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.method import Context, unite
from kidneyseg.segmentation.orientation import turned

# How many times the regions may grow to follow a kidney or a lesion.
_MOST_GROWTH = 5
# A region follows kidney of at least this probability. What looks less like it at the border may be spleen or liver.
_SURE_KIDNEY = 0.8

# Stage 2's points may be this much darker than the darkest of stage 1's, as smaller cells have more noise.
_BELOW_STAGE1_HU = 100


def separate_tumour(detections: PointCloud, margin_mm: float, context: Context) -> PointCloud:
    """Label the cells within a margin of the detections: TISSUE, KIDNEY, TUMOUR or CYST, with probabilities.

    Networks of three classes know no cysts.

    Probabilities are the mean over the points and their left-right mirror image. Where the scan ends, its last layer is
    repeated beyond its end. Where a lesion or a kidney reaches the border of its region, as one does of which stage 1
    detects only a part, it is added to the detections and the region that has grown is labelled again.

    Args:
        detections: stage 1's labelled cloud.
        margin_mm: largest distance of a labelled cell from the surface of the detected cells.
        context: with a network of stage 2 that has a grid.

    Raises:
        ResourceError: when memory does not suffice.
    """
    volume, model = context.volume, context.networks.stage2
    grid = model.grid_mm
    if grid is None:
        raise ValueError(f"{model.id} has no grid")
    whole, lowest_hu = lattice_for(volume, grid), _lowest_hu(detections)

    def label(points: PointCloud, detected: Mask, progress: Progress) -> PointCloud:
        features = stage2_features(points.hu, kidney_level(points.hu, detected), model.network.config["in_channels"])
        index, rows = with_layers_beyond(points.index, whole, volume.slice_axis)
        cells = turned(index, detections.orientation)
        probability = networks.predict_mirrored(model, cells, features[rows], context.device, progress, context.note)
        probability = probability[: len(points)]
        return replace(points, labels=probability.argmax(1).astype(np.uint8), probability=probability)

    labelled: dict[Hashable, PointCloud] = {}
    grown_detections = detections
    for growth in range(1 + _MOST_GROWTH):
        regions = regions_around(grown_detections, volume, grid, margin_mm)
        changed = [region for region in regions if region.key not in labelled]
        added = []
        for i, region in enumerate(changed):
            part = context.progress.part(*_share_of(growth, i, len(changed)))
            labelled[region.key] = cloud = label(*_points(region, volume, whole, lowest_hu, part), part)
            followed_mm = cloud.select(_followed(cloud)).centres_mm
            added.append(cells_beyond_margin(grown_detections, followed_mm, whole.cell_ml, margin_mm))
        if not sum(map(len, added)):
            break
        grown_detections = grown(grown_detections, np.concatenate(added))
    none = label(PointCloud.of_cells(whole), np.zeros(0, np.bool_), Progress())
    return unite([none, *(labelled[region.key] for region in regions)])


def region_points(detections: PointCloud, volume: Volume, whole: Lattice, margin_mm: float) -> PointCloud:
    """The points, unlabelled, that `separate_tumour` labels first; `whole` is the lattice of its fine cells."""
    regions, lowest_hu = regions_around(detections, volume, whole.step_mm[0], margin_mm), _lowest_hu(detections)
    points = [_points(region, volume, whole, lowest_hu, Progress())[0] for region in regions]
    return unite([PointCloud.of_cells(whole), *points])


def _followed(cloud: PointCloud) -> Mask:
    """Which points a region grows with where they reach its border: bool (N,)."""
    lesions = cloud.labelled(TUMOUR) | cloud.labelled(CYST)
    return lesions if cloud.probability is None else lesions | (cloud.probability[:, KIDNEY] >= _SURE_KIDNEY)


def _lowest_hu(stage1: PointCloud) -> int:
    """Lower bound for the HU of stage 2's points, given all of stage 1's."""
    return max(LOWEST_HU, int(stage1.hu.min()) - _BELOW_STAGE1_HU) if len(stage1) else LOWEST_HU


def _points(
    region: Region, volume: Volume, whole: Lattice, lowest_hu: int, progress: Progress
) -> tuple[PointCloud, Mask]:
    """The region's cells of at least `lowest_hu`, and which of them lie in the detections."""
    hu = resample_hu(volume, region.lattice, progress=progress)
    kept = region.inside & (hu >= lowest_hu)
    index = np.argwhere(kept).astype(np.int32) + region.lattice.first_cell
    return PointCloud(whole, index, hu[kept]), region.detected[kept]


def _share_of(growth: int, i: int, count: int) -> tuple[float, float]:
    """Part of stage 2's progress: 0.9 before any growth, since most regions do not grow."""
    first, width = (0.0, 0.9) if growth == 0 else (0.9 + 0.1 * (growth - 1) / _MOST_GROWTH, 0.1 / _MOST_GROWTH)
    return first + width * i / count, first + width * (i + 1) / count
