"""Stage 1's reach."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.evaluation.reach import reach_of
from kidneyseg.evaluation.scores import INSERTED
from kidneyseg.evaluation.variants import CaseVariant
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import preset
from tiny_networks import tiny_models
from volumes import abdomen


def test_it_is_the_share_of_tumour_that_stage_2_sees(tmp_path):
    volume, truth = abdomen()
    pipeline = Pipeline(volume, device="cpu", models_dir=tiny_models(tmp_path))
    settings = preset("default")
    shown = pipeline.run(settings).stage2
    where = np.clip(
        ((shown.index[len(shown) // 2] + 0.5) * shown.lattice.step_mm / volume.spacing_mm).astype(int), 0, None
    )
    tumour = np.zeros_like(truth)
    tumour[tuple(where)] = TUMOUR  # in the region
    tumour[0, 0, 0] = TUMOUR  # in the air
    variant = CaseVariant("a", INSERTED, volume, tumour, growth="hilar")
    assert reach_of(pipeline, variant, settings) == pytest.approx(0.5)
    assert reach_of(pipeline, CaseVariant("a", INSERTED, volume, 0 * truth), settings) is None
