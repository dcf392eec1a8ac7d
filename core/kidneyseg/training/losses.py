"""The loss: weighted cross-entropy plus soft Dice, over all points of a step's batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    class_weights: Sequence[float],
    dice_weight: float,
    total: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> Tensor:
    """Weighted cross-entropy plus `dice_weight` times one minus the mean soft Dice of the classes above 0.

    Args:
        logits: (N, classes). labels: int64 (N,); a label of `classes` stands for any class above 0: there only their
            sum is asked for, with the weight of class 1, and Dice looks away.
        total: makes sums over these points into sums over the whole batch, where other ranks hold the rest of it.

    A class that has no point in the batch takes no part in the Dice term; the cross-entropy still sees false positives.
    """
    weights = torch.tensor(class_weights, dtype=logits.dtype, device=logits.device)
    loose = labels == logits.shape[1]
    entropy = logits.new_zeros(())
    if loose.any():
        some = logits[loose].log_softmax(1)[:, 1:].logsumexp(1)
        entropy = -weights[1] * some.sum()
    sure = labels.masked_fill(loose, 0)
    total_weight = torch.where(loose, weights[1], weights[sure]).sum()
    logits, sure = logits[~loose], sure[~loose]
    entropy = entropy + torch.nn.functional.cross_entropy(logits, sure, weights, reduction="sum")
    truth = torch.nn.functional.one_hot(sure, logits.shape[1])[:, 1:].to(logits.dtype)
    guess = logits.softmax(1)[:, 1:]
    classes = truth.shape[1]
    sums = total(torch.cat([torch.stack([entropy, total_weight]), (guess * truth).sum(0), guess.sum(0), truth.sum(0)]))
    both, guessed, true = sums[2:].view(3, classes)
    present = (true > 0).to(sums.dtype)
    dice = (2 * both + 1) / (guessed + true + 1)
    missed = ((1 - dice) * present).sum() / present.sum().clamp(min=1)
    loss: Tensor = sums[0] / sums[1] + dice_weight * missed
    return loss
