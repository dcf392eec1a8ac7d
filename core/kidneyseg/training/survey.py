"""What the survey makes of a training case: stage 2 learns to go on from that, as at inference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from kidneyseg.imaging.volume import HU_WINDOW
from kidneyseg.points.features import kidney_level, stage2_features
from kidneyseg.points.roi import SURVEY_MM
from kidneyseg.points.sampling import LOWEST_HU
from kidneyseg.sparse import SparseUNet
from kidneyseg.training.augment import sample_linear, sampling_grid, scanner
from kidneyseg.training.dataset import Scene
from kidneyseg.training.finds import CloseUp
from kidneyseg.training.regions import on_cells, within

_AIR_HU = np.float32(HU_WINDOW[0])


@dataclass(frozen=True, eq=False)
class Surveyed:
    """The survey's outcome in a close-up.

    Attributes:
        fields: float32 (2, X, Y, Z), probabilities of kidney and tumour, 0 where nothing was shown.
        corner: (3,) its first cell on the survey's lattice over the whole case.
    """

    fields: NDArray[np.float32]
    corner: NDArray[np.int64]

    def at(
        self,
        box: tuple[slice, ...],
        centre: NDArray[np.floating],
        matrix: NDArray[np.floating],
        source_centre: NDArray[np.floating],
        source_mm: float,
    ) -> NDArray[np.float32]:
        """The fields (2, X, Y, Z) at the cells of `box`.

        Arguments are those of `sampling_grid`, with cells of `source_mm` over the whole case as source.
        """
        scale = source_mm / SURVEY_MM
        shape = self.fields.shape[1:]
        grid = sampling_grid(box, centre, matrix * scale, source_centre * scale - self.corner, shape)
        return np.stack([sample_linear(field, grid) for field in self.fields])


@torch.no_grad()
def look_over(
    network: SparseUNet,
    one: CloseUp,
    hu: NDArray[np.int16],
    found: NDArray[np.bool_],
    region: NDArray[np.float32],
    low: NDArray[np.int64],
    rng: np.random.Generator | None = None,
) -> Surveyed:
    """The survey of a close-up near a find.

    Args:
        network: in eval mode, on the CPU.
        one: the close-up. hu: int16, as its scene's, which may be changed.
        found: bool (X, Y, Z), stage 1's find on its cells from `low` on. region: its `margin_field`.
        low: (3,) the first of these cells.
        rng: shows the network another scanner's image of it; None shows it as it is.
    """
    rough = _coarser(one, hu)
    grey, lowest = rough.scene.hu, float(LOWEST_HU)
    if rng is not None:
        grey = scanner(grey.astype(np.float32), SURVEY_MM, rng).round().astype(np.int16)
        lowest += rng.uniform(0, 40)
    kept = within(region, rough, low) & (grey >= lowest)
    fields = np.zeros((2, *grey.shape), np.float32)
    if kept.any() and found.any():
        level = kidney_level(grey[kept], on_cells(found, rough, low)[kept])
        features = stage2_features(grey[kept], level, network.config["in_channels"])
        cells = torch.from_numpy(np.argwhere(kept))
        fields[:, kept] = network(cells, torch.from_numpy(features)).softmax(1)[:, 1:].T.numpy()
    return Surveyed(fields, rough.corner)


def _coarser(one: CloseUp, hu: NDArray[np.int16]) -> CloseUp:
    """The close-up with other HU on the survey's cells; without labels."""
    scale = SURVEY_MM / one.scene.cell_mm
    corner = np.floor(one.corner / scale).astype(np.int64)
    shape = np.ceil((one.corner + hu.shape) / scale).astype(np.int64) - corner
    box = tuple(slice(0, int(n)) for n in shape)
    # Between cells of half the size, linear interpolation is their mean.
    grid = sampling_grid(box, shape / 2, np.eye(3) * scale, (shape / 2 + corner) * scale - one.corner, hu.shape)
    grey = (sample_linear(hu.astype(np.float32) - _AIR_HU, grid) + _AIR_HU).round().astype(np.int16)
    none = np.zeros(grey.shape, np.uint8)
    return replace(one, scene=Scene(grey, none, none, SURVEY_MM, case=one.scene.case), corner=corner)
