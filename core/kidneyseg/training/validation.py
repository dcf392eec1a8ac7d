"""Validation of a network during training: Dice or IoU over the points of fixed samples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from kidneyseg.arrays import Indices, Mask
from kidneyseg.imaging.labels import KIDNEY
from kidneyseg.metrics import confusion, point_iou
from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.memory import out_of_memory
from kidneyseg.training.batches import Sample

log = logging.getLogger(__name__)

T = TypeVar("T")


def validator(samples: Sequence[Sample], names: Sequence[str]) -> Callable[[SparseUNet], dict[str, float]] | None:
    """A function that scores a network by its mean and lowest Dice over cells; None without samples.

    Args:
        samples: to score on. Dice of the first class counts every label above 0, as KiTS does: kidney with its lesions.
        names: of the classes from 1 on.
    """
    if not samples:
        return None

    def score(network: SparseUNet) -> dict[str, float]:
        dice: dict[str, list[float]] = {name: [] for name in names}
        for sample in samples:
            predicted = _predict(network, sample)
            if predicted is None:
                continue
            for label, name in enumerate(names, start=1):
                truth, guess = (_in_class(found, label) for found in (sample.labels, predicted))
                if truth.any():
                    dice[name].append(2 * float((truth & guess).sum()) / float(truth.sum() + guess.sum()))
        scores = {f"{name} mean": float(np.mean(values)) for name, values in dice.items() if values}
        return scores | {f"{name} worst": float(np.min(values)) for name, values in dice.items() if values}

    return score


def iou_validator(samples: Sequence[Sample], names: Sequence[str]) -> Callable[[SparseUNet], dict[str, float]] | None:
    """A function that scores a network by the IoU of each class over the pooled points; None without samples.

    Args:
        samples: to score on.
        names: of the classes from 0 on.
    """
    if not samples:
        return None

    def score(network: SparseUNet) -> dict[str, float]:
        counts = np.zeros((len(names), len(names)), np.int64)
        for sample in samples:
            predicted = _predict(network, sample)
            if predicted is not None:
                counts += confusion(predicted, sample.labels, len(names))
        scores = {f"{name} IoU": iou for name, iou in zip(names, point_iou(counts), strict=True)}
        return scores | {"IoU mean": float(np.mean(list(scores.values())))}

    return score


def unless_out_of_memory(compute: Callable[[], T], sample: Sample) -> T | None:
    """What `compute` gives for a sample; None, with a warning, where memory does not suffice."""
    try:
        return compute()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    log.warning("%s: out of memory with %d points; it is not scored", sample.case or "a case", len(sample.cells))
    return None


def _in_class(labels: NDArray[np.integer], label: int) -> Mask:
    return np.asarray(labels >= KIDNEY if label == KIDNEY else labels == label)


def _predict(network: SparseUNet, sample: Sample) -> Indices | None:
    """The most probable label of each point; None, with a warning, where memory does not suffice."""
    device = next(network.parameters()).device

    @torch.no_grad()
    def predicted() -> Indices:
        cells, features = (torch.from_numpy(array).to(device) for array in (sample.cells, sample.features))
        labels: Indices = network(cells, features).argmax(1).cpu().numpy()
        return labels

    return unless_out_of_memory(predicted, sample)
