"""Runs a network in torch: on CUDA, without the native kernels, or on SparseConvNet."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kidneyseg.arrays import Floats, Indices
from kidneyseg.sparse import memory
from kidneyseg.sparse.network import Network
from kidneyseg.sparse.passes import Report
from kidneyseg.sparse.scn_backend import on_backend
from kidneyseg.sparse.unet import SparseUNet


class TorchRunner:
    """A network's module on a device; see `network.Runner`."""

    def __init__(self, network: Network, device: str, backend: str) -> None:
        self.device = torch.device(device)
        self.module = on_backend(SparseUNet.of(network), backend).to(self.device)

    def __call__(self, coords: Indices | NDArray[np.int32], features: Floats, *, report: Report) -> Floats:
        """Logits; see `network.Runner`."""
        try:
            return self._logits(torch.from_numpy(coords).long(), torch.from_numpy(features), report)
        except torch.OutOfMemoryError:
            pass
        # Outside the handler, since the error keeps the failed pass's tensors alive.
        torch.cuda.empty_cache()
        raise memory.GpuMemoryError("the GPU ran out of memory")

    def _logits(self, coords: Tensor, features: Tensor, report: Report) -> Floats:
        # SparseConvNet can run out of memory too, not only our own network.
        with memory.memory_errors(), torch.inference_mode():
            logits: Tensor = self.module(coords.to(self.device), features.to(self.device), report=report)
            array: Floats = logits.float().cpu().numpy()
            return array
