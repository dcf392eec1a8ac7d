"""The 3-D objects of a result, prepared in the working thread: shuffled point clouds and smooth surfaces.

Everything is in mm from the volume's corner along its voxel axes (see `Lattice`): x to the Right, y to the Anterior,
z to the Superior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from kidneyseg.points.cloud import KIDNEY, TUMOUR, PointCloud
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from kidneyseg.imaging.volume import Volume
    from kidneyseg.progress import Progress

# Finer cells add nothing that is seen, and VTK keeps the interpreter to itself while it walks them: on 1.5 mm a pair
# of kidneys takes some 30 ms.
_SURFACE_MM = 1.5
_LARGEST_CLOUD = 1_000_000


@dataclass(frozen=True, eq=False)
class Scene:
    """What the 3-D pane can show.

    Attributes:
        clouds: "sampled", "kidney", "objects" to {label: float32 (N, 3) points in mm, shuffled}, so that the first
            n of them are a fair sample.
        surfaces: label to a pyvista.PolyData with normals.
        size_mm: edges of the volume's box.
    """

    clouds: dict[str, dict[int, NDArray[np.float32]]]
    surfaces: dict[int, Any]
    size_mm: tuple[float, float, float]


def build_scene(result: Any, volume: Volume, progress: Progress) -> Scene:
    """Prepare a pipeline result for the 3-D pane."""
    clouds = {}
    for name, cloud in (("sampled", result.sampled), ("kidney", result.refined), ("objects", result.objects)):
        progress.check()
        clouds[name] = _split(cloud)
    surfaces = {}
    for label, inside in ((KIDNEY, lambda mask: mask > 0), (TUMOUR, lambda mask: mask == TUMOUR)):
        progress.check()
        surface = _surface(inside(result.mask), volume.spacing_mm)
        if surface is not None:
            surfaces[label] = surface
    x, y, z = (n * step for n, step in zip(volume.shape, volume.spacing_mm, strict=True))
    return Scene(clouds, surfaces, (x, y, z))


def _split(cloud: PointCloud | None) -> dict[int, NDArray[np.float32]]:
    if cloud is None or len(cloud) == 0:
        return {}
    rows = np.random.default_rng(0).permutation(len(cloud))[:_LARGEST_CLOUD]
    points = cloud.lattice.centres_mm(cloud.index[rows])
    labels = np.zeros(len(rows), np.uint8) if cloud.labels is None else cloud.labels[rows]
    return {int(label): points[labels == label] for label in np.unique(labels)}


def _surface(inside: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> Any:
    boxes = ndimage.find_objects(inside.view(np.uint8))
    if not boxes:
        return None
    import pyvista as pv

    box = boxes[0]
    part = inside[box].astype(np.float32)
    spacing = np.array(spacing_mm)
    zoom = spacing / _SURFACE_MM
    field = (
        ndimage.zoom(part, np.minimum(zoom, 4.0), order=1, grid_mode=True, mode="nearest") if max(zoom) > 0 else part
    )
    step = spacing * part.shape / field.shape
    # Padded before smoothing: a kidney at the edge of the scan is closed there, too.
    field = ndimage.gaussian_filter(np.pad(field, 3), 0.9)
    origin = [piece.start * s - 3 * d + d / 2 for piece, s, d in zip(box, spacing, step, strict=True)]
    grid = pv.ImageData(dimensions=field.shape, spacing=tuple(step), origin=origin)
    grid.point_data["inside"] = field.ravel(order="F")
    surface = grid.contour([0.45], scalars="inside", method="flying_edges", compute_normals=True, compute_scalars=False)
    return surface if surface.n_points else None
