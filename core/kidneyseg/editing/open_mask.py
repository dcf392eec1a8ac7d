"""Opens a mask over its CT: checked to lie on it, in the CT's voxel order, with what its sidecar says."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.geometry import Geometry, require_same_place
from kidneyseg.imaging.labels import require_known
from kidneyseg.imaging.light_nibabel import nib
from kidneyseg.imaging.nifti import load_mask
from kidneyseg.imaging.volume import Volume
from kidneyseg.plurals import counted
from kidneyseg.segmentation.export import FileStamp, Sidecar, read_sidecar, stamp
from kidneyseg.segmentation.marks import decoded
from kidneyseg.segmentation.provenance import Provenance
from kidneyseg.settings import Settings


@dataclass(frozen=True, eq=False)
class OpenedMask:
    """A mask from a file."""

    labels: NDArray[np.uint8]  #: uint8 (X, Y, Z) on the volume's voxels: 0, 1 kidney, 2 tumour, 3 cyst
    provenance: Provenance | None  #: how the networks made it; None where no sidecar says so
    stamp: FileStamp  #: of the file, to notice later that another program has changed it
    notes: tuple[str, ...]  #: sentences for the user
    #: uint8 (X, Y, Z), which voxels were made by hand in earlier sessions, see `EditedMask.marks`; None where none
    #: were, or it is not known which
    marks: NDArray[np.uint8] | None = None

    @property
    def settings(self) -> Settings | None:
        """Those that the mask was made with, None where unknown."""
        return None if self.provenance is None else self.provenance.settings


def open_mask(path: str | os.PathLike[str], volume: Volume) -> OpenedMask:
    """Open a mask over its CT. It may be stored in another axis order, as long as its voxels are the CT's.

    Raises:
        InputError: the file is missing, damaged or no label map; it has other voxels than the CT or lies elsewhere; or
            it holds labels other than 0 ... 3.
    """
    file = Path(path)
    before = stamp(file)
    labels, geometry = load_mask(file)
    labels, geometry = _in_order_of(volume, labels, geometry)
    require_same_place(file.name, geometry, volume)
    require_known(labels, file.name)
    provenance, notes, marks = _origin(file, volume, before)
    return OpenedMask(labels, provenance, before, (*geometry.notes, *notes), marks)


def _in_order_of(volume: Volume, labels: NDArray[np.uint8], geometry: Geometry) -> tuple[NDArray[np.uint8], Geometry]:
    """The labels with the volume's axes, where the two grids differ by exchanged or reversed axes alone.

    Both are in closest-canonical order, which two headers of one oblique grid may round differently.
    """
    turn = np.linalg.inv(volume.affine[:3, :3]) @ geometry.affine[:3, :3]
    exchange = np.rint(turn)
    if (np.abs(exchange).sum(axis=0) != 1).any() or (np.abs(exchange).sum(axis=1) != 1).any():
        return labels, geometry  # `require_same_place` says what is wrong
    orientation = nib.orientations.io_orientation(np.block([[exchange, np.zeros((3, 1))], [np.zeros((1, 3)), 1.0]]))
    if (orientation == [[0, 1], [1, 1], [2, 1]]).all():
        return labels, geometry
    turned = np.asfortranarray(nib.orientations.apply_orientation(labels, orientation))
    affine = geometry.affine @ nib.orientations.inv_ornt_aff(orientation, labels.shape)
    x, y, z = turned.shape
    return turned, replace(geometry, shape=(x, y, z), affine=affine)


def _origin(
    file: Path, volume: Volume, now: FileStamp
) -> tuple[Provenance | None, tuple[str, ...], NDArray[np.uint8] | None]:
    """What the sidecar says of how the mask was made, notes on it, and the marks; `now` is what the mask's file is."""
    try:
        beside = read_sidecar(file)
    except InputError as error:
        return None, (f"How {file.name} was made is not known: {error}.",), None
    if beside is None:
        return None, (), None
    notes = []
    if beside.hu_sha256 not in (None, volume.hu_sha256):
        notes.append(
            f"{file.name} was saved with another CT: it had the same size, but other values than {volume.name}. "
            "Check that the mask belongs to this CT."
        )
    provenance, marks = beside.provenance, _marks(beside, volume, now)
    if beside.by_hand and marks is None:  # which ones they are is not known, so it is kept as a sentence
        note = f"Made by hand in an earlier session: {counted(beside.by_hand, 'voxel')}."
        notes.append(note)
        provenance = replace(provenance, notes=(*provenance.notes, note))
    return provenance, tuple(notes), marks


def _marks(beside: Sidecar, volume: Volume, now: FileStamp) -> NDArray[np.uint8] | None:
    """Which voxels were made by hand; None where the sidecar is of another CT, or of the mask as it was before."""
    if not beside.marks or beside.mask_sha256 != now.sha256 or beside.hu_sha256 != volume.hu_sha256:
        return None
    with suppress(InputError):
        return decoded(beside.marks, volume.shape)
    return None
