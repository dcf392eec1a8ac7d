"""CTs and masks in and out of NIfTI files, always in canonical (RAS) order in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from kidneyseg.errors import InputError, OutputError
from kidneyseg.files import atomic_write
from kidneyseg.imaging.geometry import Geometry, Header, plain_geometry, read_geometry, read_header
from kidneyseg.imaging.streams import InputStream
from kidneyseg.imaging.volume import Volume

_SLAB_VOXELS = 1 << 18  # a float64 slab stays in the cache
_GZIP_LEVEL = 1  # a mask is mostly zeros: ISA-L's higher levels take longer and gain little or nothing
# Fat is near -100 HU and air far below: an image without either does not hold HU.
_UNCALIBRATED_ABOVE_HU = -100


def load_volume(path: str | os.PathLike[str]) -> Volume:
    """Read a CT from a .nii or .nii.gz file.

    Voxels become int16 HU (slope and intercept applied, rounded) in canonical order; slab by slab, so no float copy of
    the whole volume is made. `Volume.calibrated` is False when nothing is as dark as fat or air.

    Raises:
        InputError: the file is missing, unreadable, no NIfTI, damaged or cut off, not one 3-D grid of numbers, has
            fewer than 8 slices, an impossible spacing or affine (sheared beyond 0.5°), NaN or infinite voxels, voxels
            outside int16, or promises more data than file or memory hold (checked before anything is read).
    """
    source = Path(path)
    hu, geometry, darkest = _read(source, np.int16)
    return Volume(
        hu=cast("NDArray[np.int16]", hu),
        spacing_mm=geometry.spacing_mm,
        affine=geometry.affine,
        slice_axis=geometry.slice_axis,
        calibrated=darkest <= _UNCALIBRATED_ABOVE_HU,
        name=case_name(source),
        path=source,
        geometry=geometry,
    )


def load_mask(path: str | os.PathLike[str]) -> tuple[NDArray[np.uint8], Geometry]:
    """Read a label file: uint8 labels (X, Y, Z) in canonical order, x fastest in memory, and where they lie.

    Raises:
        InputError: as for `load_volume`, and for values outside 0...255.
    """
    labels, geometry, _ = _read(Path(path), np.uint8)
    return cast("NDArray[np.uint8]", labels), geometry


def save_mask(
    mask: NDArray[np.uint8] | NDArray[np.bool_],
    volume: Volume,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
) -> None:
    """Write a canonical (X, Y, Z) mask as uint8 NIfTI that lies exactly on the CT's file.

    The file has the CT's own voxel order, shape, affine, sform and qform codes and units, and no text from its header.
    It appears whole or not at all; an existing file is replaced unless `overwrite` is false, the CT itself never.

    Raises:
        OutputError: `path` does not end in .nii or .nii.gz, is the CT, or cannot be written.
        ValueError: the mask's shape or type does not fit the volume.
    """
    if mask.shape != volume.shape or mask.dtype not in (np.uint8, np.bool_):
        raise ValueError(f"a uint8 mask of shape {volume.shape} is needed, not {mask.dtype} {mask.shape}")
    _save(mask.astype(np.uint8, copy=False), _geometry(volume), _checked_target(path, volume), overwrite)


def save_volume(volume: Volume, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Write a volume's HU as int16 NIfTI, in the order and placement of the file it came from.

    Raises:
        OutputError: `path` does not end in .nii or .nii.gz, is the file it came from, or cannot be written.
    """
    geometry = _geometry(volume)
    _save(volume.hu, geometry, _checked_target(path, volume), overwrite)


def case_name(path: Path) -> str:
    """A file's name without folder and without .nii or .nii.gz."""
    name = path.name
    for suffix in (".gz", ".nii"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
    return name


def _read(path: Path, dtype: type[np.int16] | type[np.uint8]) -> tuple[NDArray[Any], Geometry, int]:
    """Canonical voxels, Fortran-ordered; their geometry; their minimum."""
    with InputStream(path) as stream:
        header = read_header(stream)
        geometry = read_geometry(header, stream)
        slope, intercept = _scaling(header, path.name)
        try:
            voxels = np.empty(geometry.shape, dtype, order="F")
            stream.skip((int(header["vox_offset"]) or header.single_vox_offset) - header.sizeof_hdr)
            darkest = np.iinfo(np.int16).max
            in_file = geometry.in_file_order(voxels)
            for slab in _slabs(in_file):
                content = stream.read(slab.size * header.get_data_dtype().itemsize)
                raw = np.frombuffer(content, header.get_data_dtype()).reshape(slab.shape, order="F")
                low = _place(raw, slope, intercept, slab, path.name)
                darkest = min(darkest, low)
            stream.finish()
        except MemoryError as error:
            raise InputError(f"{path.name} does not fit into memory. Close other programs, or crop it.") from error
    return voxels, geometry, darkest


def _slabs(in_file: NDArray[Any]) -> Iterator[NDArray[Any]]:
    planes = max(1, _SLAB_VOXELS // (in_file.shape[0] * in_file.shape[1]))
    for start in range(0, in_file.shape[2], planes):
        yield in_file[:, :, start : start + planes]


def _scaling(header: Header, name: str) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):  # NIfTI's way to say that voxels are stored as they are
        return 1.0, 0.0
    if not np.isfinite(intercept):
        raise InputError(f"{name} has an intercept of {intercept} in its header. Export it again.")
    return slope, intercept


def _place(raw: NDArray[Any], slope: float, intercept: float, slab: NDArray[Any], name: str) -> int:
    """Put raw voxels, scaled and rounded, into `slab`; give their minimum. Raises InputError outside its type."""
    with np.errstate(invalid="ignore"):
        ends = sorted(float(end) * slope + intercept for end in (raw.min(), raw.max()))
    if not np.isfinite(ends).all():
        raise InputError(f"{name} has voxels that are NaN or infinite. Replace them (by -1024, air) and save it again.")
    range_ = np.iinfo(slab.dtype)
    low, high = round(ends[0]), round(ends[1])
    if low < range_.min or high > range_.max:
        kind = "labels" if slab.dtype == np.uint8 else "HU"
        raise InputError(
            f"{name} has values from {ends[0]:g} to {ends[1]:g}, outside the {range_.min} to {range_.max} of {kind}. "
            f"Save it with its voxels as {kind}."
        )
    if raw.dtype.kind in "iu" and slope == 1 and intercept == 0:
        slab[...] = raw
    else:
        scaled = raw * np.float64(slope)
        scaled += intercept
        slab[...] = np.rint(scaled, out=scaled)
    return low


def _checked_target(path: str | os.PathLike[str], volume: Volume) -> Path:
    target = Path(path)
    if not target.name.lower().endswith((".nii", ".nii.gz")):
        raise OutputError(f"{target.name} is no name for a NIfTI file. End it in .nii.gz (or .nii).")
    if volume.path is not None and _same_file(target, volume.path):
        raise OutputError(f"{target.name} is the CT itself and is never overwritten. Choose another name.")
    return target


def _geometry(volume: Volume) -> Geometry:
    if isinstance(volume.geometry, Geometry):
        return volume.geometry
    return plain_geometry(volume.shape, volume.affine, volume.slice_axis)


def _save(voxels: NDArray[Any], geometry: Geometry, target: Path, overwrite: bool) -> None:
    with atomic_write(target, overwrite=overwrite) as file:
        if target.name.lower().endswith(".gz"):
            # No name and no time inside: the same voxels give the same bytes.
            with igzip.IGzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
                _write(packed, voxels, geometry)
        else:
            _write(file, voxels, geometry)


def _write(file: IO[bytes] | igzip.IGzipFile, voxels: NDArray[Any], geometry: Geometry) -> None:
    header = geometry.header.copy()
    header.set_data_dtype(voxels.dtype)
    file.write(header.binaryblock)
    file.write(b"\0\0\0\0")  # no header extensions
    for slab in _slabs(geometry.in_file_order(voxels)):
        file.write(slab.astype(header.get_data_dtype(), copy=False).tobytes(order="F"))


def _same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
