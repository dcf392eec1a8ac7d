"""How the mask is drawn and the views are arranged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg_gui.slices import Colour


@dataclass(frozen=True)
class LabelStyle:
    """How one label of the mask is drawn."""

    name: str
    colour: Colour
    visible: bool = True


@dataclass(frozen=True)
class Overlay:
    """How the mask is drawn over the slices and in 3-D. `opacity` is 0...1 of the fill."""

    shown: bool = True
    opacity: float = 0.4
    outlined: bool = True
    filled: bool = True
    labels: tuple[tuple[int, LabelStyle], ...] = (
        (KIDNEY, LabelStyle("Kidney", (226, 104, 76))),
        (TUMOUR, LabelStyle("Tumour", (255, 214, 64))),
        (CYST, LabelStyle("Cyst", (86, 180, 233))),
    )

    @property
    def drawn(self) -> frozenset[int]:
        """The labels that are not hidden."""
        return frozenset(label for label, style in self.labels if self.shown and style.visible)

    def style(self, label: int) -> LabelStyle:
        """The style of one label."""
        return dict(self.labels)[label]

    def with_label(self, label: int, **changes: Any) -> Overlay:
        """A copy with one label's style changed, e.g. `with_label(KIDNEY, visible=False)`."""
        return replace(self, labels=tuple((k, replace(v, **changes) if k == label else v) for k, v in self.labels))

    def all_shown(self) -> Overlay:
        """A copy in which nothing is hidden."""
        return replace(self, shown=True, labels=tuple((k, replace(v, visible=True)) for k, v in self.labels))


@dataclass(frozen=True)
class Display:
    """How the views are arranged. `maximised` names the pane that fills the window, "" for all four.

    `cloud` is what the 3-D pane shows: "deck", "sampled", "detected", "classes", "objects" or "surface". With
    `uncertainty` the slices show where the networks are unsure, with `points` the points of `cloud_on_slices`. With
    `patient` the title names the patient of a CT from DICOM.
    """

    radiological: bool = True
    crosshair: bool = True
    cloud: str = "surface"
    maximised: str = ""
    uncertainty: bool = False
    points: bool = False
    patient: bool = False

    @property
    def cloud_on_slices(self) -> str:
        """The cloud of the 3-D pane, or, where it shows none, that which the mask is filled from."""
        return "objects" if self.cloud in ("deck", "surface") else self.cloud
