"""What the jobs of the working threads are given and give back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kidneyseg.editing.change import Change, Voxels
    from kidneyseg.editing.compare import Comparison
    from kidneyseg.editing.mask import EditedMask
    from kidneyseg.editing.open_mask import OpenedMask
    from kidneyseg.imaging.dicom.series import Study
    from kidneyseg.segmentation.export import FileStamp
    from kidneyseg.segmentation.provenance import Provenance
    from kidneyseg_gui.protocols import Result


@dataclass(frozen=True, eq=False)
class FoundStudy:
    """A DICOM study whose series were found.

    Attributes:
        study: its CT series, and the proposed one.
        previews: a picture (rows, columns) of each series, by its id; None where it cannot be read.
    """

    study: Study
    previews: dict[str, NDArray[np.uint8] | None]


@dataclass(frozen=True, eq=False)
class Segmented:
    """A result, without its mask, and what it changes.

    Attributes:
        result: of the networks.
        device: the choice it was made with.
        provenance: of the result.
        change: `EditedMask.replaced` for the result's mask, when the edited mask had `version`.
        mask: the result's own.
        version: of the edited mask.
        update: whether a changed setting asked for it, not the user.
    """

    result: Result
    device: str
    provenance: Provenance | None
    change: Change
    mask: NDArray[np.uint8]
    version: int
    update: bool


@dataclass(frozen=True, eq=False)
class Edited:
    """What an edit changes.

    Attributes:
        version: of the mask that it was computed for.
        voxels: that change.
    """

    version: int
    voxels: Voxels


@dataclass(frozen=True, eq=False)
class Saving:
    """What is saved of a case.

    Attributes:
        mask: with the hand-made voxels.
        result: of the networks, None for a mask from a file.
        provenance: of the labels below the hand-made ones; None if unknown.
        version: of the mask, when saving was asked for.
        expected: what the file was when the mask was opened from it or saved to it; see `check_export`. None where it
            may be replaced whatever it is.
    """

    mask: EditedMask
    result: Result | None
    provenance: Provenance | None
    version: int
    expected: FileStamp | None


@dataclass(frozen=True, eq=False)
class Saved:
    """A mask that was written.

    Attributes:
        path: of the file.
        mask: that was written.
        version: of the mask, when saving was asked for.
        problem: a sentence where the sidecar was not written.
        stamp: of the file; None with a problem.
    """

    path: Path
    mask: EditedMask
    version: int
    problem: str = ""
    stamp: FileStamp | None = None


@dataclass(frozen=True, eq=False)
class MaskOpened:
    """A label map of the open CT, and what it changes; see `Segmented`."""

    path: Path
    opened: OpenedMask
    change: Change
    version: int


@dataclass(frozen=True, eq=False)
class Compared:
    """The edited mask against another label map.

    Attributes:
        path: of the other one.
        mask: the edited one.
        labels: of the other one, uint8 (X, Y, Z).
        comparison: of the two.
        version: of the edited one that was compared.
        again: whether the two were compared before, and the edited one has changed.
    """

    path: Path
    mask: EditedMask
    labels: NDArray[np.uint8]
    comparison: Comparison
    version: int
    again: bool = False
