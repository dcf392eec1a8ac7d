# ruff: noqa: PLC0415 - imports inside functions: VTK in the working thread
"""The 3-D objects of a result, prepared in the working thread: shuffled point clouds and smooth surfaces.

Everything is in mm from the volume's corner along its voxel axes (see `Lattice`): x to the Right, y to the Anterior,
z to the Superior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.points.cloud import KIDNEY, TUMOUR, PointCloud

if TYPE_CHECKING:
    from kidneyseg.imaging.volume import Volume
    from kidneyseg.progress import Progress

# Finer cells add nothing that is seen, and VTK keeps the interpreter to itself while it walks them: on 1.5 mm a pair
# of kidneys takes some 30 ms.
_SURFACE_MM = 1.5
_PAD_MM = 6.0
_MOST_TUMOURS = 50
_LARGEST_CLOUD = 1_000_000


@dataclass(frozen=True, eq=False)
class Dots:
    """Points (N, 3) float32 in mm with a brightness (N,) of 0...1 after their HU.

    They are shuffled, so that the first of them are a fair sample.
    """

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
        surfaces: label to a pyvista.PolyData with normals.
        tumours: the voxel in the middle of each tumour, largest tumour first, as in the findings.
        focus: the voxel to look at first: in the middle of the largest tumour, else of the largest kidney; None where
            nothing was found.
        result: what all this was made from.
    """

    clouds: dict[str, dict[int, Dots]]
    surfaces: dict[int, Any]
    tumours: tuple[tuple[int, int, int], ...]
    focus: tuple[int, int, int] | None
    result: Any


def build_scene(result: Any, volume: Volume, progress: Progress) -> Scene:
    """Prepare a pipeline result for the 3-D pane."""
    clouds = {}
    for name, cloud in (("sampled", result.sampled), ("kidney", result.stage2), ("objects", result.objects)):
        progress.check()
        clouds[name] = _split(cloud)
    surfaces = {}
    for label, inside in ((KIDNEY, lambda mask: mask > 0), (TUMOUR, lambda mask: mask == TUMOUR)):
        progress.check()
        surface = _surface(inside(result.mask), volume.spacing_mm)
        if surface is not None:
            surfaces[label] = surface
    tumours = _middles(result.mask == TUMOUR)
    focus = next(iter(tumours or _middles(result.mask > 0)), None)
    return Scene(clouds, surfaces, tumours, focus, result)


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


def _surface(inside: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> Any:
    box = _box(inside)
    if box is None:
        return None
    from kidneyseg_gui.meshes import surface_data

    spacing = np.array(spacing_mm)
    # Padded before smoothing: a kidney at the edge of the scan is closed there, too.
    pad = np.ceil(_PAD_MM / spacing).astype(int)
    field = np.pad(inside[box], [(n, n) for n in pad]).astype(np.float32)
    for axis in np.argsort(spacing):  # finest first: each step then works on less
        field = _resample(field, int(axis), _SURFACE_MM / spacing[axis])
    # The blur spans a slice of the CT, or thick slices would show as steps.
    field = ndimage.gaussian_filter(field, np.maximum(1.0, 0.6 * spacing / _SURFACE_MM))
    origin = [(piece.start - n) * step + _SURFACE_MM / 2 for piece, n, step in zip(box, pad, spacing, strict=True)]
    surface = surface_data(field, 0.5, tuple(origin), (_SURFACE_MM,) * 3)
    return surface if surface.n_points else None


def _middles(inside: NDArray[np.bool_]) -> tuple[tuple[int, int, int], ...]:
    """The middle of each connected component, largest first."""
    box = _box(inside)
    if box is None:
        return ()
    parts, _count = ndimage.label(inside[box], structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    order = np.argsort(-sizes, kind="stable") + 1
    found = np.array(ndimage.center_of_mass(parts > 0, parts, order[:_MOST_TUMOURS])) + [piece.start for piece in box]
    return tuple((round(x), round(y), round(z)) for x, y, z in found)


def _box(inside: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """The smallest box around the true voxels. Slowest axis first, so that most of the volume is read only once."""
    pieces = [slice(None)] * 3
    for axis in (2, 1, 0):
        others = tuple(a for a in range(3) if a != axis)
        filled = np.flatnonzero(inside[tuple(pieces)].any(axis=others))
        if filled.size == 0:
            return None
        pieces[axis] = slice(int(filled[0]), int(filled[-1]) + 1)
    return pieces[0], pieces[1], pieces[2]


def _resample(field: NDArray[np.float32], axis: int, step: float) -> NDArray[np.float32]:
    """Linear interpolation along one axis onto cells that are `step` of the old ones wide, from the same corner."""
    count = field.shape[axis]
    at = np.clip((np.arange(int(np.ceil(count / step))) + 0.5) * step - 0.5, 0, count - 1)
    below = np.minimum(at.astype(np.intp), max(count - 2, 0))
    weight = (at - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    low, high = np.take(field, below, axis), np.take(field, np.minimum(below + 1, count - 1), axis)
    return low + (high - low) * weight
