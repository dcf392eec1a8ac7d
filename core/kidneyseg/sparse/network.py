"""A trained network as plain arrays, and what runs it on a device. Needs torch only where torch runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Floats, Indices
from kidneyseg.libraries import require_torch
from kidneyseg.sparse import native
from kidneyseg.sparse.backends import check_backend
from kidneyseg.sparse.inference import NativeUNet
from kidneyseg.sparse.layout import Layout
from kidneyseg.sparse.passes import Report


class Runner(Protocol):
    """A network on a device."""

    def __call__(self, coords: Indices | NDArray[np.int32], features: Floats, *, report: Report) -> Floats:
        """Logits float32 (N, classes) of points on int64 or int32 (N, 3) with float32 (N, in_channels).

        Raises:
            GpuMemoryError: when a GPU runs out of memory. MemoryError: when the computer does.
        """


@dataclass(frozen=True, eq=False)
class Network:
    """A network's layout and weights, in eval mode."""

    layout: Layout
    weights: Mapping[str, Floats]  #: float32 by name, as in the state_dict of a `SparseUNet`
    _runners: dict[tuple[str, str], Runner] = field(default_factory=dict, repr=False)

    @staticmethod
    def checked(config: Mapping[str, Any], weights: Mapping[str, Floats]) -> Network:
        """The network of a file. Raises ValueError or TypeError where the weights do not fit the config."""
        layout = Layout(**config)
        layout.check({name: weight.shape for name, weight in weights.items()})
        return Network(layout, weights)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments of its layout."""
        return self.layout.config

    def biased(self, class_bias: Sequence[float]) -> Network:
        """A network whose logits are higher by `class_bias`: one number per class, or one for all."""
        bias = self.weights["linear.bias"] + np.asarray(class_bias, np.float32)
        return Network(self.layout, {**self.weights, "linear.bias": bias})

    def runner(self, device: str = "cpu", backend: str = "auto") -> Runner:
        """What runs it: the native kernels on the CPU where they were built, else torch. It is made once.

        Args:
            device: "cpu", "cuda" or "cuda:N".
            backend: see `backends`.

        Raises:
            ResourceError: where the backend is not installed.
        """
        key = device, check_backend(backend)
        if key not in self._runners:
            self._runners[key] = self._made(*key)
        return self._runners[key]

    def _made(self, device: str, backend: str) -> Runner:
        if device == "cpu" and backend == "auto" and native.available():
            return NativeUNet(self.layout, self.weights)
        if device == "cpu" and backend == "auto":
            require_torch(f"A CPU without the compiled kernels ({native.reason()})", "gpu")
        else:
            require_torch("A GPU or another backend", "gpu")
        from kidneyseg.sparse.torch_runner import TorchRunner  # noqa: PLC0415 - this backend alone imports torch

        return TorchRunner(self, device, backend)
