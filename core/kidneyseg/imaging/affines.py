"""The affine of a NIfTI header in mm: from the sform, the qform or the voxel sizes alone."""

from __future__ import annotations

from itertools import combinations, product
from math import asin, degrees

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.light_nibabel import HeaderDataError, nib

MAX_SHEAR_DEGREES = 0.5
SPACING_RANGE_MM = (0.05, 50.0)
# Two transforms agree when no corner of the volume moves by more than this share of a voxel edge.
MOST_VOXELS_APART = 0.5
# Voxel sizes agree up to this share; headers round them.
_SIZE_TOLERANCE = 0.01
# A quaternion longer than 1 by no more than this was rounded, not damaged.
_QUATERNION_TOLERANCE = 1e-3
_FLAT = 90.0  # shear in degrees of linearly dependent axes
_MM_PER_UNIT = {1: 1e3, 3: 1e-3}  # xyzt_units: 1 metre, 2 mm, 3 micron

Affine = NDArray[np.float64]


def read_placement(header: nib.Nifti1Header, shape: tuple[int, ...], name: str) -> tuple[Affine, bool, tuple[str, ...]]:
    """The transform from the file's voxel index to RAS mm.

    The sform comes first, then the qform, then the voxel sizes alone. A sform of zeros counts as missing. Where the
    sform's voxel sizes contradict pixdim, the qform is taken. The header's unit is used where it gives voxel sizes
    that a CT has, else mm. As in the NIfTI-1 standard pixdim[0] = 0 means +1, and a quaternion slightly longer than 1
    is made 1 long.

    Args:
        header: the file's header.
        shape: the file's dimensions.
        name: the file's name, for messages.

    Returns:
        The (4, 4) affine; whether the header states an orientation at all; and notes for the user.

    Raises:
        InputError: the voxel sizes are no CT's, or the affine is damaged, singular or sheared beyond 0.5°.
    """
    sizes = [float(size) for size in header["pixdim"][1:4]]
    if not all(np.isfinite(sizes)) or 0 in sizes:
        raise _bad_spacing(name, sizes)
    affine, oriented, notes = _chosen_form(header, shape, name)
    if not np.isfinite(affine).all():
        raise InputError(f"{name} has an affine with NaN or infinite numbers. Export it again, with a valid affine.")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not spacing.all():
        raise InputError(f"{name} has a singular affine (an axis of length 0). Export it again, with a valid affine.")
    shear = _shear_degrees(affine)
    factor = _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    if not _possible(spacing * factor):
        factor = 1.0  # many programs write the unit without meaning it
    if not _possible(spacing * factor):
        raise _bad_spacing(name, list(spacing))
    if shear == _FLAT:
        raise InputError(f"{name} has a singular affine (its axes lie in a plane). Export it with a valid affine.")
    if shear > MAX_SHEAR_DEGREES:
        raise InputError(
            f"{name} is sheared by {shear:.1f}° (a tilted gantry); at most {MAX_SHEAR_DEGREES}° is possible. "
            "Resample it to a grid with right angles first."
        )
    return np.vstack([affine[:3] * factor, affine[3:]]), oriented, notes


def _chosen_form(header: nib.Nifti1Header, shape: tuple[int, ...], name: str) -> tuple[Affine, bool, tuple[str, ...]]:
    """The affine in the header's own unit, whether it states an orientation, and notes."""
    sform, qform = _sform(header), _qform(header)
    empty = sform is not None and not sform[:3, :3].any()
    if empty or sform is None:
        missing = "The sform in the file's header is all zero; the {} was used instead." if empty else ""
        if qform is not None:
            return qform, True, (missing.format("qform"),) if empty else ()
        if int(header["qform_code"]) > 0:
            raise InputError(f"{name} has a damaged orientation (qform). Export it again, with a valid affine.")
        return np.asarray(header.get_base_affine(), np.float64), False, (missing.format("voxel size"),) if empty else ()
    if qform is None:
        return sform, True, ()
    sizes = np.asarray(header["pixdim"][1:4], np.float64)
    spacing = np.linalg.norm(sform[:3, :3], axis=0)
    # The sform of a tilted gantry has other lengths too; it stays, and is refused.
    if _shear_degrees(sform) <= MAX_SHEAR_DEGREES and not np.allclose(spacing, sizes, rtol=_SIZE_TOLERANCE, atol=0):
        return qform, True, ("The sform in the file's header contradicts its voxel sizes; the qform was used instead.",)
    if not corners_apart_mm(sform, qform, shape) > MOST_VOXELS_APART * sizes.min():
        return sform, True, ()
    note = "The sform and the qform in the file's header differ; the sform was used. Other viewers may show this CT "
    return sform, True, (note + "elsewhere or turned.",)


def corners_apart_mm(one: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """The largest distance along x, y or z in mm between the corner voxels of one grid under two affines (4, 4)."""
    corners = np.array(list(product(*((0, n - 1) for n in shape[:3]))))
    return float(np.abs(nib.affines.apply_affine(one, corners) - nib.affines.apply_affine(other, corners)).max())


def _sform(header: nib.Nifti1Header) -> Affine | None:
    return np.asarray(header.get_sform(), np.float64) if int(header["sform_code"]) > 0 else None


def _qform(header: nib.Nifti1Header) -> Affine | None:
    """None where the header has no qform or one that cannot be used."""
    if int(header["qform_code"]) <= 0:
        return None
    header = header.copy()
    header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    parts = ("quatern_b", "quatern_c", "quatern_d")
    length = float(np.linalg.norm([float(header[part]) for part in parts]))
    if 1 < length < 1 + _QUATERNION_TOLERANCE:
        for part in parts:
            header[part] = header[part] / length
    try:
        return np.asarray(header.get_qform(), np.float64)
    except (HeaderDataError, ValueError):
        return None


def _possible(spacing_mm: NDArray[np.float64]) -> bool:
    low, high = SPACING_RANGE_MM
    return bool(low <= spacing_mm.min() and spacing_mm.max() <= high)


def _shear_degrees(affine: Affine) -> float:
    """How far any two axes are from a right angle; 90 where they lie in a plane or one has no length."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / np.where(lengths > 0, lengths, 1)
    if not abs(np.linalg.det(axes)) >= 1e-3:
        return _FLAT
    cosines = (min(1.0, abs(float(axes[:, i] @ axes[:, j]))) for i, j in combinations(range(3), 2))
    return degrees(asin(max(cosines)))


def _bad_spacing(name: str, spacing: list[float]) -> InputError:
    sizes = " × ".join(f"{size:g}" for size in spacing)
    low, high = SPACING_RANGE_MM
    return InputError(f"{name} has a voxel spacing of {sizes} mm; a CT has {low:g} to {high:g} mm. Correct its header.")
