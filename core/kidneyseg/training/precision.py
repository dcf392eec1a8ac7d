"""Mixed precision: the network computes in 16 bits on copies of its fp32 weights; the optimiser updates the latter.

Not autocast: the sparse kernels are autograd functions of their own, which autocast would leave in fp32.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call

from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.layers import BatchNormReLU

Precision = Literal["fp32", "bf16", "fp16"]
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def forward(network: SparseUNet, cells: Tensor, features: Tensor, precision: Precision) -> Tensor:
    """The network's logits, fp32 (N, classes); norms and the gradients of the weights stay in fp32.

    fp16 gradients below 6e-8 vanish: scale the loss (`torch.amp.GradScaler`).
    """
    if precision == "fp32":
        logits: Tensor = network(cells, features)
        return logits
    norms = {name for name, module in network.named_modules() if isinstance(module, BatchNormReLU)}
    half_weights = {
        name: weight.to(_TYPES[precision])
        for name, weight in network.named_parameters()
        if name.rpartition(".")[0] not in norms
    }
    half_logits: Tensor = functional_call(network, half_weights, (cells, features.to(_TYPES[precision])))
    return half_logits.float()
