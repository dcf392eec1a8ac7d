"""The loss: weighted cross-entropy and soft Dice per sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kidneyseg.training.losses import segmentation_loss


def test_the_loss_is_lowest_for_the_truth_and_penalises_detections_of_absent_classes() -> None:
    labels, one = torch.tensor([0, 0, 1, 1, 0]), torch.zeros(5, dtype=torch.int64)
    right = torch.nn.functional.one_hot(labels, 3).float() * 20
    wrong = right.roll(1, dims=1)
    assert segmentation_loss(right, labels, one, (1, 1, 1), 1.0) < 1e-3
    assert segmentation_loss(wrong, labels, one, (1, 1, 1), 1.0) > 5
    nothing = torch.zeros(400, dtype=torch.int64)
    false = torch.nn.functional.one_hot(nothing + 2, 3).float() * 20
    dice = segmentation_loss(false, nothing, nothing, (1, 1, 1), 1.0) - segmentation_loss(
        false, nothing, nothing, (1, 1, 1), 0.0
    )
    assert dice.item() == pytest.approx((1 - 100 / 500) / 2, rel=1e-3)


def test_without_absent_classes_dice_asks_only_for_what_a_sample_holds() -> None:
    """Of 400 points of tissue called tumour, only the cross-entropy is left; a missed tumour costs what it cost."""
    nothing = torch.zeros(400, dtype=torch.int64)
    false = torch.nn.functional.one_hot(nothing + 2, 3).float() * 20
    losses = [
        segmentation_loss(false, nothing, nothing, (1, 1, 1), weight, absent=False).item() for weight in (0.0, 1.0)
    ]
    assert losses[0] == losses[1] == pytest.approx(20, rel=1e-3)
    tumour = torch.full((400,), 2)
    missed = torch.nn.functional.one_hot(nothing, 3).float() * 20
    dice = [segmentation_loss(missed, tumour, nothing, (1, 1, 1), weight, absent=False).item() for weight in (0.0, 1.0)]
    assert dice[1] - dice[0] == pytest.approx(1 - 100 / 500, rel=1e-3)


def test_a_small_tumour_counts_as_much_as_one_in_another_sample() -> None:
    """All points as one would hardly tell that a tumour of 300 points was missed beside one of 30000."""
    labels, samples = torch.zeros(60_000, dtype=torch.int64), torch.arange(60_000) // 30_000
    labels[:300], labels[30_000:] = 2, 2
    right = torch.nn.functional.one_hot(labels, 3).float() * 20
    loss = []
    for part in (slice(0, 300), slice(30_000, 30_300)):
        missed = right.clone()
        missed[part] = torch.tensor([20.0, 0.0, 0.0])
        loss.append(segmentation_loss(missed, labels, samples, (1, 1, 1), 1.0).item())
    assert loss[0] - loss[1] == pytest.approx((1 - 100 / 400) / 4, abs=0.01)


def test_a_kidney_that_may_be_tumour_is_right_as_either():
    labels, one = torch.tensor([0, 255, 255, 1]), torch.zeros(4, dtype=torch.int64)
    tissue, kidney, tumour = (20.0 * torch.eye(3)[k] for k in range(3))
    right = torch.stack([tissue, kidney, tumour, kidney])
    halves = torch.stack([tissue, kidney + tumour, kidney + tumour, kidney])
    for logits in (right, halves):
        assert segmentation_loss(logits, labels, one, (1, 1, 1), 1.0) < 0.05
    missed, lost = torch.stack([tissue, tissue, tumour, kidney]), 20 - float(np.log(2))
    assert segmentation_loss(missed, labels, one, (1, 1, 1), 0.0).item() == pytest.approx(lost / 4, rel=1e-3)
    assert segmentation_loss(missed, labels, one, (1, 5, 1), 0.0).item() == pytest.approx(5 * lost / 16, rel=1e-3)
