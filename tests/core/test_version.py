"""The versions of what is installed."""

import numpy as np

from kidneyseg.version import installed


def test_what_is_not_installed_has_no_version() -> None:
    assert installed("numpy") == np.__version__
    assert installed("no-such-distribution") is None
