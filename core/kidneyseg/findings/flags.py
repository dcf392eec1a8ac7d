"""Flags: what is unusual about a result, so that it needs a closer look. docs/results.md has the measurements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.findings.components import Components
from kidneyseg.findings.records import Findings, Flag
from kidneyseg.imaging.labels import KIDNEY, LABEL_NAMES, TUMOUR
from kidneyseg.imaging.volume import HU_WINDOW, Volume

# Area of kidney and tumour in the scan's first or last slice along an axis from which they count as cut.
_LEAST_CUT_MM2 = 25.0
_EDGES = (("left", "right"), ("back", "front"), ("lower", "upper"))

# Tissue of one kidney, in mL: 593 kidneys of 300 KiTS23 label maps hold 45 to 474, those of 14 CTs 83 to 275.
_KIDNEY_ML = (40.0, 500.0)

# Median HU of kidney tissue: 39 to 236 in 489 contrast-enhanced CTs of KiTS23, 1 % of them below 53; 24 in the
# non-contrast CT of 14.
_CONTRAST_HU, _BRIGHTEST_HU = 50.0, 240.0

# The longest diameter from which a tumour is T2b; 52 of 331 tumours of KiTS23 are longer.
_LARGE_MM = 100.0
# The share of a tumour's surface that touches kidney is .139 to .98 in 331 tumours of KiTS23. One is below this.
_LEAST_CONTACT, _LEAST_CONTACT_ML = 0.15, 0.3

# The spine: bone (within HU_WINDOW, to which some CTs are clipped) across this width, on a grid of about this spacing.
# In the front half of 14 CTs it is at most .40 of that in the back half.
_BONE_HU, _SPINE_WIDTH_MM, _STEPS_MM = 220, 50.0, (4.0, 4.0, 8.0)
_FRONT_TO_BACK = 1.5
# The least area of a spine in cm², in the mean over slices and in nine of ten: 7.0 and 5.2 in 14 CTs.
_LEAST_SPINE_CM2, _LEAST_IN_SLICE_CM2 = 4.0, 3.0


def flags(findings: Findings, mask: NDArray[np.uint8], parts: Sequence[Components], volume: Volume) -> tuple[Flag, ...]:
    """The flags of a result; none for a mask without kidneys and tumours.

    Args:
        findings: what was measured, without flags.
        mask: uint8 (X, Y, Z), 0, 1 kidney, 2 tumour, 3 cyst.
        parts: its connected components.
        volume: the CT.
    """
    if not findings.kidneys and not findings.tumours:
        return ()
    return (
        *_cut(parts, volume),
        *_volumes(findings),
        *_one_side(findings),
        *_contrast(parts, volume),
        *_prone(mask, parts, volume),
        *_masses(findings),
    )


def _cut(parts: Sequence[Components], volume: Volume) -> Iterator[Flag]:
    """Kidney or tumour in the scan's first or last slice along an axis."""
    edges, labels = [], set()
    for axis, (names, length) in enumerate(zip(_EDGES, volume.shape, strict=True)):
        pixel_mm2 = float(np.prod(np.delete(volume.spacing_mm, axis)))
        for name, edge, end in ((names[0], 0, 0), (names[1], length - 1, -1)):
            at_edge = [part for part in parts if edge in (part.box[axis].start, part.box[axis].stop - 1)]
            # Not `np.take`, which first copies the whole array unless it is in C order.
            slices = [np.moveaxis(part.labels, axis, 0)[end] for part in at_edge]
            counts = sum((np.bincount(one.ravel(order="K"), minlength=4) for one in slices), np.zeros(4, np.int64))
            if counts[[KIDNEY, TUMOUR]].sum() * pixel_mm2 >= _LEAST_CUT_MM2:
                edges.append(name)
                labels |= {label for label in (KIDNEY, TUMOUR) if counts[label]}
    if edges:
        what = " and ".join(LABEL_NAMES[label] for label in sorted(labels))
        where = f"the {' and the '.join(edges)} edge" if volume.oriented else "an edge"
        yield Flag("cut", f"{what[0].upper()}{what[1:]} reaches {where} of the scan: it may be cut off there.")


def _volumes(findings: Findings) -> Iterator[Flag]:
    """Kidneys of a volume that no labelled kidney has."""
    low, high = _KIDNEY_ML
    for kidney in findings.kidneys:
        name = f"The {kidney.side} kidney" if kidney.side else "A kidney"
        if kidney.ml > high:
            yield Flag("kidney_volume", f"{name} measures {kidney.ml:.0f} mL without tumour, more than kidneys do.")
        elif kidney.ml + kidney.tumour_ml < low:
            yield Flag("kidney_volume", f"{name} measures only {kidney.ml:.0f} mL. Part of it may be missing.")


def _one_side(findings: Findings) -> Iterator[Flag]:
    """Two kidneys on one side of the midline."""
    sides = {kidney.side for kidney in findings.kidneys}
    if findings.kidney_sized > 1 and len(sides) == 1 and not findings.side_unknown:
        many = (
            f"{findings.kidney_sized} kidney-sized bodies lie on the {findings.kidneys[0].side} and none on the other"
        )
        yield Flag("one_side", f"{many} side: a kidney in pieces, or another organ.")


def _contrast(parts: Sequence[Components], volume: Volume) -> Iterator[Flag]:
    """Kidneys darker or brighter than with contrast agent in the usual phases."""
    # Every second voxel in plane gives the same median to 1 HU.
    values = [volume.hu[part.box][::2, ::2][part.labels[::2, ::2] == KIDNEY] for part in parts]
    tissue = np.concatenate(values)
    if len(tissue) == 0 or not volume.calibrated:
        return
    median = float(np.median(tissue))
    if median < _CONTRAST_HU:
        yield Flag("no_contrast", f"The kidneys have {median:.0f} HU: likely a CT without contrast agent.")
    elif median > _BRIGHTEST_HU:
        yield Flag("unusual_phase", f"The kidneys have {median:.0f} HU: an unusual contrast phase.")


def _prone(mask: NDArray[np.uint8], parts: Sequence[Components], volume: Volume) -> Iterator[Flag]:
    """A spine in the front half of the body, at the height of the kidneys."""
    steps = [max(1, round(step / s)) for step, s in zip(_STEPS_MM, volume.spacing_mm, strict=True)]
    low, high = min(part.box[2].start for part in parts), max(part.box[2].stop for part in parts)
    sampled = slice(None, None, steps[0]), slice(None, None, steps[1]), slice(low, high, steps[2])
    hu, own = volume.hu[sampled], mask[sampled] > 0
    depth = np.cumsum(np.count_nonzero(hu > HU_WINDOW[0] + 5, axis=(0, 2)))
    if depth[-1] == 0:
        return
    middle = int(np.searchsorted(depth, depth[-1] / 2))
    bone = (hu >= _BONE_HU) & ~ndimage.binary_dilation(own, iterations=2)
    dx, dy = (step * s for step, s in zip(steps[:2], volume.spacing_mm[:2], strict=True))
    back, front = (_spine_cm2(half, dx, dy) for half in (bone[:, :middle], bone[:, middle:]))
    found = front.mean() >= _LEAST_SPINE_CM2 and np.quantile(front, 0.1) >= _LEAST_IN_SLICE_CM2
    if found and front.mean() >= _FRONT_TO_BACK * back.mean():
        yield Flag(
            "prone", "The spine lies in the front half: the patient was prone, or the file's orientation is wrong."
        )


def _spine_cm2(bone: NDArray[np.bool_], dx: float, dy: float) -> NDArray[np.float64]:
    """The area in each slice of the bone (X, Y, Z) within a spine's width, at the x where it is largest on average."""
    area = np.count_nonzero(bone, axis=1) * (dx * dy / 100)
    window = np.ones((max(1, round(_SPINE_WIDTH_MM / dx)), 1))
    within = ndimage.convolve(area, window, mode="constant")
    return np.asarray(within[within.mean(axis=1).argmax()], np.float64)


def _masses(findings: Findings) -> Iterator[Flag]:
    """Large tumours, and those that touch little kidney."""
    for tumour in findings.tumours:
        name = f"The tumour of {tumour.longest_mm:.0f} mm" + (f" on the {tumour.side}" if tumour.side else "")
        if tumour.longest_mm > _LARGE_MM:
            yield Flag("large_mass", f"{name} is large: check its border and whether it arises from the kidney.")
        if tumour.ml >= _LEAST_CONTACT_ML and tumour.kidney_contact < _LEAST_CONTACT:
            share = f"{100 * tumour.kidney_contact:.0f} %"
            yield Flag("extrarenal_mass", f"{name} touches kidney with {share} of its surface: it may lie beside it.")
