"""The hash that a CT is recognised by."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.imaging.volume import Volume


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_hash_is_of_the_voxels_with_x_fastest(order: str) -> None:
    hu = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume = Volume(np.array(hu, order=order), (1.0, 1.0, 1.0), np.eye(4))  # type: ignore[call-overload]
    assert volume.hu_sha256 == hashlib.sha256(hu.tobytes(order="F")).hexdigest()
    assert replace(volume, hu=hu + np.int16(1)).hu_sha256 != volume.hu_sha256
