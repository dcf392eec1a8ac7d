"""Submanifold sparse convolution (Graham et al., CVPR 2018) with native CPU kernels, or in plain torch.

Semantics and weights are those of SparseConvNet. The names below need torch and are imported on first use; `network`
runs a trained network without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kidneyseg.sparse.sparseconvnet import from_sparseconvnet, load_sparseconvnet_file, to_sparseconvnet
    from kidneyseg.sparse.unet import SparseUNet

__all__ = ["SparseUNet", "from_sparseconvnet", "load_sparseconvnet_file", "to_sparseconvnet"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "unet" if name == "SparseUNet" else "sparseconvnet"
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
