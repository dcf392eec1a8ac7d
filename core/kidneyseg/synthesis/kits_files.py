"""The files of KiTS23: label maps, the table of HU statistics, and which cases are held out."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np

from kidneyseg.arrays import Floats, Labels, Spacing
from kidneyseg.errors import InputError
from kidneyseg.imaging.labels import require_known
from kidneyseg.imaging.nifti import load_mask

log = logging.getLogger(__name__)

Wanted = Callable[[int], bool]
"""Whether to take the case of a number."""


def is_held_out(case: int) -> bool:
    """The fixed split of shapes: cases divisible by 5 are for validation, all others for training."""
    return case % 5 == 0


def label_files(folder: Path) -> list[Path]:
    """The label maps in KiTS' layout, sorted."""
    return sorted([*folder.glob("case_*.nii.gz"), *folder.glob("case_*/segmentation.nii.gz")])


def read_labels(path: Path) -> tuple[Labels, Spacing] | None:
    """A label map and its spacing in mm; None, with a warning, where it cannot be used."""
    try:
        labels, geometry = load_mask(path)
        require_known(labels, path.name)
    except InputError as error:
        log.warning("%s; the label map is left out", error)
        return None
    return labels, geometry.spacing_mm


def case_number(path: Path) -> int:
    """The number of a KiTS case; InputError where the path has none."""
    match = re.search(r"case_(\d+)", str(path))
    if match is None:
        raise InputError(f"{path} has no case number in its name: expected case_XXXXX.")
    return int(match.group(1))


def read_hu(path: Path, columns: Sequence[str], needed: Collection[str]) -> Floats:
    """KiTS23's HU statistics: float32 (cases, 1 + columns), the case's number first; nan where a case has no value.

    Cases without one of the `needed` columns are left out. Raises InputError where the table lacks a column.
    """
    with path.open(newline="") as table:
        reader = csv.DictReader(table)
        missing = {"case", *columns} - set(reader.fieldnames or ())
        if missing:
            raise InputError(f"{path} lacks the columns {', '.join(sorted(missing))}: expected KiTS23's HU statistics.")
        rows = [
            [float(row["case"].split("_")[-1]), *(float(row[column] or "nan") for column in columns)]
            for row in reader
            if all(row[column] for column in needed)
        ]
    return np.array(rows, dtype=np.float32).reshape(-1, 1 + len(columns))
