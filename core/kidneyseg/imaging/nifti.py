"""Reads and writes CTs and masks as NIfTI; arrays in memory are always in canonical (RAS) order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from kidneyseg.errors import InputError, OutputError
from kidneyseg.files import atomic_write
from kidneyseg.imaging.geometry import Geometry, grid_geometry, read_geometry
from kidneyseg.imaging.headers import Header, halves, header_path, image_path, is_pair, read_header, voxel_offset
from kidneyseg.imaging.intensities import OUT_OF_RANGE, add_offset, find_hu_offset, round_valid
from kidneyseg.imaging.streams import InputStream
from kidneyseg.imaging.volume import Volume, offset_note

_SLAB_VOXELS = 1 << 18  # a float64 slab stays in the cache
_GZIP_LEVEL = 1  # a mask is mostly zeros: ISA-L's higher levels take longer and gain little or nothing
# Fat is near -100 HU and air far below: an image without either does not hold HU.
UNCALIBRATED_ABOVE_HU = -100
_HALF_RANGE = 1 << 14
# With more voxels outside int16 an offset may be the reason, not padding alone.
_MOST_OUT_OF_RANGE = 0.02
_MOST_ROUNDED = 0.01  # of labels: a slope in the header rounds them


def load_volume(path: str | os.PathLike[str], hu_offset: int | None = None) -> Volume:
    """Read a CT from a .nii or .nii.gz file, or from a .hdr/.img pair of which either is named.

    Voxels become int16 HU (slope and intercept applied, rounded) in canonical order; slab by slab, so no float copy of
    the whole volume is made. `Volume.calibrated` is False when nothing is as dark as fat or air. `Volume.notes` names
    what is unusual: padding outside the body that was taken as air, an offset, a contradictory header.

    Args:
        path: the file.
        hu_offset: what to add to the file's values; None estimates it (see `find_hu_offset`).

    Raises:
        InputError: the file is missing, unreadable, no NIfTI, damaged or cut off, not one 3-D grid of numbers, has
            fewer than 8 slices, an impossible spacing or affine (sheared beyond 0.5°), inside the body voxels that
            are NaN, infinite or outside int16, or promises more data than file or memory hold (checked before
            anything is read).
    """
    source = Path(path)
    recognised = hu_offset is None
    (hu, invalid, darkest), geometry, hu_offset = _read_hu(source, hu_offset)
    notes = geometry.notes
    if hu_offset and recognised:
        notes += (offset_note(hu_offset),)
    if invalid is not None:
        from kidneyseg.imaging.padding import fill_padding  # noqa: PLC0415 - imports scipy, and few CTs need it

        notes += (fill_padding(hu, invalid, geometry.affine, source.name),)
    return Volume(
        hu=hu,
        spacing_mm=geometry.spacing_mm,
        affine=geometry.affine,
        slice_axis=geometry.slice_axis,
        calibrated=darkest <= UNCALIBRATED_ABOVE_HU,
        hu_offset=hu_offset,
        oriented=geometry.oriented,
        notes=notes,
        name=case_name(source),
        path=source,
        geometry=geometry,
    )


def load_mask(path: str | os.PathLike[str]) -> tuple[NDArray[np.uint8], Geometry]:
    """Read a label file: uint8 labels (X, Y, Z) in canonical order, x fastest in memory, and where they lie.

    Raises:
        InputError: as for `load_volume`, and for values that are NaN, outside 0...255 or no whole numbers.
    """
    voxels, geometry = _read(Path(path), np.uint8)
    return voxels.array, geometry


def save_mask(
    mask: NDArray[np.uint8] | NDArray[np.bool_],
    volume: Volume,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
) -> None:
    """Write a canonical (X, Y, Z) mask as uint8 NIfTI that lies exactly on the CT's file.

    The file has the CT's own voxel order, shape, affine, sform and qform codes and units, and no text from its header.
    It is written atomically; an existing file is replaced unless `overwrite` is false, the CT itself never.

    Raises:
        OutputError: `path` does not end in .nii or .nii.gz, is the CT, or cannot be written.
        ValueError: the mask's shape or type does not fit the volume.
    """
    if mask.shape != volume.shape or mask.dtype not in (np.uint8, np.bool_):
        raise ValueError(f"a uint8 mask of shape {volume.shape} is needed, not {mask.dtype} {mask.shape}")
    _save(mask.astype(np.uint8, copy=False), _geometry(volume), checked_target(path, volume.path), overwrite)


def save_volume(volume: Volume, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Write a volume's HU as int16 NIfTI, in the order and placement of the file it came from.

    Raises:
        OutputError: `path` does not end in .nii or .nii.gz, is the file it came from, or cannot be written.
    """
    geometry = _geometry(volume)
    _save(volume.hu, geometry, checked_target(path, volume.path), overwrite)


def checked_target(path: str | os.PathLike[str], ct: Path | None) -> Path:
    """The path of a NIfTI file to write. Raises OutputError when it has another ending, or is the CT itself."""
    target = Path(path)
    if not target.name.lower().endswith((".nii", ".nii.gz")):
        raise OutputError(f"{target.name} is no name for a NIfTI file. End it in .nii.gz (or .nii).")
    if ct is not None and any(_same_file(target, half) for half in halves(ct)):
        raise OutputError(f"{target.name} is the CT itself and is never overwritten. Choose another name.")
    return target


def case_name(path: Path) -> str:
    """A file's name without folder and without .nii, .nii.gz, .hdr, .img, .dcm or .zip; a folder's name as it is."""
    if path.is_dir():
        return path.resolve().name
    name = path.name
    for suffix in (".gz", ".nii", ".hdr", ".img", ".dcm", ".zip"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
    return name


class _Voxels(NamedTuple):
    """A file's voxels in canonical order, x fastest in memory; marks of invalid ones, if any; the minimum."""

    array: NDArray[Any]
    invalid: NDArray[np.uint8] | None
    darkest: int


def _read_hu(path: Path, offset: int | None) -> tuple[_Voxels, Geometry, int]:
    """A CT's voxels with an offset added, where they lie, and the offset; None finds it out."""
    voxels, geometry = _read(path, np.int16)
    found = find_hu_offset(voxels.array, voxels.invalid) if offset is None else offset
    if offset != 0 and voxels.invalid is not None and _share(voxels.invalid, OUT_OF_RANGE) > _MOST_OUT_OF_RANGE:
        # HU + 32768 do not fit int16. Shifted half of that they do, and are not HU yet.
        shift = -_HALF_RANGE if offset is None else offset
        shifted, _ = _read(path, np.int16, shift)
        rest = find_hu_offset(shifted.array, shifted.invalid) if offset is None else 0
        if offset is not None or rest not in (0, -shift):
            return _with_offset(shifted, rest), geometry, shift + rest
    return _with_offset(voxels, found), geometry, found


def _with_offset(voxels: _Voxels, offset: int) -> _Voxels:
    if offset:
        add_offset(voxels.array, offset)
    return voxels._replace(darkest=voxels.darkest + offset)


def _share(invalid: NDArray[np.uint8], kind: int) -> float:
    return float(np.count_nonzero(invalid == kind)) / invalid.size


def _read(path: Path, dtype: type[np.int16] | type[np.uint8], shift: int = 0) -> tuple[_Voxels, Geometry]:
    """Read the voxels, with `shift` added to their values."""
    with ExitStack() as opened:
        stream = opened.enter_context(InputStream(header_path(path)))
        header = read_header(stream)
        passed = header.sizeof_hdr
        if is_pair(header):
            stream, passed = opened.enter_context(InputStream(image_path(path))), 0
        geometry = read_geometry(header, stream)
        try:
            stream.skip(int(voxel_offset(header)) - passed)
            return _read_voxels(stream, header, geometry, dtype, shift), geometry
        except MemoryError as error:
            raise InputError(f"{path.name} does not fit into memory. Close other programs, or crop it.") from error


def _read_voxels(
    stream: InputStream, header: Header, geometry: Geometry, dtype: type[np.int16] | type[np.uint8], shift: int
) -> _Voxels:
    stored, (slope, intercept) = header.get_data_dtype(), _scaling(header, stream.path.name)
    intercept += shift
    voxels = np.empty(geometry.shape, dtype, order="F")
    invalid: NDArray[np.uint8] | None = None
    darkest = int(np.iinfo(np.int16).max)
    in_file = geometry.in_file_order(voxels)
    for planes in _slabs(geometry.file_shape):
        slab = in_file[:, :, planes]
        raw = np.frombuffer(stream.read(slab.size * stored.itemsize), stored).reshape(slab.shape, order="F")
        with np.errstate(invalid="ignore"):
            low, high = sorted(float(end) * slope + intercept for end in (raw.min(), raw.max()))
        if _fits(low, high, dtype):
            _place(raw, slope, intercept, slab, stream.path.name)
        elif dtype is np.uint8:
            raise _no_labels(stream.path.name, low, high)
        else:
            invalid = np.zeros(geometry.shape, np.uint8, order="F") if invalid is None else invalid
            low = round_valid(raw * np.float64(slope) + intercept, slab, geometry.in_file_order(invalid)[:, :, planes])
        darkest = min(darkest, round(low))
    stream.finish()
    return _Voxels(voxels, invalid, darkest)


def _slabs(shape: Sequence[int]) -> Iterator[slice]:
    """Runs of planes along a file's third axis."""
    planes = max(1, _SLAB_VOXELS // (shape[0] * shape[1]))
    for start in range(0, shape[2], planes):
        yield slice(start, start + planes)


def _scaling(header: Header, name: str) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):  # in NIfTI this means that voxels are not scaled
        return 1.0, 0.0
    if not np.isfinite(intercept):
        raise InputError(f"{name} has an intercept of {intercept} in its header. Export it again.")
    return slope, intercept


def _fits(low: float, high: float, dtype: type[np.int16] | type[np.uint8]) -> bool:
    """Whether values from `low` to `high`, rounded, fit the type; not when either is NaN."""
    range_ = np.iinfo(dtype)
    return bool(np.rint(low) >= range_.min and np.rint(high) <= range_.max)


def _no_labels(name: str, low: float, high: float) -> InputError:
    if not np.isfinite([low, high]).all():
        return InputError(f"{name} has voxels that are NaN or infinite. Replace them (by 0) and save it again.")
    return InputError(
        f"{name} has values from {low:g} to {high:g}, outside the 0 to 255 of labels. Save it as uint8 labels."
    )


def _place(raw: NDArray[Any], slope: float, intercept: float, slab: NDArray[Any], name: str) -> None:
    """Put raw voxels, scaled and rounded, into `slab`, whose type they fit. Labels must be whole numbers."""
    if raw.dtype.kind in "iu" and slope == 1 and intercept == 0:
        slab[...] = raw
    else:
        scaled = raw * np.float64(slope)
        scaled += intercept
        if slab.dtype == np.uint8 and (between := np.abs(scaled - np.rint(scaled)) > _MOST_ROUNDED).any():
            raise InputError(
                f"{name} has values between labels, such as {scaled[between][0]:g}. Probabilities and masks that were "
                "resampled by linear interpolation are no labels: save it with whole numbers."
            )
        slab[...] = np.rint(scaled, out=scaled)


def _geometry(volume: Volume) -> Geometry:
    if isinstance(volume.geometry, Geometry):
        return volume.geometry
    return grid_geometry(volume.shape, volume.affine, volume.slice_axis)


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
    in_file = geometry.in_file_order(voxels)
    for planes in _slabs(geometry.file_shape):
        file.write(in_file[:, :, planes].astype(header.get_data_dtype(), copy=False).tobytes(order="F"))


def _same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
