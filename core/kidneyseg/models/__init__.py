"""Reads and writes networks as fp16 safetensors; the bundled ones lie here, each with a model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from kidneyseg.errors import ModelError
from kidneyseg.files import write_whole
from kidneyseg.sparse.network import Network, Runner

BUNDLED = Path(__file__).parent
_FORMAT = "kidneyseg-unet-1"
_REMEDY = "reinstall, or train one: kidneyseg train"


class Stage(StrEnum):
    """The networks of a method. Stage 2 starts training from the weights of COARSE; inference does not use that one."""

    STAGE1 = "stage1"
    COARSE = "coarse"
    STAGE2 = "stage2"


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and its metadata."""

    network: Network  #: fp32
    name: str  #: the file's name without suffix, e.g. "default-stage1"
    id: str  #: name and the first 8 hex digits of the file's SHA-256, as in sidecars
    #: how it was trained (steps, cases, grid ...), as stored in the file
    info: Mapping[str, Any] = field(default_factory=dict)
    backend: str = "auto"  #: the library that runs it; see `sparse.backends`

    def runner(self, device: str) -> Runner:
        """The network on "cpu", "cuda" or "cuda:N". Raises ResourceError where its backend is not installed."""
        return self.network.runner(device, self.backend)

    @property
    def grid_mm(self) -> float | None:
        """Edge of the cells that it was trained on; None for a network of the paper's grid."""
        return self.info.get("grid_mm")

    @property
    def kept_probability(self) -> float:
        """Of a stage 1 of the paper's grid: stage 2 sees the points to which it gives at least this probability of
        kidney."""
        return float(self.info.get("kept_probability", 0.5))


def model_name(method: str, stage: Stage) -> str:
    """The file name (without suffix) of a method's network."""
    return f"{method}-{stage}"


def load_model(name: str, directory: Path | None = None, backend: str = "auto") -> Model:
    """Read `<directory>/<name>.safetensors`, by default from the bundled models.

    Raises:
        ModelError: when the file is missing, damaged or not a network of this program.
    """
    path = (directory or BUNDLED) / f"{name}.safetensors"
    if not path.is_file():
        raise ModelError(f"the network {path.name} is missing in {path.parent}; {_REMEDY}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key).astype(np.float32) for key in file.keys()}  # noqa: SIM118 - cannot be iterated
        if metadata.get("format") != _FORMAT:
            raise ModelError(f"{path.name} holds no network of this program; {_REMEDY}")
        network = Network.checked(json.loads(metadata["config"]), state)
        info = dict(json.loads(metadata.get("info", "{}")))
        if not isinstance(info.get("grid_mm"), int | float | None):
            raise ValueError("its grid_mm is not a number")
        if not isinstance(info.get("kept_probability", 0.5), int | float):
            raise ValueError("its kept_probability is not a number")
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"the network {path.name} is damaged ({error}); {_REMEDY}") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return Model(network, name, f"{name}-{digest}", info, backend)


def save_model(network: Network, path: Path, info: Mapping[str, Any]) -> None:
    """Write a network as fp16 safetensors.

    Raises:
        ModelError: when a weight does not fit fp16. OutputError: when the file cannot be written.
    """
    with np.errstate(over="ignore"):
        state = {name: np.ascontiguousarray(value, np.float16) for name, value in network.weights.items()}
    lost = [name for name, value in state.items() if not np.isfinite(value).all()]
    if lost:
        raise ModelError(f"{lost[0]} has values beyond fp16; training diverged, so nothing was saved")
    metadata = {"format": _FORMAT, "config": json.dumps(network.config), "info": json.dumps(dict(info))}
    write_whole(path, save(state, metadata))
