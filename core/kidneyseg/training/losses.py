"""The loss: weighted cross-entropy over all points of a step's batch, plus soft Dice, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    samples: Tensor,
    class_weights: Sequence[float],
    dice_weight: float,
    total: Callable[[Tensor], Tensor] = lambda sums: sums,
    *,
    given: float = 100.0,
) -> Tensor:
    """Weighted cross-entropy plus `dice_weight` times one minus the mean soft Dice of the classes above 0.

    Dice is taken of each sample by itself: of all points together, a small tumour would hardly count beside large ones.

    Args:
        logits: (N, classes).
        labels: int64 (N,); a label of `classes` stands for any class above 0: there only their sum is asked for, with
            the weight of class 1, and Dice looks away.
        samples: int64 (N,), the number of the sample that a point is of, from 0 on.
        class_weights: one a class. dice_weight: 0 leaves cross-entropy.
        total: makes sums over these points into sums over the whole batch, where other ranks hold the rest of it.
        given: points that every sample is given of every class, rightly guessed: so a sample without a class has a Dice
            too, the lower the more of it is guessed, and a few points that are hard to tell do not decide.
    """
    weights = torch.tensor(class_weights, dtype=logits.dtype, device=logits.device)
    loose = labels == logits.shape[1]
    entropy = logits.new_zeros(())
    if loose.any():
        some = logits[loose].log_softmax(1)[:, 1:].logsumexp(1)
        entropy = -weights[1] * some.sum()
    sure = labels.masked_fill(loose, 0)
    total_weight = torch.where(loose, weights[1], weights[sure]).sum()
    of_sample = torch.nn.functional.one_hot(samples)[~loose].to(logits.dtype).T
    logits, sure = logits[~loose], sure[~loose]
    entropy = entropy + torch.nn.functional.cross_entropy(logits, sure, weights, reduction="sum")
    truth = torch.nn.functional.one_hot(sure, logits.shape[1])[:, 1:].to(logits.dtype)
    guess = logits.softmax(1)[:, 1:]
    both, guessed, true = of_sample @ (guess * truth), of_sample @ guess, of_sample @ truth
    missed = 1 - (2 * both + given) / (guessed + true + given)
    sums = total(torch.stack([entropy, total_weight, missed.sum(), missed.new_tensor(float(missed.numel()))]))
    loss: Tensor = sums[0] / sums[1] + dice_weight * sums[2] / sums[3]
    return loss
