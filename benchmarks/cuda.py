"""Our torch kernels on a CUDA GPU. Times are of finished work: the GPU is waited for before the clock is read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.libraries import Case, Torch
from kidneyseg.version import __version__


class Cuda(Torch):
    """Our layers on the GPU. Points come from the CPU's memory, and results stay on the GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.version = f"kidneyseg {__version__} on {torch.cuda.get_device_name()}, torch {torch.__version__}"

    def prepare(self, case: Case) -> None:
        """As `Library.prepare`, on the GPU; and a first run, which compiles and chooses kernels."""
        super().prepare(case)
        self.model.cuda()
        super().measure()

    def sites(self) -> Any:
        """As `Torch.sites`."""
        return self._input(self.coords.cuda(), self.features.cuda())

    def make_maps(self, sites: Any) -> bool:
        """As `Torch.make_maps`."""
        made = super().make_maps(sites)
        torch.cuda.synchronize()
        return made

    def forward(self, sites: Any) -> Tensor:
        """As `Torch.forward`."""
        result = super().forward(sites)
        torch.cuda.synchronize()
        return result

    def outcome(self) -> dict[str, Tensor]:
        """As `Library.outcome`, in the CPU's memory."""
        return {name: value.cpu() for name, value in super().outcome().items()}

    def _train(self) -> None:
        super()._train()
        torch.cuda.synchronize()
