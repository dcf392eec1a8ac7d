"""What the samplers share: cells of a lattice become a sample, and samples that show too little are drawn again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import CaseError
from kidneyseg.points.features import hu_features, stage2_features
from kidneyseg.training.batches import Sample

MIN_POINTS = 100
# CTs or crops whose anatomy a sampler keeps in memory.
MAX_ANATOMIES = 128


def as_sample(
    kept: NDArray[np.bool_], hu: NDArray[np.int16], labels: NDArray[np.uint8], level: float | None = None
) -> Sample:
    """The kept cells of a dense lattice (X, Y, Z), in lexicographic order; with the kidney's HU level for stage 2."""
    grey = hu[kept]
    features = hu_features(grey, 1) if level is None else stage2_features(grey, level, 2)
    return Sample(np.argwhere(kept), features, labels[kept])


def first_usable(draw: Callable[[], tuple[str, Sample | None]], *, tries: int = 50) -> Sample:
    """The first sample that shows enough.

    Args:
        draw: draws a case's name and a sample; None where the sample shows too little.
        tries: how many draws may show too little.

    Raises:
        CaseError: naming the last case.
    """
    for _ in range(tries):
        case, sample = draw()
        if sample is not None:
            return sample.of(case)
    raise CaseError(
        f"{case or 'a case'}: {tries} samples in a row show too little tissue; check this CT and its labels"
    )
