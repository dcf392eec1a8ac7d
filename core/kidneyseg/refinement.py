"""Stage 2: a coarse survey of what lies around stage 1's find, then a close look that is shown its outcome."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg import cascade
from kidneyseg.cascade import Networks, Note
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import TUMOUR, PointCloud
from kidneyseg.points.features import kidney_level, stage2_features
from kidneyseg.points.resample import lattice_for, resample_hu
from kidneyseg.points.roi import SURVEY_MM, Region, beyond_margin, grown, near_find
from kidneyseg.points.sampling import LOWEST_HU
from kidneyseg.progress import Progress
from kidneyseg.settings import RefineSettings

# A tumour that reaches beyond what stage 2 was shown is followed so many times.
_MOST_GROWTH = 5

_Part = tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.float16]]


def separate_tumour(
    find: PointCloud,
    volume: Volume,
    settings: RefineSettings,
    lowest_hu: int,
    networks: Networks,
    device: torch.device,
    progress: Progress,
    note: Note = lambda _: None,
) -> PointCloud:
    """Stage 2 on a fine lattice near stage 1's find: TISSUE, KIDNEY, TUMOUR and their probabilities (N, 3).

    The survey sees all that lies around a find on coarse cells, and stage 2's network is shown what it made of that.
    Either's probabilities are the mean of what is shown and of its mirror image, as in stage 1.

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
    look = _Look(volume, lowest_hu, networks, device, note)
    seen: dict[Hashable, _Part] = {}
    for turn in range(1 + _MOST_GROWTH):
        regions = near_find(find, volume, grid, settings.margin_mm)
        rough = {}
        if networks.survey is not None:
            rough = {region.part: region for region in near_find(find, volume, SURVEY_MM, settings.margin_mm)}
        fresh = [region for region in regions if region.key not in seen]
        reached = []
        for i, region in enumerate(fresh):
            share = progress.part(*_share_of(turn, i, len(fresh)))
            part = look.at(region, rough.get(region.part), share)
            seen[region.key] = part
            tumour_mm = whole.centres_mm(part[0][part[2].argmax(1) == TUMOUR])
            reached.append(beyond_margin(find, tumour_mm, cell_ml, settings.margin_mm))
        parts = [seen[region.key] for region in regions]
        if not sum(map(len, reached)):
            break
        find = grown(find, np.concatenate(reached))
    if not parts:
        none = np.zeros((0, networks.stage2.network.config["classes"]), np.float16)
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
    networks: Networks
    device: torch.device
    note: Note

    def at(self, region: Region, rough: Region | None, progress: Progress) -> _Part:
        """Cells of the whole fine lattice, their HU and probabilities; `rough` is the region on the survey's cells."""
        lattice, survey = region.lattice, self.networks.survey
        cells, hu, found = self._shown(region, progress)
        surveyed = None
        if survey is not None:
            surveyed = self._surveyed(survey, rough, lattice.centres_mm(cells), progress.part(0.0, 0.2))
        probability = self._run(self.networks.stage2, cells, hu, found, surveyed, progress.part(0.2, 1.0))
        origin = np.rint(np.asarray(lattice.origin_mm) / lattice.step_mm).astype(np.int32)
        return cells + origin, hu, probability

    def _surveyed(
        self, survey: Model, rough: Region | None, places_mm: NDArray[np.float32], progress: Progress
    ) -> NDArray[np.float32]:
        """The survey's probabilities of kidney and tumour, (N, 2), interpolated at places (N, 3) in mm.

        Where none of its cells lies, it has found nothing.
        """
        if rough is None:
            return np.zeros((len(places_mm), 2), np.float32)
        cells, hu, found = self._shown(rough, progress)
        field = np.zeros((2, *rough.lattice.shape), np.float32)
        field[(slice(None), *cells.T)] = self._run(survey, cells, hu, found, None, progress)[:, 1:].T
        at = ((places_mm - np.asarray(rough.lattice.origin_mm, np.float32)) / SURVEY_MM - 0.5).T
        return np.stack([ndimage.map_coordinates(one, at, order=1, mode="grid-constant") for one in field], axis=1)

    def _shown(
        self, region: Region, progress: Progress
    ) -> tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.bool_]]:
        """The cells (N, 3) of the region's lattice that a network is shown, their HU, which lie in stage 1's find."""
        hu = resample_hu(self.volume, region.lattice, progress=progress)
        kept = region.inside & (hu >= max(self.lowest_hu, LOWEST_HU))
        return np.argwhere(kept).astype(np.int32), hu[kept], region.found[kept]

    def _run(
        self,
        model: Model,
        cells: NDArray[np.int32],
        hu: NDArray[np.int16],
        found: NDArray[np.bool_],
        surveyed: NDArray[np.float32] | None,
        progress: Progress,
    ) -> NDArray[np.float16]:
        channels = model.network.config["in_channels"]
        features = stage2_features(hu, kidney_level(hu, found), channels, surveyed)
        return cascade.with_mirror(model, cells, features, self.device, progress, self.note)
