"""The loss: weighted cross-entropy over all points of a batch, plus soft Dice of each sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from kidneyseg.training.batches import ANY_FOREGROUND


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    samples: Tensor,
    class_weights: Sequence[float],
    dice_weight: float,
    total: Callable[[Tensor], Tensor] = lambda sums: sums,
    *,
    smooth: float = 100.0,
    absent: bool = True,
) -> Tensor:
    """Weighted cross-entropy plus `dice_weight` times one minus the mean soft Dice of the classes above 0.

    Dice is taken per sample: over all points of a batch, a small tumour would hardly count beside a large one.

    Args:
        logits: float (N, classes).
        labels: int64 (N,). The label ANY_FOREGROUND means just that: the cross-entropy then takes the sum of
            their probabilities, with the weight of class 1, and Dice ignores the point.
        samples: int64 (N,), the index of each point's sample, from 0.
        class_weights: one per class.
        dice_weight: 0 leaves the cross-entropy alone.
        total: turns sums over these points into sums over the whole batch, where other ranks hold the rest of it.
        smooth: added to numerator and denominator of the Dice, in points. It defines the Dice of a class that is
            absent from a sample, which falls as more of it is predicted, and limits the influence of very small
            structures.
        absent: whether that Dice counts. Where it does, a class that few samples hold is hardly learnt: its first
            suspicions cost more in the samples without it than they gain in the others.
    """
    weights = torch.tensor(class_weights, dtype=logits.dtype, device=logits.device)
    ambiguous = labels == int(ANY_FOREGROUND)
    entropy = logits.new_zeros(())
    if ambiguous.any():
        any_foreground = logits[ambiguous].log_softmax(1)[:, 1:].logsumexp(1)
        entropy = -weights[1] * any_foreground.sum()
    known = labels.masked_fill(ambiguous, 0)
    total_weight = torch.where(ambiguous, weights[1], weights[known]).sum()
    in_sample = one_hot(samples)[~ambiguous].to(logits.dtype).T
    logits, known = logits[~ambiguous], known[~ambiguous]
    entropy = entropy + cross_entropy(logits, known, weights, reduction="sum")
    truth = one_hot(known, logits.shape[1])[:, 1:].to(logits.dtype)
    predicted = logits.softmax(1)[:, 1:]
    intersection = in_sample @ (predicted * truth)
    sizes = in_sample @ predicted + in_sample @ truth
    dice_loss = 1 - (2 * intersection + smooth) / (sizes + smooth)
    counted = torch.ones_like(dice_loss) if absent else (in_sample @ truth > 0).to(dice_loss.dtype)
    sums = total(torch.stack([entropy, total_weight, (dice_loss * counted).sum(), counted.sum()]))
    loss: Tensor = sums[0] / sums[1] + dice_weight * sums[2] / sums[3].clamp(min=1)
    return loss
