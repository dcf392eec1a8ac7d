"""One case's mask against its labels: every figure that evaluation knows, on the CT's own voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import KidneySegError
from kidneyseg.evaluation.lesions import Lesion, detect
from kidneyseg.imaging.volume import HU_WINDOW
from kidneyseg.metrics import KITS23_CLASSES, bounding_box, confusion, kits23_dice, kits23_surface_dice
from kidneyseg.points.sampling import band_bounds
from kidneyseg.settings import BandSettings

# The group of a CT that nothing was inserted into.
AS_IS = "as they are"
# The same where the labels call real lesions kidney: a tumour found there may be true.
LESIONS_UNLABELLED = "as they are, real lesions labelled kidney"

# What ends a case while the others go on.
UNUSABLE = (KidneySegError, MemoryError)

_NO_MEMORY = "this machine has too little free memory to score it; close other programs, then run the command again"
_KIDNEY, _TUMOUR, _CYST = 1, 2, 3
_POINT_CLASSES = 3


@dataclass(frozen=True)
class CaseScore:
    """What one mask scored. Volumes in mL; "kidney" is all of it, tumours and cysts included.

    Attributes:
        name: of this mask, unique.
        dice: of each of KITS23_CLASSES; None for masses and tumour where the truth holds none.
            "kidney_and_masses" and "tumour" are KiTS19's kidney and tumour as well.
        surface_dice: the same, at KiTS23's tolerances.
        kidney_ml: as found, and as it is.
        tumour_ml: as found, and as it is.
        false_tumour_ml: what was called tumour and is none, touching a true one or not.
        lesions: the true tumours, largest first.
        false_positives_ml: each tumour that overlaps no true one, largest first.
        points: 3 x 3 confusion (rows true) of tissue, kidney, tumour over the points that the paper samples, None
            without a CT.
        case: the CT; masks of the same CT are drawn together by the bootstrap.
        group: masks of different groups are summarised apart.
        seconds: wall clock of the segmentation, None where the mask was there already.
        peak_mb: the segmentation's peak memory, None where the mask was there already.
    """

    name: str
    dice: Mapping[str, float | None]
    surface_dice: Mapping[str, float | None]
    kidney_ml: tuple[float, float]
    tumour_ml: tuple[float, float]
    false_tumour_ml: float
    lesions: tuple[Lesion, ...] = ()
    false_positives_ml: tuple[float, ...] = ()
    points: tuple[tuple[int, ...], ...] | None = None
    case: str = ""
    group: str = AS_IS
    seconds: float | None = None
    peak_mb: float | None = None

    def figures(self) -> dict[str, float | None]:
        """The figures that have a mean, by their column's name; None where this case has none."""
        tumour_there = self.tumour_ml[1] > 0
        kidney, tumour = (pair[0] - pair[1] for pair in (self.kidney_ml, self.tumour_ml))
        return {
            **{f"{_SPOKEN[name]} Dice": value for name, value in self.dice.items()},
            **{f"{_SPOKEN[name]} surface Dice": value for name, value in self.surface_dice.items()},
            "kidney error mL": kidney,
            "kidney error %": 100 * kidney / self.kidney_ml[1] if self.kidney_ml[1] else None,
            "kidney absolute error %": 100 * abs(kidney) / self.kidney_ml[1] if self.kidney_ml[1] else None,
            "tumour error mL": tumour if tumour_there else None,
            "tumour error %": 100 * tumour / self.tumour_ml[1] if tumour_there else None,
            "tumour absolute error %": 100 * abs(tumour) / self.tumour_ml[1] if tumour_there else None,
            "false tumour mL": self.false_tumour_ml,
            "seconds": self.seconds,
            "peak MB": self.peak_mb,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"lesions": [asdict(one) | {"found": one.found} for one in self.lesions]}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> CaseScore:
        """The inverse of `to_dict`, also by way of JSON. Raises TypeError or KeyError for anything else."""
        points = values["points"]
        return CaseScore(
            **{
                **values,
                "kidney_ml": tuple(values["kidney_ml"]),
                "tumour_ml": tuple(values["tumour_ml"]),
                "lesions": tuple(Lesion(one["ml"], one["hit"]) for one in values["lesions"]),
                "false_positives_ml": tuple(values["false_positives_ml"]),
                "points": None if points is None else tuple(tuple(row) for row in points),
            }
        )


@dataclass(frozen=True)
class Failure:
    """A case that could not be scored, and why: one sentence or two with the mend."""

    name: str
    error: str
    case: str = ""
    group: str = AS_IS

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `Failure(**values)` is the inverse."""
        return asdict(self)


Outcome = CaseScore | Failure


def failed(error: Exception, name: str, case: str, group: str = AS_IS) -> Failure:
    """What is told of a case that ended in one of UNUSABLE."""
    return Failure(name, _NO_MEMORY if isinstance(error, MemoryError) else str(error), case, group)


_SPOKEN = {"kidney_and_masses": "kidney", "masses": "masses", "tumour": "tumour"}


def score_case(
    pred: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    spacing_mm: Sequence[float],
    *,
    name: str,
    hu: NDArray[np.int16] | None = None,
    case: str = "",
    group: str = AS_IS,
) -> CaseScore:
    """Score a mask.

    Args:
        pred: uint8 (X, Y, Z): 0, 1 kidney, 2 tumour, 3 cyst.
        truth: uint8 (X, Y, Z), the same labels.
        spacing_mm: voxel edge lengths.
        name: of the mask.
        hu: int16 (X, Y, Z), the CT: only the point IoU needs it.
        case: the CT's name, where it is not the mask's.
        group: what it is to be summarised with.

    Raises:
        ValueError: the shapes differ.
    """
    if pred.shape != truth.shape:
        raise ValueError(f"cannot compare {pred.shape} with {truth.shape}: the shapes must be the same")
    points = None if hu is None else _sampled_confusion(pred, truth, hu)
    # All but the points concerns what is labelled on either side.
    box = bounding_box((pred != 0) | (truth != 0))
    pred, truth = pred[box], truth[box]
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    known = {kind: bool(np.isin(truth, labels).any()) for kind, labels in KITS23_CLASSES.items()}
    known["kidney_and_masses"] = True  # a CT without any kidney is no case, so 0 tells of a wrong label map
    dice, surface = kits23_dice(pred, truth), kits23_surface_dice(pred, truth, spacing_mm)
    lesions, false_positives = detect(pred, truth, voxel_ml)
    return CaseScore(
        name=name,
        dice={kind: value if known[kind] else None for kind, value in dice.items()},
        surface_dice={kind: value if known[kind] else None for kind, value in surface.items()},
        kidney_ml=(_ml(pred != 0, voxel_ml), _ml(truth != 0, voxel_ml)),
        tumour_ml=(_ml(pred == _TUMOUR, voxel_ml), _ml(truth == _TUMOUR, voxel_ml)),
        false_tumour_ml=_ml((pred == _TUMOUR) & (truth != _TUMOUR), voxel_ml),
        lesions=lesions,
        false_positives_ml=false_positives,
        points=points,
        case=case or name,
        group=group,
    )


def _sampled_confusion(
    pred: NDArray[np.uint8], truth: NDArray[np.uint8], hu: NDArray[np.int16]
) -> tuple[tuple[int, ...], ...]:
    """Tissue, kidney (cysts included), tumour over the brightest voxels of the whole box, as the paper samples them."""
    lowest = band_bounds(hu, BandSettings())[-1][0]
    table = np.zeros((_POINT_CLASSES, _POINT_CLASSES), np.int64)
    for k in range(hu.shape[2]):
        kept = hu[:, :, k] >= lowest if lowest > HU_WINDOW[0] else np.ones(hu.shape[:2], bool)
        found, true = (np.where(part == _CYST, _KIDNEY, part) for part in (pred[:, :, k][kept], truth[:, :, k][kept]))
        table += confusion(found, true, _POINT_CLASSES)
    return tuple(tuple(int(n) for n in row) for row in table)


def _ml(mask: NDArray[np.bool_], voxel_ml: float) -> float:
    return int(np.count_nonzero(mask)) * voxel_ml
