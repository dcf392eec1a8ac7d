"""The mask beside another mask of the same CT."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kidneyseg_gui.slices import Colour
from kidneyseg_gui.widgets import volume_text

if TYPE_CHECKING:
    from kidneyseg.editing.compare import Comparison

# How differences are drawn, by their values in `Comparison.difference`: only in this mask, only in the other, in both
# with another label.
DIFFERENCE_COLOURS: dict[int, Colour] = {1: (110, 220, 120), 2: (235, 90, 200), 3: (245, 190, 60)}


class Shown(StrEnum):
    """What the slices show of the two masks."""

    OURS = "this mask"
    OTHER = "the other mask"
    DIFFERENCE = "the differences"
    WIPE = "the wipe"  # this mask left of a line, the other one right of it


@dataclass(frozen=True, eq=False)
class Compare:
    """Another mask of the open CT.

    Attributes:
        name: of its file.
        labels: uint8 (X, Y, Z).
        comparison: of the open mask with this one.
        shown: what the slices show.
    """

    name: str
    labels: NDArray[np.uint8]
    comparison: Comparison
    shown: Shown = Shown.DIFFERENCE

    @property
    def text(self) -> str:
        """What is compared and shown, and how well the two agree, in a sentence."""
        found, there = self.comparison, self.comparison.ml_b
        agreed = "; ".join(
            f"{name.capitalize()} Dice {found.dice[name]:.3f} ({volume_text(here)}, there {volume_text(there[name])})"
            for name, here in found.ml_a.items()
            if name != "kidney_and_masses" and (here or there[name])
        )
        if self.shown == Shown.WIPE:
            return f"This mask left of the line, {self.name} right of it (drag the line; W ends the wipe). {agreed}"
        colours = ""
        if self.shown == Shown.DIFFERENCE:
            colours = " Green is only here, magenta only there, amber in both with other labels."
        shown = f"{self.shown.value.capitalize()} against {self.name} (D changes the view, W wipes between the two)."
        return f"{shown}{colours} {agreed}"

    @property
    def following(self) -> Shown:
        """What to show next, in turn."""
        return {Shown.OURS: Shown.OTHER, Shown.OTHER: Shown.DIFFERENCE}.get(self.shown, Shown.OURS)

    @property
    def wiped(self) -> Shown:
        """What to show when the wipe is asked for: the wipe, or the differences where it is shown already."""
        return Shown.DIFFERENCE if self.shown == Shown.WIPE else Shown.WIPE
