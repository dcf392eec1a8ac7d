"""What was found in a mask, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from kidneyseg.arrays import Voxel

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Flag:
    """Something unusual about a result."""

    code: str  #: a word for programs, such as "cut"
    sentence: str  #: for the user


@dataclass(frozen=True)
class KidneyFinding:
    """One kidney."""

    side: Side | None  #: if known
    ml: float  #: volume of its tissue, without tumour and cysts, in mL
    tumour_ml: float  #: volume of the tumour on it, in mL
    #: the voxel of its tissue nearest the centre of mass; in its largest piece, if it has several
    centre: Voxel = (0, 0, 0)


@dataclass(frozen=True)
class Confidence:
    """How sure it is that an object is a tumour; see `segmentation.confidence`."""

    probability: float  #: that it is one, 0 ... 1
    dice: float  #: predicted Dice of its voxels and the true tumour's, 0 ... 1


@dataclass(frozen=True)
class TumourFinding:
    """One connected tumour."""

    side: Side | None  #: that it lies on, if known
    ml: float  #: volume in mL
    longest_mm: float  #: longest diameter in mm
    centre: Voxel = (0, 0, 0)  #: its voxel nearest the centre of mass
    kidney_contact: float = 1.0  #: share of its surface that touches kidney
    confidence: Confidence | None = None  #: in it; None where it is unknown


@dataclass(frozen=True)
class CystFinding:
    """One connected cyst; attributes as of a `TumourFinding`, without the contact and the confidence."""

    side: Side | None
    ml: float
    longest_mm: float
    centre: Voxel = (0, 0, 0)


@dataclass(frozen=True)
class Findings:
    """What was found in a mask."""

    #: right before left; only sides with at least LEAST_KIDNEY_ML of kidney and tumour together. With more than two
    #: kidney-sized components, or without a midline, one for each component of that volume.
    kidneys: tuple[KidneyFinding, ...]
    tumours: tuple[TumourFinding, ...]  #: largest first; components of at least LEAST_TUMOUR_ML
    kidney_ml: float  #: all kidney voxels of the mask, tumour and cysts not included
    tumour_ml: float  #: all tumour voxels of the mask
    horseshoe: bool = False  #: the kidneys are joined across the midline; their volumes are then split at it
    kidney_sized: int = 0  #: connected components of at least 40 mL of kidney and tumour
    side_unknown: str = ""  #: why left and right are unknown; "" where they are known
    cysts: tuple[CystFinding, ...] = ()  #: largest first; components of at least LEAST_TUMOUR_ML
    cyst_ml: float = 0.0  #: all cyst voxels of the mask
    flags: tuple[Flag, ...] = ()  #: what is unusual; see `findings.flags`

    def kidney(self, side: Side) -> KidneyFinding | None:
        """The (first) kidney of that side, None where none was found."""
        return next((kidney for kidney in self.kidneys if kidney.side == side), None)

    def sentences(self) -> tuple[str, ...]:
        """Sentences for the user on what is missing or unusual; none when both kidneys were found and nothing is."""
        if not self.kidneys:
            return ("No kidneys were found in this scan, so the mask is empty or holds only small fragments.",)
        notes = []
        if self.kidney_sized > 2:
            notes.append(f"{self.kidney_sized} kidney-sized bodies were found. Does the file hold two scans?")
        if self.side_unknown:
            notes.append(f"No sides are given, since {self.side_unknown}; left and right cannot be verified.")
        elif self.horseshoe:
            notes.append("The kidneys are joined across the midline; their volumes are split there.")
        elif len({kidney.side for kidney in self.kidneys}) == 1:
            side = self.kidneys[0].side
            notes.append(f"Only the {side} kidney was found; the {'left' if side == 'right' else 'right'} one was not.")
        return (*notes, *(flag.sentence for flag in self.flags))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            **asdict(self),
            "kidneys": [asdict(k) for k in self.kidneys],
            "tumours": [asdict(t) for t in self.tumours],
            "cysts": [asdict(c) for c in self.cysts],
            "flags": [asdict(f) for f in self.flags],
        }
