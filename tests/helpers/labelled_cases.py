"""Labelled CTs on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.imaging.nifti import save_mask, save_volume
from volumes import abdomen


def labelled_cases(folder: Path, names: str = "ab") -> list[CaseFiles]:
    """A case for each letter, all with the same CT of two kidneys without tumours."""
    volume, truth = abdomen()
    cases = [CaseFiles(name, folder / f"{name}_ct.nii.gz", folder / f"{name}_kidney.nii.gz") for name in names]
    for case in cases:
        save_volume(volume, case.image)
        save_mask((truth > 0).astype(np.uint8), volume, case.labels)
    return cases
