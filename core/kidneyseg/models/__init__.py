"""Reads and writes networks as fp16 safetensors; the bundled ones lie here, each with a model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from kidneyseg.errors import ModelError
from kidneyseg.files import write_whole
from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.backends import SparseConvNetUNet, on_backend

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

    network: SparseUNet  #: in eval mode, fp32, on the CPU
    name: str  #: the file's name without suffix, e.g. "default-stage1"
    id: str  #: name and the first 8 hex digits of the file's SHA-256, as in sidecars
    #: how it was trained (steps, cases, grid ...), as stored in the file
    info: Mapping[str, Any] = field(default_factory=dict)
    backend: str = "auto"  #: the library that runs it; see `sparse.backends`

    @cached_property
    def runs(self) -> SparseUNet | SparseConvNetUNet:
        """The network as its backend runs it. Raises ResourceError where the backend is not installed."""
        return on_backend(self.network, self.backend)

    @property
    def grid_mm(self) -> float | None:
        """Edge of the cells that it was trained on; None for a network of the paper's grid."""
        return self.info.get("grid_mm")


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
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 - not a mapping
        if metadata.get("format") != _FORMAT:
            raise ModelError(f"{path.name} holds no network of this program; {_REMEDY}")
        network = SparseUNet(**json.loads(metadata["config"]))
        network.load_state_dict(state)
        info = dict(json.loads(metadata.get("info", "{}")))
        if not isinstance(info.get("grid_mm"), int | float | None):
            raise ValueError("its grid_mm is not a number")
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ModelError(f"the network {path.name} is damaged ({error}); {_REMEDY}") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return Model(network.eval(), name, f"{name}-{digest}", info, backend)


def save_model(network: SparseUNet, path: Path, info: Mapping[str, Any]) -> None:
    """Write a network as fp16 safetensors.

    Raises:
        ModelError: when a weight does not fit fp16. OutputError: when the file cannot be written.
    """
    state = {name: value.detach().cpu().to(torch.float16).contiguous() for name, value in network.state_dict().items()}
    lost = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
    if lost:
        raise ModelError(f"{lost[0]} has values beyond fp16; training diverged, so nothing was saved")
    metadata = {"format": _FORMAT, "config": json.dumps(network.config), "info": json.dumps(dict(info))}
    write_whole(path, save(state, metadata))
