"""Validation during a training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kidneyseg.sparse import SparseUNet
from kidneyseg.training.batches import Sample
from kidneyseg.training.validation import iou_validator, validator


class Small(SparseUNet):
    """Predicts each point's feature, of at most so many points."""

    def __init__(self, most: int) -> None:
        super().__init__(1, 4, [4])
        self.most = most

    def forward(self, coords: torch.Tensor, features: torch.Tensor, spatial_size: int | None = None) -> torch.Tensor:
        if len(coords) > self.most:
            raise MemoryError
        return torch.nn.functional.one_hot(features[:, 0].long(), 4).float()


def sample(labels: list[int], case: str = "", *, predicted: list[int] | None = None) -> Sample:
    values = np.array(labels, np.uint8)
    features = np.array(predicted or labels, np.float32)[:, None]
    return Sample(np.zeros((len(values), 3), np.int64), features, values, case)


def test_iou_is_over_the_points_of_all_samples() -> None:
    """Points are pooled: a large sample counts more than a small one."""
    samples = [sample([0, 0, 1, 2], predicted=[0, 1, 1, 2]), sample([1, 1, 1, 1, 2], predicted=[1, 1, 1, 1, 1])]
    score = iou_validator(samples, ("tissue", "kidney", "tumour"))
    assert score is not None
    expected = {"tissue IoU": 1 / 2, "kidney IoU": 5 / 7, "tumour IoU": 1 / 2}
    assert score(Small(9)) == pytest.approx(expected | {"IoU mean": sum(expected.values()) / 3})
    assert iou_validator([], ("tissue", "kidney")) is None


def test_dice_of_kidney_is_with_its_lesions_and_cysts_are_no_tumour() -> None:
    truth, predicted = [0, 1, 2, 2, 3, 3], [1, 2, 2, 3, 3, 3]
    score = validator([sample(truth, predicted=predicted)], ("kidney", "tumour", "cyst"))
    assert score is not None
    found = score(Small(9))
    assert found["kidney mean"] == pytest.approx(10 / 11)
    assert found["tumour mean"] == pytest.approx(1 / 2)
    assert found["cyst mean"] == pytest.approx(4 / 5)


def test_a_sample_without_memory_is_named_and_the_others_are_scored(caplog: pytest.LogCaptureFixture) -> None:
    score = validator([sample([0, 1, 1], "fits"), sample([0, 1, 1, 0], "too_large")], ("kidney",))
    assert score is not None
    assert score(Small(3)) == {"kidney mean": 1.0, "kidney worst": 1.0}
    assert "too_large: out of memory with 4 points; it is not scored" in caplog.text
