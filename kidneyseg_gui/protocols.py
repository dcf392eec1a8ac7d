"""What the window needs from the pipeline and its result. The tests' fakes are checked against these protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kidneyseg.findings import Findings
    from kidneyseg.points.cloud import PointCloud
    from kidneyseg.progress import Progress
    from kidneyseg.settings import Settings


class Result(Protocol):
    """A mask and how it came about; see `kidneyseg.segmentation.pipeline.Result`."""

    @property
    def mask(self) -> NDArray[np.uint8]:
        """Labels (X, Y, Z) on the volume's voxels: 0, 1 kidney, 2 tumour."""

    @property
    def sampled(self) -> PointCloud:
        """Stage 1's points with its labels."""

    @property
    def stage2(self) -> PointCloud:
        """Stage 2's points with its labels."""

    @property
    def objects(self) -> PointCloud:
        """The kidney and tumour points that DBSCAN kept."""

    @property
    def findings(self) -> Findings:
        """Measures of the mask."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user."""

    @property
    def settings(self) -> Settings:
        """The settings that made it."""


class Pipeline(Protocol):
    """Segments one volume, and re-runs only what a changed setting touches."""

    def run(self, settings: Settings, progress: Progress) -> Result:
        """Segment with these settings. Raises Cancelled when `progress` asks for it."""
