"""Stage 2: a close look at what lies around stage 1's find."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import TUMOUR, Orientation, PointCloud
from kidneyseg.points.features import kidney_level, stage2_features
from kidneyseg.points.region import Region, cells_beyond_margin, grown, regions_around
from kidneyseg.points.resample import lattice_for, resample_hu
from kidneyseg.points.sampling import LOWEST_HU
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.networks import Note
from kidneyseg.segmentation.orientation import turned
from kidneyseg.settings import RefineSettings

# A tumour that reaches beyond what stage 2 was shown is followed so many times.
_MOST_GROWTH = 5

_Part = tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.float16]]


def separate_tumour(
    find: PointCloud,
    volume: Volume,
    settings: RefineSettings,
    lowest_hu: int,
    model: Model,
    device: torch.device,
    progress: Progress,
    note: Note = lambda _: None,
) -> PointCloud:
    """Stage 2 on a fine lattice near stage 1's find: TISSUE, KIDNEY, TUMOUR and their probabilities (N, 3).

    Probabilities are the mean of what is shown and of its mirror image, as in stage 1.

    Args:
        find: stage 1's labelled cloud.
        volume: the CT.
        settings: grid and margin; `grid_mm` must not be None.
        lowest_hu: cells darker than this (never below LOWEST_HU) are left out.

    Where a tumour reaches the border of what was looked at, as large ones do of which stage 1 finds a part, the find
    grows by it and its surroundings are looked at anew.
    """
    grid = settings.grid_mm
    if grid is None:
        raise ValueError("stage 2 on stage 1's own points is `label_band`")
    whole = lattice_for(volume, grid)
    cell_ml = grid**3 / 1000.0
    look = _Look(volume, lowest_hu, model, device, note, find.orientation)
    seen: dict[Hashable, _Part] = {}
    for turn in range(1 + _MOST_GROWTH):
        regions = regions_around(find, volume, grid, settings.margin_mm)
        fresh = [region for region in regions if region.key not in seen]
        reached = []
        for i, region in enumerate(fresh):
            share = progress.part(*_share_of(turn, i, len(fresh)))
            part = look.at(region, share)
            seen[region.key] = part
            tumour_mm = whole.centres_mm(part[0][part[2].argmax(1) == TUMOUR])
            reached.append(cells_beyond_margin(find, tumour_mm, cell_ml, settings.margin_mm))
        parts = [seen[region.key] for region in regions]
        if not sum(map(len, reached)):
            break
        find = grown(find, np.concatenate(reached))
    if not parts:
        none = np.zeros((0, model.network.config["classes"]), np.float16)
        return PointCloud(whole, np.zeros((0, 3), np.int32), np.zeros(0, np.int16), np.zeros(0, np.uint8), none)
    index, hu, probability = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort(index.T[::-1])
    index, hu, probability = index[order], hu[order], probability[order]
    return PointCloud(whole, index, hu, probability.argmax(1).astype(np.uint8), probability)


def _share_of(turn: int, i: int, count: int) -> tuple[float, float]:
    """Of stage 2's progress: 0.9 for the first turn, since mostly there is no other."""
    first, width = (0.0, 0.9) if turn == 0 else (0.9 + 0.1 * (turn - 1) / _MOST_GROWTH, 0.1 / _MOST_GROWTH)
    return first + width * i / count, first + width * (i + 1) / count


@dataclass(frozen=True, eq=False)
class _Look:
    """How a region is looked at."""

    volume: Volume
    lowest_hu: int
    model: Model
    device: torch.device
    note: Note
    orientation: Orientation

    def at(self, region: Region, progress: Progress) -> _Part:
        """The cells of the whole fine lattice that the network is shown, their HU and probabilities."""
        hu = resample_hu(self.volume, region.lattice, progress=progress)
        kept = region.inside & (hu >= max(self.lowest_hu, LOWEST_HU))
        cells, shown = np.argwhere(kept).astype(np.int32), hu[kept]
        level = kidney_level(shown, region.found[kept])
        features = stage2_features(shown, level, self.model.network.config["in_channels"])
        shown_cells = turned(cells, self.orientation)
        probability = networks.predict_mirrored(self.model, shown_cells, features, self.device, progress, self.note)
        origin = np.rint(np.asarray(region.lattice.origin_mm) / region.lattice.step_mm).astype(np.int32)
        return cells + origin, shown, probability
