"""Validation during a training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kidneyseg.sparse import SparseUNet
from kidneyseg.training.batches import Sample
from kidneyseg.training.validation import validator


def test_a_sample_without_memory_is_named_and_the_others_are_scored(caplog: pytest.LogCaptureFixture) -> None:
    class Small(SparseUNet):
        def forward(
            self, coords: torch.Tensor, features: torch.Tensor, spatial_size: int | None = None
        ) -> torch.Tensor:
            if len(coords) > 3:
                raise MemoryError
            return torch.nn.functional.one_hot(features[:, 0].long(), 2).float()

    def sample(labels: list[int], case: str) -> Sample:
        values = np.array(labels, np.uint8)
        return Sample(np.zeros((len(values), 3), np.int64), values[:, None].astype(np.float32), values, case)

    score = validator([sample([0, 1, 1], "fits"), sample([0, 1, 1, 0], "too_large")], ("kidney",))
    assert score is not None
    assert score(Small(1, 2, [4])) == {"kidney mean": 1.0, "kidney worst": 1.0}
    assert "too_large: out of memory with 4 points; it is not scored" in caplog.text
