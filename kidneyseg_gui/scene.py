# ruff: noqa: PLC0415 - VTK takes seconds to import, so functions import it in a working thread
"""The 3-D objects of a result, prepared in a working thread: shuffled point clouds and smooth surfaces.

Everything is in mm from the volume's corner along its voxel axes (see `Lattice`): x to the Right, y to the Anterior,
z to the Superior.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.points.cloud import PointCloud
from kidneyseg_gui.slice_points import SlicePoints
from kidneyseg_gui.surfaces import Part, joined, parts_of

if TYPE_CHECKING:
    import pyvista

    from kidneyseg.imaging.volume import Volume
    from kidneyseg.progress import Progress
    from kidneyseg.segmentation.uncertainty import Uncertainty
    from kidneyseg_gui.protocols import Result
    from kidneyseg_gui.slices import Voxel

_LARGEST_CLOUD = 1_000_000


@dataclass(frozen=True, eq=False)
class Dots:
    """Points (N, 3) float32 in mm with a brightness (N,) of 0...1 by their HU, in random order."""

    points: NDArray[np.float32]
    brightness: NDArray[np.float32]

    def first(self, count: int) -> Dots:
        """The first `count` of them."""
        return Dots(self.points[:count], self.brightness[:count])

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, eq=False)
class Scene:
    """What the 3-D pane can show, and the slices of it.

    Attributes:
        clouds: "sampled" (all TISSUE, as no network has seen them), "detected", "classes", "objects" to {label: Dots};
            empty without a result.
        surfaces: label to a pyvista.PolyData with normals; the kidneys' encloses their tumours and cysts.
        focus: the voxel to show first: the centre of the largest tumour, else of the largest kidney; None if there is
            neither.
        result: what the clouds are of.
        uncertainty: of the networks; None where it is not known.
        kidneys_alone: the kidneys' surface without tumours and cysts; None where there are none, or nothing else.
        parts: of the mask, for the scene after the next edit.
        points: the clouds' names to their points on the slices.
    """

    clouds: dict[str, dict[int, Dots]]
    surfaces: dict[int, pyvista.PolyData]
    focus: Voxel | None
    result: Result | None
    uncertainty: Uncertainty | None = None
    kidneys_alone: pyvista.PolyData | None = None
    parts: tuple[Part, ...] = ()
    points: dict[str, SlicePoints] = field(default_factory=dict)

    def surfaces_of(self, labels: Collection[int]) -> dict[int, pyvista.PolyData]:
        """The surfaces to draw when only these labels are shown.

        Without its tumour a kidney is drawn as it is labelled, with a hollow where the tumour lies: the surface around
        both would show the tumour as kidney.
        """
        shown = {label: surface for label, surface in self.surfaces.items() if label in labels}
        if KIDNEY in shown and len(shown) < len(self.surfaces):
            del shown[KIDNEY]
            if self.kidneys_alone is not None:
                shown[KIDNEY] = self.kidneys_alone
        return shown


def build_scene(
    labels: NDArray[np.uint8], result: Result | None, previous: Scene | None, volume: Volume, progress: Progress
) -> Scene:
    """Prepare a mask and the clouds of a result for the 3-D pane.

    Args:
        labels: the mask, uint8 (X, Y, Z).
        result: of the networks; None for a mask from a file.
        previous: the scene before, of the same CT; its clouds are used again where they are of the same result, and
            the surfaces of the parts of the mask that have not changed.
        volume: the CT.
        progress: may cancel.
    """
    clouds: dict[str, dict[int, Dots]] = {}
    points: dict[str, SlicePoints] = {}
    unsure = None
    if previous is not None and previous.result is result:
        clouds, points, unsure = previous.clouds, previous.points, previous.uncertainty
    elif result is not None:
        from kidneyseg.segmentation.uncertainty import uncertainty_of

        unsure = uncertainty_of(result.stage2)
        for name, cloud in _clouds_of(result):
            progress.check()
            clouds[name], points[name] = _split(cloud), SlicePoints(cloud)
    parts = parts_of(labels, volume, () if previous is None else previous.parts, progress)
    progress.check()
    surfaces = {label: joined(part.surfaces.get(label) for part in parts) for label in (KIDNEY, TUMOUR, CYST)}
    drawn = {label: surface for label, surface in surfaces.items() if surface is not None}
    alone = joined(part.kidneys_alone for part in parts) if len(drawn) > 1 else None
    middles = [max((part.middles[which] for part in parts), default=(0, None), key=itemgetter(0)) for which in (0, 1)]
    return Scene(clouds, drawn, middles[0][1] or middles[1][1], result, unsure, alone, parts, points)


def _clouds_of(result: Result) -> Iterator[tuple[str, PointCloud]]:
    """The clouds of a result in the order of the method's steps."""
    yield "sampled", replace(result.sampled, labels=None, probability=None)
    yield "detected", result.sampled.select(result.sampled.labelled(KIDNEY))
    yield "classes", result.stage2
    yield "objects", result.objects


def _split(cloud: PointCloud) -> dict[int, Dots]:
    if len(cloud) == 0:
        return {}
    rows = np.random.default_rng(0).choice(len(cloud), min(len(cloud), _LARGEST_CLOUD), replace=False)
    points = cloud.lattice.centres_mm(cloud.index[rows])
    labels = np.zeros(len(rows), np.uint8) if cloud.labels is None else cloud.labels[rows]
    hu = cloud.hu[rows].astype(np.float32)
    split = {}
    for label in np.unique(labels):
        own = labels == label
        dark, bright = np.percentile(hu[own], (5, 95))
        brightness = (
            np.clip((hu[own] - dark) / (bright - dark), 0, 1) if bright > dark else np.ones(own.sum(), np.float32)
        )
        split[int(label)] = Dots(points[own], brightness)
    return split
