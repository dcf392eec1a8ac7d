# ruff: noqa: PLC0415 - VTK takes seconds to import, so functions import it in a working thread
"""The 3-D objects of a result, prepared in a working thread: shuffled point clouds and smooth surfaces.

Everything is in mm from the volume's corner along its voxel axes (see `Lattice`): x to the Right, y to the Anterior,
z to the Superior.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import bounding_box
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.points.cloud import PointCloud

if TYPE_CHECKING:
    import pyvista

    from kidneyseg.imaging.volume import Volume
    from kidneyseg.progress import Progress
    from kidneyseg.segmentation.uncertainty import Uncertainty
    from kidneyseg_gui.protocols import Result
    from kidneyseg_gui.slices import Voxel

# Finer cells add no visible detail, and VTK holds the interpreter's lock while it contours them: 30 ms for two
# kidneys at 1.5 mm.
_SURFACE_MM = 1.5
_PAD_MM = 6.0
# A plate of one thick slice reaches 0.6 in the smoothed field, and would be drawn as a thin sliver.
_SOLID = 0.65
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
        clouds: "sampled", "kidney", "objects" to {label: Dots}; empty without a result.
        surfaces: label to a pyvista.PolyData with normals; the kidneys' encloses their tumours and cysts.
        focus: the voxel to show first: the centre of the largest tumour, else of the largest kidney; None if there is
            neither.
        result: what the clouds are of.
        uncertainty: of the networks; None where it is not known.
        kidneys_alone: the kidneys' surface without tumours and cysts; None where there are none, or nothing else.
    """

    clouds: dict[str, dict[int, Dots]]
    surfaces: dict[int, pyvista.PolyData]
    focus: Voxel | None
    result: Result | None
    uncertainty: Uncertainty | None = None
    kidneys_alone: pyvista.PolyData | None = None

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
        previous: the scene before; its clouds are used again where they are of the same result.
        volume: the CT.
        progress: may cancel.
    """
    clouds: dict[str, dict[int, Dots]] = {}
    unsure = None
    if previous is not None and previous.result is result:
        clouds, unsure = previous.clouds, previous.uncertainty
    elif result is not None:
        from kidneyseg.segmentation.uncertainty import uncertainty_of

        unsure = uncertainty_of(result.stage2)
        for name, cloud in (("sampled", result.sampled), ("kidney", result.stage2), ("objects", result.objects)):
            progress.check()
            clouds[name] = _split(cloud)
    box = bounding_box(labels)
    if box is None:
        return Scene(clouds, {}, None, result, unsure)
    part, low = labels[box], [side.start for side in box]
    surfaces = {}
    # The kidney's surface encloses its tumours and cysts.
    for label, inside in ((KIDNEY, part > 0), (TUMOUR, part == TUMOUR), (CYST, part == CYST)):
        progress.check()
        surface = _surface(inside, low, volume.spacing_mm)
        if surface is not None:
            surfaces[label] = surface
    progress.check()
    alone = _surface(part == KIDNEY, low, volume.spacing_mm) if len(surfaces) > 1 else None
    focus = _middle(part == TUMOUR, low) or _middle(part > 0, low)
    return Scene(clouds, surfaces, focus, result, unsure, alone)


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


def _surface(
    inside: NDArray[np.bool_], low: list[int], spacing_mm: tuple[float, float, float]
) -> pyvista.PolyData | None:
    """The smooth surface of the true voxels; `low` is the voxel of the array's corner."""
    box = bounding_box(inside)
    if box is None:
        return None
    import pyvista

    spacing = np.array(spacing_mm)
    # Padded before smoothing, so that the surface is closed at the edge of the scan, too.
    pad = np.ceil(_PAD_MM / spacing).astype(int)
    padded = np.pad(inside[box], [(n, n) for n in pad])
    step = _SURFACE_MM / spacing
    cells = np.ceil(padded.shape / step).astype(int)
    field = ndimage.affine_transform(
        padded.astype(np.float32), step, step / 2 - 0.5, tuple(cells), order=1, mode="nearest"
    )
    # The blur spans a slice of the CT; otherwise thick slices would show as steps.
    field = ndimage.gaussian_filter(field, np.maximum(1.0, 0.6 * spacing / _SURFACE_MM))
    thin = _thin_parts(padded, field, step)
    if thin is not None:
        field = np.maximum(field, thin)
    origin = (np.array([side.start for side in box]) + low - pad) * spacing + _SURFACE_MM / 2
    grid = pyvista.ImageData(dimensions=field.shape, origin=origin, spacing=(_SURFACE_MM,) * 3)
    grid.point_data["field"] = field.ravel(order="F")
    surface: pyvista.PolyData = grid.contour(
        [0.5], scalars="field", method="flying_edges", compute_normals=True, compute_scalars=False
    )
    return surface if surface.n_points else None


def _thin_parts(
    inside: NDArray[np.bool_], smooth: NDArray[np.float32], step: NDArray[np.float64]
) -> NDArray[np.float32] | None:
    """What smoothing removes, as a stroke on one slice, drawn thick enough to be seen; None for nothing.

    Args:
        inside: the true voxels.
        smooth: the smoothed field, in cells of `step` voxels; its surface is at 0.5.
        step: voxels of a cell along each axis.

    Returns:
        another field, to be joined with the smoothed one.
    """
    held = np.zeros(smooth.shape, np.bool_)
    cells = [((index + 0.5) / size).astype(int) for index, size in zip(np.nonzero(inside), step, strict=True)]
    held[tuple(cells)] = True
    # Any surface recedes at its edges and poles, by up to two cells or a slice.
    reach = [2 * max(2, math.ceil(1 / size)) + 1 for size in step]
    lost = held & ~ndimage.maximum_filter(smooth >= _SOLID, reach)
    if not lost.any():
        return None
    thick: NDArray[np.float32] = ndimage.gaussian_filter(ndimage.maximum_filter(lost, 3).astype(np.float32), 1.0)
    return thick


def _middle(inside: NDArray[np.bool_], low: list[int]) -> Voxel | None:
    """The centre of the largest connected component; `low` is the voxel of the array's corner."""
    box = bounding_box(inside)
    if box is None:
        return None
    parts, _count = ndimage.label(inside[box], structure=np.ones((3, 3, 3)))
    largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    x, y, z = np.array(ndimage.center_of_mass(parts == largest)) + [side.start for side in box] + low
    return round(x), round(y), round(z)
