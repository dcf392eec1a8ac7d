"""A CT in memory: HU, voxel spacing, and enough of the file's geometry to write a mask back onto it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# The range of kidneys, tumours and cysts, to which the networks' inputs are clipped.
HU_WINDOW = (-125, 275)
# The note on a volume that is not `calibrated`.
UNCALIBRATED = "The image does not seem to be in HU; expect a poor segmentation."


def offset_note(hu_offset: int) -> str:
    """The note on a volume whose file's values were recognised as HU with an offset; see `Volume.hu_offset`."""
    added = f"{'+' if hu_offset < 0 else '-'} {abs(hu_offset)}"
    return f"By air and soft tissue the file's values are HU {added}; this was corrected."


ContrastPhase = Literal["noncontrast", "arterial", "portal", "nephrographic", "excretory"]
"""When a CT is taken after the contrast agent is injected, in order of time."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT in closest-canonical order: x grows to the Right, y to the Anterior, z to the Superior of the patient."""

    #: int16 (X, Y, Z), x fastest in memory, so that `hu.T` is C-contiguous (Z, Y, X) and an axial slice `hu[:, :, k]`
    #: is one contiguous block
    hu: NDArray[np.int16] = field(repr=False)
    spacing_mm: tuple[float, float, float]  #: voxel edge lengths along x, y, z
    affine: NDArray[np.float64]  #: (4, 4) float64, from canonical voxel index to RAS mm
    slice_axis: int = 2  #: canonical axis (0, 1, 2) that the scanner's slices were stacked along
    calibrated: bool = True  #: False when the values do not look like HU (e.g. 0...255)
    hu_offset: int = 0  #: what was added to the file's values to give HU; 0 for nearly every file
    oriented: bool = True  #: False when the file states no orientation: left and right are then unknown
    notes: tuple[str, ...] = ()  #: sentences for the user on what is unusual in the file, and how it was interpreted
    name: str = "CT"  #: of the case, without its folder
    path: Path | None = None  #: the file it came from, None for a volume created in memory
    window: tuple[float, float] | None = None  #: width and level in HU to show it with, where its DICOM states them
    series: str | None = None  #: of a CT from DICOM, which series of the study it is; see `Series.id`
    #: what `imaging.nifti` needs to write a mask back in the file's own order and header; for DICOM a `DicomGeometry`
    geometry: Any = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        x, y, z = self.hu.shape
        return x, y, z

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        x, y, z = self.spacing_mm
        return x * y * z / 1000.0

    @cached_property
    def hu_sha256(self) -> str:
        """SHA-256 of the HU in hexadecimal digits, to recognise the CT by; takes .3 s for 512 x 512 x 600 voxels."""
        return hashlib.sha256(np.ascontiguousarray(self.hu.T).data).hexdigest()
