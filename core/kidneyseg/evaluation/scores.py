"""Scores of one mask against its labels, on the CT's own voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kidneyseg.arrays import HU, Labels, Mask, bounding_box
from kidneyseg.errors import KidneySegError
from kidneyseg.evaluation.lesions import CystScore, LesionScore, score_cysts, score_lesions
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import HU_WINDOW
from kidneyseg.metrics import KITS23_CLASSES, confusion, crop_to_labels, kits23_dice, kits23_surface_dice
from kidneyseg.points.sampling import band_bounds
from kidneyseg.settings import BandSettings

# Groups, which are summarised apart. Where real lesions are labelled kidney, a predicted tumour may be true.
AS_IS = "Original CTs"
LESIONS_UNLABELLED = "Original CTs, real lesions labelled kidney"
INSERTED = "CTs with inserted tumours"
EXTRARENAL = "CTs with inserted masses that are not of a kidney"
CYSTS = "CTs with inserted cysts"
SLABS = "Slabs of CTs"
TRANSPLANTED = "CTs with kidneys of others, with lesions"
HEALTHY = "CTs with healthy kidneys of others"
# Groups of changed CTs.
CHANGED = (INSERTED, EXTRARENAL, CYSTS, SLABS, TRANSPLANTED, HEALTHY)

# Errors that end a case while the others continue.
UNUSABLE = (KidneySegError, MemoryError)

_NO_MEMORY = "this machine has too little free memory to score it; close other programs, then run the command again"
_POINT_CLASSES = 3
# KITS23_CLASSES as the tables call them.
_COLUMNS = {"kidney_and_masses": "kidney", "masses": "masses", "tumour": "tumour"}


@dataclass(frozen=True)
class CaseScore:
    """The scores of one mask. Volumes in mL; "kidney" includes tumours and cysts."""

    name: str  #: of this mask, unique
    #: of each of KITS23_CLASSES; None for masses and tumour where the truth holds none. "kidney_and_masses" and
    #: "tumour" are KiTS19's kidney and tumour as well.
    dice: Mapping[str, float | None]
    surface_dice: Mapping[str, float | None]  #: the same, at KiTS23's tolerances
    kidney_ml: tuple[float, float]  #: predicted and true volume
    tumour_ml: tuple[float, float]  #: predicted and true volume
    false_tumour_ml: float  #: labelled tumour and not tumour in the truth, whether it touches a true tumour or not
    lesions: tuple[LesionScore, ...] = ()  #: the true tumours, largest first
    false_positives_ml: tuple[float, ...] = ()  #: each predicted tumour that overlaps no true one, largest first
    cysts: tuple[CystScore, ...] = ()  #: the true cysts, largest first
    #: 3 x 3 confusion (rows true) of tissue, kidney, tumour over the points that the paper samples, None without a CT
    points: tuple[tuple[int, ...], ...] | None = None
    case: str = ""  #: name of the CT; the bootstrap draws masks of the same CT together
    group: str = AS_IS  #: masks of different groups are summarised apart
    growth: str = ""  #: growth type of its tumours, "" where it has none of a certain type
    extrarenal: float | None = None  #: the share of a mass that is not of a kidney that was labelled tumour
    reach: float | None = None  #: the share of the true tumours that stage 2 was shown; None where it is not measured
    seconds: float | None = None  #: wall-clock time of the segmentation, None for an existing mask
    peak_mb: float | None = None  #: the segmentation's peak memory, None for an existing mask

    @property
    def detected(self) -> int:
        """How many of the lesions were detected."""
        return sum(lesion.detected for lesion in self.lesions)

    def figures(self) -> dict[str, float | None]:
        """The scores that a summary averages, by column name; None where this case has none."""
        tumour_there = self.tumour_ml[1] > 0
        kidney, tumour = (pair[0] - pair[1] for pair in (self.kidney_ml, self.tumour_ml))
        return {
            **{f"{_COLUMNS[name]} Dice": value for name, value in self.dice.items()},
            **{f"{_COLUMNS[name]} surface Dice": value for name, value in self.surface_dice.items()},
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
        return asdict(self) | {"lesions": [asdict(one) | {"detected": one.detected} for one in self.lesions]}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> CaseScore:
        """The inverse of `to_dict`, also by way of JSON. Raises TypeError or KeyError for anything else."""
        points = values["points"]
        tuples: dict[str, Any] = {
            **{name: tuple(values[name]) for name in ("kidney_ml", "tumour_ml", "false_positives_ml")},
            "lesions": tuple(
                LesionScore(one["ml"], one["overlap"], one.get("contrast_hu")) for one in values["lesions"]
            ),
            "cysts": tuple(CystScore(**one) for one in values.get("cysts", ())),
            "points": None if points is None else tuple(tuple(row) for row in points),
        }
        return CaseScore(**{**values, **tuples})


@dataclass(frozen=True)
class Failure:
    """A case that could not be scored, and the reason with what to do about it."""

    name: str
    error: str
    case: str = ""
    group: str = AS_IS

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `Failure(**values)` is the inverse."""
        return asdict(self)


Outcome = CaseScore | Failure


def failed(error: Exception, name: str, case: str, group: str = AS_IS) -> Failure:
    """The Failure of a case that ended in one of UNUSABLE."""
    return Failure(name, _NO_MEMORY if isinstance(error, MemoryError) else str(error), case, group)


def score_case(
    pred: Labels,
    truth: Labels,
    spacing_mm: Sequence[float],
    *,
    name: str,
    hu: HU | None = None,
    case: str = "",
    group: str = AS_IS,
    growth: str = "",
    extrarenal: Mask | None = None,
) -> CaseScore:
    """Score a mask.

    Args:
        pred: uint8 (X, Y, Z): 0, 1 kidney, 2 tumour, 3 cyst.
        truth: uint8 (X, Y, Z), the same labels.
        spacing_mm: voxel edge lengths.
        name: of the mask.
        hu: int16 (X, Y, Z), the CT, for the point IoU and the lesions' contrast.
        case: the CT's name, where it differs from the mask's.
        group: the masks that it is summarised with.
        growth: the growth type of its tumours.
        extrarenal: bool (X, Y, Z), a mass that is not of a kidney.

    Raises:
        ValueError: the shapes differ.
    """
    cropped = crop_to_labels(pred, truth)  # raises ValueError for other shapes
    points = None if hu is None else _sampled_confusion(pred, truth, hu)
    called = None if extrarenal is None else float((pred[extrarenal] == TUMOUR).mean())
    box = bounding_box((pred != 0) | (truth != 0))
    shown = hu[box] if hu is not None and box is not None else None
    pred, truth = cropped
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    known = {kind: bool(np.isin(truth, labels).any()) for kind, labels in KITS23_CLASSES.items()}
    known["kidney_and_masses"] = True  # every case has a kidney: a Dice of 0 shows a wrong label map
    dice, surface = kits23_dice(pred, truth), kits23_surface_dice(pred, truth, spacing_mm)
    lesions, false_positives = score_lesions(pred, truth, voxel_ml, shown)
    return CaseScore(
        name=name,
        dice={kind: value if known[kind] else None for kind, value in dice.items()},
        surface_dice={kind: value if known[kind] else None for kind, value in surface.items()},
        kidney_ml=(_ml(pred != 0, voxel_ml), _ml(truth != 0, voxel_ml)),
        tumour_ml=(_ml(pred == TUMOUR, voxel_ml), _ml(truth == TUMOUR, voxel_ml)),
        false_tumour_ml=_ml((pred == TUMOUR) & (truth != TUMOUR), voxel_ml),
        lesions=lesions,
        false_positives_ml=false_positives,
        cysts=score_cysts(pred, truth, voxel_ml),
        points=points,
        case=case or name,
        group=group,
        growth=growth,
        extrarenal=called,
    )


def _sampled_confusion(pred: Labels, truth: Labels, hu: HU) -> tuple[tuple[int, ...], ...]:
    """Confusion of tissue, kidney with cysts, and tumour over the points that the paper samples in the whole volume."""
    lowest = band_bounds(hu, BandSettings())[-1][0]
    table = np.zeros((_POINT_CLASSES, _POINT_CLASSES), np.int64)
    for k in range(hu.shape[2]):
        kept = hu[:, :, k] >= lowest if lowest > HU_WINDOW[0] else np.ones(hu.shape[:2], bool)
        predicted, true = (np.where(part == CYST, KIDNEY, part) for part in (pred[:, :, k][kept], truth[:, :, k][kept]))
        table += confusion(predicted, true, _POINT_CLASSES)
    return tuple(map(tuple, table.tolist()))


def _ml(mask: Mask, voxel_ml: float) -> float:
    return int(np.count_nonzero(mask)) * voxel_ml
