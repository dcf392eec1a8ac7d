"""A file's voxel grid: checked against file and memory, and mapped to canonical order and back."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import times
from kidneyseg.errors import InputError
from kidneyseg.imaging.affines import MOST_VOXELS_APART, corners_apart_mm, read_placement
from kidneyseg.imaging.headers import Header, is_pair, voxel_offset
from kidneyseg.imaging.light_nibabel import HeaderDataError, nib
from kidneyseg.imaging.streams import InputStream
from kidneyseg.imaging.volume import Volume
from kidneyseg.plurals import counted

MIN_SLICES = 8
_BYTES_PER_VOXEL = 4  # HU, a mask and working space: the least that an open case takes
_MOST_VOXELS_UNKNOWN_MEMORY = 1 << 31
# Fields that place the voxels; the rest of a header (descriptions, names, dates) may identify a patient.
_PLACEMENT = (
    *("dim_info", "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid of voxels in canonical (RAS) order, and the file order that it came from."""

    shape: tuple[int, int, int]  #: voxels along canonical x, y, z
    spacing_mm: tuple[float, float, float]  #: voxel edge lengths along canonical x, y, z
    affine: NDArray[np.float64]  #: (4, 4) float64, from canonical voxel index to RAS mm
    slice_axis: int  #: canonical axis that the slices were stacked along
    file_shape: tuple[int, ...]  #: the file's own dimensions, with any trailing ones
    file_axes: tuple[int, int, int]  #: for each of the file's three axes, the canonical axis that it is
    file_flips: tuple[bool, bool, bool]  #: for each of the file's three axes, whether it runs against the canonical one
    #: header of a uint8 mask in the file's own order and placement, free of any text
    header: Header = field(repr=False)
    oriented: bool = True  #: False when the file states no orientation: left and right are then unknown
    notes: tuple[str, ...] = ()  #: sentences for the user on how the header was interpreted

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return prod(self.spacing_mm) / 1000.0

    @property
    def file_orientation(self) -> str:
        """Where the file's axes point, as letters of R L A P S I: "LPS" for DICOM's order."""
        pairs = zip(self.file_axes, self.file_flips, strict=True)
        return "".join(("LPI" if flip else "RAS")[axis] for axis, flip in pairs)

    def in_file_order(self, canonical: NDArray[Any]) -> NDArray[Any]:
        """A view of a canonical (X, Y, Z) array with the file's own axes; writing to it writes to the array."""
        step = tuple(slice(None, None, -1 if flip else 1) for flip in self.file_flips)
        return canonical.transpose(self.file_axes)[step]


def read_geometry(header: Header, stream: InputStream) -> Geometry:
    """The geometry of a header, after checks that it describes one voxel grid that fits file and memory.

    The affine is that of `read_placement`. The slice axis is the one that the header names (dim_info); else the odd
    one out when the other two have the same spacing, as CT pixels are square; else the one with clearly (1.25 times)
    the largest spacing; else canonical z, as CTs are acquired axially.

    Args:
        header: from `read_header`.
        stream: the file that holds the voxels.

    Raises:
        InputError: with one sentence for the user.
    """
    name = stream.path.name
    file_shape = _checked_shape(header, name)
    _check_type(header, name)
    _check_size(header, file_shape, stream)
    affine, oriented, notes = read_placement(header, file_shape, name)
    orientation = nib.orientations.io_orientation(affine)
    spacing = [float(size) for size in np.linalg.norm(affine[:3, :3], axis=0)]
    slice_axis = _slice_axis(header, spacing, tuple(int(axis) for axis in orientation[:, 0]))
    geometry = _oriented_geometry(_mask_header(header), file_shape, affine, orientation, slice_axis)
    if min(geometry.shape) < MIN_SLICES:  # along any axis: an image so thin is no CT, whatever its header calls slices
        slices = counted(min(geometry.shape), "slice")
        raise InputError(f"{name} has only {slices}; it takes {MIN_SLICES}. Open the whole series.")
    return replace(geometry, oriented=oriented, notes=notes)


def grid_geometry(shape: tuple[int, int, int], affine: NDArray[np.float64], slice_axis: int = 2) -> Geometry:
    """The geometry of a grid that came from no NIfTI file, with `affine` as both sform and qform.

    Args:
        shape: voxels along the grid's own axes.
        affine: (4, 4), from the grid's index to RAS mm, with right angles.
        slice_axis: the grid's own axis that the slices were stacked along.
    """
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1)
    header.set_xyzt_units("mm")
    orientation = nib.orientations.io_orientation(affine)
    return _oriented_geometry(_mask_header(header), shape, affine, orientation, slice_axis)


def _oriented_geometry(
    header: Header,
    file_shape: tuple[int, ...],
    affine: NDArray[np.float64],
    orientation: NDArray[np.float64],
    file_slice_axis: int,
) -> Geometry:
    """The geometry of a file's grid; `header` is its mask's, `orientation` nibabel's of `affine`."""
    spacing = [float(size) for size in np.linalg.norm(affine[:3, :3], axis=0)]
    axes = tuple(int(axis) for axis in orientation[:, 0])
    to_file = [axes.index(axis) for axis in range(3)]
    return Geometry(
        shape=(file_shape[to_file[0]], file_shape[to_file[1]], file_shape[to_file[2]]),
        spacing_mm=(spacing[to_file[0]], spacing[to_file[1]], spacing[to_file[2]]),
        affine=affine @ nib.orientations.inv_ornt_aff(orientation, file_shape[:3]),
        slice_axis=axes[file_slice_axis],
        file_shape=file_shape,
        file_axes=(axes[0], axes[1], axes[2]),
        file_flips=(bool(orientation[0, 1] < 0), bool(orientation[1, 1] < 0), bool(orientation[2, 1] < 0)),
        header=header,
    )


def require_same_place(name: str, one: Volume | Geometry, other: Volume | Geometry) -> None:
    """Raise InputError unless the file `name` has the shape of `other` and lies in its place, to half a voxel."""
    if one.shape != other.shape:
        raise InputError(
            f"{name} has {times(one.shape)} voxels and should have {times(other.shape)}; "
            "resample it to the CT (nearest neighbour)"
        )
    apart = corners_apart_mm(one.affine, other.affine, one.shape)
    if apart > MOST_VOXELS_APART * min(other.spacing_mm):
        raise InputError(
            f"{name} does not lie on the CT: its voxels are up to {apart:.3g} mm off; "
            "write the mask with the CT's own header"
        )


def _mask_header(header: Header) -> Header:
    mask = type(header)(endianness=header.endianness)
    mask["dim"] = header["dim"]
    for name in _PLACEMENT:
        mask[name] = header[name]
    mask.set_data_dtype(np.uint8)
    mask["scl_slope"], mask["scl_inter"] = 1, 0
    mask["vox_offset"] = mask.single_vox_offset
    return mask


def _checked_shape(header: Header, name: str) -> tuple[int, ...]:
    dims = [int(n) for n in header["dim"]]
    if not 1 <= dims[0] <= 7 or min(dims[1 : dims[0] + 1]) < 1:
        raise InputError(f"{name} has a damaged NIfTI header: its dimensions are {dims[1:]}. Export it again.")
    shape = tuple(dims[1 : dims[0] + 1])
    if len(shape) < 3:
        raise InputError(f"{name} is a {len(shape)}-D image, not a volume. Open the whole series as one 3-D file.")
    if prod(shape[3:]) > 1:
        raise InputError(f"{name} holds {prod(shape[3:])} volumes. Save one of them as a 3-D file and open that.")
    return shape


def _check_type(header: Header, name: str) -> None:
    try:
        kind = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise InputError(f"{name} has an unknown voxel type. Save it with int16 voxels.") from error
    if kind.names is not None:
        raise InputError(f"{name} is a colour (RGB) image, not a CT. Open the original CT, not a picture of it.")
    if kind.kind == "c":
        raise InputError(f"{name} holds complex numbers, not CT numbers (HU). Save its HU as int16.")
    if kind.kind not in "iuf" or kind.itemsize > 8:
        raise InputError(f"{name} has voxels of type {kind.name}, which no CT has. Save it with int16 voxels.")


def _check_size(header: Header, shape: tuple[int, ...], stream: InputStream) -> None:
    """Compare the header's size with what file and memory can hold, before any voxel is read."""
    name = stream.path.name
    offset, first = voxel_offset(header), 0 if is_pair(header) else header.single_vox_offset
    if not first <= offset < float(1 << 40):
        raise InputError(f"{name} has a damaged NIfTI header: its voxels begin at byte {offset:g}. Export it again.")
    promised = prod(shape) * header.get_data_dtype().itemsize
    if offset + promised > stream.most_bytes:
        raise InputError(
            f"{name} is cut off: its header promises {_size(promised)} of voxels, more than its {_size(stream.size)} "
            "can hold. Copy or download it again."
        )
    require_memory(name, prod(shape), shape)


def require_memory(name: str, voxels: int, shape: tuple[int, ...]) -> None:
    """Raise InputError when an open case of so many voxels does not fit into free memory."""
    needed, available = voxels * _BYTES_PER_VOXEL, available_memory()
    if available is None:
        available = _MOST_VOXELS_UNKNOWN_MEMORY * _BYTES_PER_VOXEL
    if needed > available:
        raise InputError(
            f"{name} has {' × '.join(map(str, shape[:3]))} voxels and needs {_size(needed)} of memory, but only "
            f"{_size(available)} are free. Close other programs, or crop the volume."
        )


def _size(count: int) -> str:
    return (
        f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count:,} bytes"
    )


def available_memory() -> int | None:
    """Bytes that can be allocated without swapping, within the container's limit if there is one; None if unknown."""
    found = []
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        with (
            open("/sys/fs/cgroup/memory.max", encoding="ascii") as limit,
            open("/sys/fs/cgroup/memory.current", encoding="ascii") as used,
        ):
            found.append(int(limit.read()) - int(used.read()))
    except (OSError, ValueError):  # no Linux, no such container, or "max": no limit
        if not found and "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(found, default=None)


def _slice_axis(header: Header, spacing: list[float], axes: tuple[int, ...]) -> int:
    """The file's axis that its slices are stacked along; `read_geometry` gives the rule."""
    stated = header.get_dim_info()[2]
    if stated is not None:
        return int(stated)
    same = [(i, j) for i, j in combinations(range(3), 2) if abs(spacing[i] - spacing[j]) < 1e-3 * spacing[i]]
    if len(same) == 1:
        return 3 - sum(same[0])
    order = sorted(range(3), key=spacing.__getitem__)
    if spacing[order[2]] > 1.25 * spacing[order[1]]:
        return order[2]
    return axes.index(2)
