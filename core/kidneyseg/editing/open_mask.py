"""Opens a mask over its CT: checked to lie on it, in the CT's voxel order, with what its sidecar says."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.geometry import Geometry
from kidneyseg.imaging.labels import require_known, require_same_place
from kidneyseg.imaging.nifti import load_mask
from kidneyseg.imaging.volume import Volume
from kidneyseg.plurals import counted
from kidneyseg.segmentation.export import FileStamp, read_sidecar, stamp
from kidneyseg.segmentation.provenance import Provenance
from kidneyseg.settings import Settings


@dataclass(frozen=True, eq=False)
class OpenedMask:
    """A mask from a file.

    Attributes:
        labels: uint8 (X, Y, Z) on the volume's voxels: 0, 1 kidney, 2 tumour, 3 cyst.
        provenance: how the networks made it; None where no sidecar says so.
        stamp: of the file, to notice later that another program has changed it.
        notes: sentences for the user.
    """

    labels: NDArray[np.uint8]
    provenance: Provenance | None
    stamp: FileStamp
    notes: tuple[str, ...]

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
    provenance, notes = _origin(file, volume)
    return OpenedMask(labels, provenance, before, (*geometry.notes, *notes))


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


def _origin(file: Path, volume: Volume) -> tuple[Provenance | None, tuple[str, ...]]:
    """What the sidecar says, and notes on it."""
    try:
        beside = read_sidecar(file)
    except InputError as error:
        return None, (f"How {file.name} was made is not known: {error}.",)
    if beside is None:
        return None, ()
    notes = []
    if beside.hu_sha256 not in (None, volume.hu_sha256):
        notes.append(
            f"{file.name} was saved with another CT: it had the same size, but other values than {volume.name}. "
            "Check that the mask belongs to this CT."
        )
    provenance = beside.provenance
    if beside.by_hand:  # which ones they are is not stored, so it is kept as a sentence
        note = f"Made by hand in an earlier session: {counted(beside.by_hand, 'voxel')}."
        notes.append(note)
        provenance = replace(provenance, notes=(*provenance.notes, note))
    return provenance, tuple(notes)
