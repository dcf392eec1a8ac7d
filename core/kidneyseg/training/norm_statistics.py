"""BatchNorm statistics measured over batches, for networks that then use them unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.layers import BatchNormReLU
from kidneyseg.training.batches import Batch


def norms_of(network: SparseUNet) -> list[BatchNormReLU]:
    """The network's BatchNorm layers."""
    return [module for module in network.modules() if isinstance(module, BatchNormReLU)]


@torch.no_grad()
def measure_norms(
    networks: Sequence[SparseUNet], batches: Iterable[Batch], logits: Callable[[SparseUNet, Batch], Tensor]
) -> None:
    """Set the norms' statistics to their mean over the batches; `logits` runs a network on one batch.

    Running averages lag behind weights that still change; with one case per batch that costs most of the Dice.
    """
    norms = [norm for network in networks for norm in norms_of(network)]
    momenta = [norm.momentum for norm in norms]
    for i, batch in enumerate(batches):
        for norm in norms:
            norm.momentum = 1.0 / (i + 1)  # the plain mean over all batches so far
        for network in networks:
            logits(network.train(), batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
