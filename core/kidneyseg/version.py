"""The version of this distribution, and of the libraries beside it."""

from importlib import metadata

__version__ = "0.2.0"


def installed(distribution: str) -> str | None:
    """The version of another distribution, e.g. "torch"; None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
