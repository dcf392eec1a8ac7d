"""Which library runs a network: this package, or SparseConvNet if it is installed (see `scn_backend`)."""

from __future__ import annotations

from importlib.util import find_spec

from kidneyseg.errors import ResourceError
from kidneyseg.libraries import require_torch

BACKENDS = ("auto", "sparseconvnet")


def has_sparseconvnet() -> bool:
    """Whether the package can be imported."""
    return find_spec("sparseconvnet") is not None


def check_backend(backend: str) -> str:
    """The backend's name, if it can be used. Raises ResourceError if it is unknown or not installed."""
    if backend not in BACKENDS:
        raise ResourceError(f"there is no backend {backend!r}; choose {' or '.join(BACKENDS)}")
    if backend == "sparseconvnet":
        require_torch("SparseConvNet", "gpu")
    if backend == "sparseconvnet" and not has_sparseconvnet():
        raise ResourceError(
            "SparseConvNet is not installed here; build it from github.com/facebookresearch/SparseConvNet, "
            "or choose the backend auto"
        )
    return backend
