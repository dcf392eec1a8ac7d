"""The tools that change the mask by hand, and their options."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR

SMALLEST_MM, LARGEST_MM = 0.5, 60.0
NAMES = {KIDNEY: "Kidney", TUMOUR: "Tumour", CYST: "Cyst", TISSUE: "Nothing"}


class Tool(StrEnum):
    """What the left mouse button does over a slice."""

    POINTER = "pointer"  # crosshair, window and level
    BRUSH = "brush"
    ERASER = "eraser"
    LASSO = "lasso"
    THRESHOLD = "threshold"
    PIECE = "piece"
    CLICK = "click"


STROKES = (Tool.BRUSH, Tool.ERASER)


@dataclass(frozen=True)
class ToolOptions:
    """The tool and how it works.

    Attributes:
        tool: the one in use.
        label: that it gives.
        radius_mm: of brush, eraser and threshold ball.
        ball: whether brush and eraser paint a ball instead of a disc on the slice.
        hu_range: voxels outside it are not painted; None for all.
        over: the labels that may be painted over; None for all.
    """

    tool: Tool = Tool.POINTER
    label: int = TUMOUR
    radius_mm: float = 6.0
    ball: bool = False
    hu_range: tuple[int, int] | None = None
    over: frozenset[int] | None = None

    @property
    def painted_label(self) -> int:
        """The label that brush and eraser give."""
        return 0 if self.tool == Tool.ERASER else self.label

    @property
    def sized(self) -> bool:
        """Whether the tool has a radius."""
        return self.tool in (*STROKES, Tool.THRESHOLD)
