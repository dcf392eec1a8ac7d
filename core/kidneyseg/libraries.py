"""The libraries that are installed, and what to install where one is missing."""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.util import find_spec

from kidneyseg.errors import ResourceError

# Whose versions a sidecar and `kidneyseg info` give, where they are installed.
NAMED = ("torch", "numpy", "scipy", "scikit-learn", "nibabel")


def installed_version(name: str) -> str | None:
    """The version of an installed package, by its name on the package index; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def is_installed_program() -> bool:
    """Whether this is the program of the installers, which pip does not reach."""
    return getattr(sys, "frozen", False)


def require_torch(purpose: str, extra: str) -> None:
    """Check that torch can be imported, which takes no time.

    Args:
        purpose: what needs it, as the beginning of a sentence.
        extra: the optional dependencies of this package that bring it, "gpu" or "train".

    Raises:
        ResourceError: it is not installed.
    """
    if find_spec("torch") is None:
        if is_installed_program():
            raise ResourceError(
                f"{purpose} needs torch, which the installed program does not have; "
                "install kidneyseg-cuda beside it, or use a checkout."
            )
        raise ResourceError(
            f"{purpose} needs torch, which is not installed. Install it: pip install 'kidneyseg[{extra}]', "
            "or in a checkout ./run --setup --with-torch."
        )
