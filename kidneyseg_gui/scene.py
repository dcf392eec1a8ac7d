# ruff: noqa: PLC0415 - VTK takes seconds to import, so functions import it in the working thread
"""The 3-D objects of a result, prepared in the working thread: shuffled point clouds and smooth surfaces.

Everything is in mm from the volume's corner along its voxel axes (see `Lattice`): x to the Right, y to the Anterior,
z to the Superior.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import bounding_box
from kidneyseg.points.cloud import KIDNEY, TUMOUR, PointCloud
from kidneyseg_gui.middles import kidney_middles, tumour_middles

if TYPE_CHECKING:
    import pyvista

    from kidneyseg.imaging.volume import Volume
    from kidneyseg.progress import Progress
    from kidneyseg_gui.protocols import Result
    from kidneyseg_gui.slices import Voxel

# Finer cells add no visible detail, and VTK holds the interpreter's lock while it contours them: 30 ms for two
# kidneys at 1.5 mm.
_SURFACE_MM = 1.5
_PAD_MM = 6.0
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
    """What the 3-D pane can show.

    Attributes:
        clouds: "sampled", "kidney", "objects" to {label: Dots}.
        surfaces: label to a pyvista.PolyData with normals; the kidneys' encloses their tumours.
        kidneys: the voxel at each kidney's centre, in the order of the findings; None where it is not clear.
        tumours: the voxel at each tumour's centre, largest tumour first, as in the findings.
        focus: the voxel to show first: the centre of the largest tumour, else of the largest kidney; None if there is
            neither.
        result: what the scene was made from.
        kidneys_alone: the kidneys' surface without their tumours; None where there is no tumour, or nothing else.
    """

    clouds: dict[str, dict[int, Dots]]
    surfaces: dict[int, pyvista.PolyData]
    kidneys: tuple[Voxel | None, ...]
    tumours: tuple[Voxel, ...]
    focus: Voxel | None
    result: Result
    kidneys_alone: pyvista.PolyData | None = None

    def surfaces_of(self, labels: Collection[int]) -> dict[int, pyvista.PolyData]:
        """The surfaces to draw when only these labels are shown.

        Without its tumour a kidney is drawn as it is labelled, with a hollow where the tumour lies: the surface around
        both would show the tumour as kidney.
        """
        shown = {label: surface for label, surface in self.surfaces.items() if label in labels}
        if KIDNEY in shown and TUMOUR in self.surfaces and TUMOUR not in labels:
            del shown[KIDNEY]
            if self.kidneys_alone is not None:
                shown[KIDNEY] = self.kidneys_alone
        return shown


def build_scene(result: Result, volume: Volume, progress: Progress) -> Scene:
    """Prepare a pipeline result for the 3-D pane."""
    clouds = {}
    for name, cloud in (("sampled", result.sampled), ("kidney", result.stage2), ("objects", result.objects)):
        progress.check()
        clouds[name] = _split(cloud)
    surfaces = {}
    for label in (KIDNEY, TUMOUR):
        progress.check()
        surface = _surface(result.mask >= label, volume.spacing_mm)
        if surface is not None:
            surfaces[label] = surface
    progress.check()
    alone = _surface(result.mask == KIDNEY, volume.spacing_mm) if TUMOUR in surfaces else None
    tumours = tumour_middles(result.mask)
    progress.check()
    kidneys, largest = kidney_middles(result.mask, result.findings, volume.spacing_mm)
    return Scene(clouds, surfaces, kidneys, tumours, tumours[0] if tumours else largest, result, alone)


def _split(cloud: PointCloud | None) -> dict[int, Dots]:
    if cloud is None or len(cloud) == 0:
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


def _surface(inside: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> pyvista.PolyData | None:
    box = bounding_box(inside)
    if box is None:
        return None
    import pyvista

    spacing = np.array(spacing_mm)
    # Padded before smoothing, so that the surface is closed at the edge of the scan, too.
    pad = np.ceil(_PAD_MM / spacing).astype(int)
    field = np.pad(inside[box], [(n, n) for n in pad]).astype(np.float32)
    step = _SURFACE_MM / spacing
    cells = np.ceil(field.shape / step).astype(int)
    field = ndimage.affine_transform(field, step, step / 2 - 0.5, tuple(cells), order=1, mode="nearest")
    # The blur spans a slice of the CT; otherwise thick slices would show as steps.
    field = ndimage.gaussian_filter(field, np.maximum(1.0, 0.6 * spacing / _SURFACE_MM))
    origin = (np.array([piece.start for piece in box]) - pad) * spacing + _SURFACE_MM / 2
    grid = pyvista.ImageData(dimensions=field.shape, origin=origin, spacing=(_SURFACE_MM,) * 3)
    grid.point_data["field"] = field.ravel(order="F")
    surface: pyvista.PolyData = grid.contour(
        [0.5], scalars="field", method="flying_edges", compute_normals=True, compute_scalars=False
    )
    return surface if surface.n_points else None
