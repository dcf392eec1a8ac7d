"""The context of a method's stage with one network for both stages."""

from __future__ import annotations

import numpy as np

from fake_networks import FakeNetwork
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.progress import Progress
from kidneyseg.segmentation.method import Context
from kidneyseg.segmentation.networks import Networks, Note
from kidneyseg.settings import preset
from kidneyseg.sparse.network import Network


def context_of(
    network: Network | FakeNetwork,
    volume: Volume | None = None,
    *,
    grid_mm: float | None = None,
    progress: Progress | None = None,
    note: Note = lambda _: None,
) -> Context:
    """A context of the method `default` on the CPU; where the volume does not matter it may be left out."""
    volume = volume or Volume(np.zeros((1, 1, 1), np.int16), (1.0, 1.0, 1.0), np.eye(4))
    model = Model(network, "net", "net-1", {} if grid_mm is None else {"grid_mm": grid_mm})
    networks = Networks(model, model)
    return Context(volume, preset("default"), networks, "cpu", progress or Progress(), note)
