"""The mask beside another mask of the same CT."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kidneyseg.editing.compare import Comparison

ONLY_OURS, ONLY_OTHER, OTHER_LABEL = 1, 2, 3
# How differences are drawn: red, green, blue.
DIFFERENCE_COLOURS = {ONLY_OURS: (110, 220, 120), ONLY_OTHER: (235, 90, 200), OTHER_LABEL: (245, 190, 60)}


class Shown(StrEnum):
    """Which of the two masks the slices show."""

    OURS = "this mask"
    OTHER = "the other mask"
    DIFFERENCE = "the differences"


@dataclass(frozen=True, eq=False)
class Compare:
    """Another mask of the open CT.

    Attributes:
        name: of its file.
        labels: uint8 (X, Y, Z).
        comparison: of the open mask, as it was when the other one was opened, with this one.
        shown: what the slices show.
    """

    name: str
    labels: NDArray[np.uint8]
    comparison: Comparison
    shown: Shown = Shown.DIFFERENCE

    @property
    def text(self) -> str:
        """What is compared and shown, and how well the two agree, in a sentence."""
        agreed = "   ".join(
            f"{name} Dice {dice:.3f}, {volume_text(ours)} against {volume_text(other)}"
            for name, dice, ours, other in rows_of(self.comparison)
        )
        return f"Compared with {self.name}: {self.shown.value} shown (D). {agreed}"

    @property
    def following(self) -> Shown:
        """What to show next, in turn."""
        order = list(Shown)
        return order[(order.index(self.shown) + 1) % len(order)]
