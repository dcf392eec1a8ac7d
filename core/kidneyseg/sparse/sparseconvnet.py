"""Converts SparseConvNet state_dicts to networks and back.

SparseConvNet names parameters by their position in nested containers. `_name_pairs` maps our names to those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kidneyseg.errors import ModelError
from kidneyseg.sparse.unet import SparseUNet


def from_sparseconvnet(state_dict: Mapping[str, Tensor], input_mode: int = 4) -> SparseUNet:
    """The network of a SparseConvNet checkpoint, with its weights, in eval mode.

    Planes, block repetitions, plain or residual blocks and the presence of the final BatchNormReLU are inferred from
    the state_dict (`sparseModel.*` and `linear.*`, as in SparseConvNet's ScanNet example).

    Args:
        state_dict: names to tensors; weights of older layouts, (27, in, out) or (27 * in, out), are accepted.
        input_mode: of `InputLayer`; it is not stored in a checkpoint.

    Raises:
        ModelError: for other checkpoints, and if entries are missing, left over or of the wrong shape.
    """
    state = {
        _current_name(name): value for name, value in state_dict.items() if not name.endswith("num_batches_tracked")
    }
    try:
        network = SparseUNet(**_read_config(state), input_mode=input_mode)
    except (KeyError, ValueError, IndexError) as error:
        raise ModelError(f"this is not a SparseConvNet U-Net checkpoint: {error} is missing or invalid") from error
    ours = network.state_dict()
    pairs = dict(_name_pairs(network))
    missing = [theirs for theirs in pairs.values() if theirs not in state]
    left_over = sorted(set(state) - set(pairs.values()))
    if missing or left_over:
        raise ModelError(
            "this SparseConvNet checkpoint does not fit the U-Net it seems to be: "
            f"{len(missing)} entries are missing {missing[:3]}, {len(left_over)} are left over {left_over[:3]}"
        )
    network.load_state_dict({name: _current_shape(state[theirs], ours[name], theirs) for name, theirs in pairs.items()})
    return network.eval()


def to_sparseconvnet(network: SparseUNet) -> dict[str, Tensor]:
    """The state_dict of the same network in SparseConvNet."""
    state = network.state_dict()
    return {theirs: state[ours] for ours, theirs in _name_pairs(network)}


def load_sparseconvnet_file(path: Path, input_mode: int = 4) -> SparseUNet:
    """`from_sparseconvnet` of a .pth file, from which only plain tensors are unpickled.

    Raises:
        ModelError: if the file cannot be read or is no such checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a damaged file torch.load raises whatever its unpickler or the zip reader does
        raise ModelError(f"{path} cannot be read as a checkpoint of plain tensors: {error}") from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path} holds no state_dict of tensors")
    return from_sparseconvnet(state, input_mode)


def _current_name(name: str) -> str:
    """The current name of an entry: in 2018 running statistics were in camel case; DataParallel adds a prefix."""
    name = name.removeprefix("module.")
    return name.replace("runningMean", "running_mean").replace("runningVar", "running_var")


def _current_shape(value: Tensor, like: Tensor, name: str) -> Tensor:
    """`value` in the current shape. Older weights lack the group axis or have filter and input channels flattened."""
    if value.numel() != like.numel() or (value.ndim and value.shape[-1] != like.shape[-1]):
        raise ModelError(f"{name} has shape {tuple(value.shape)} where {tuple(like.shape)} is needed")
    return value.detach().reshape(like.shape).to(like.dtype)


def _read_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    classes, last_planes = state["linear.weight"].shape
    unet = "sparseModel.2"
    residual = f"{unet}.0.1.0.weight" in state
    stride = 2 if residual else 1
    planes = [int(state["sparseModel.1.weight"].shape[-1])]
    reps, prefix = 0, unet
    first_norm = "1.0" if residual else "0"
    while f"{prefix}.{stride * reps}.{first_norm}.weight" in state and not _is_down(state, f"{prefix}.{stride * reps}"):
        reps += 1
    while f"{prefix}.{stride * reps}.1.1.weight" in state and _is_down(state, f"{prefix}.{stride * reps}"):
        planes.append(int(state[f"{prefix}.{stride * reps}.1.1.weight"].shape[-1]))
        prefix = f"{prefix}.{stride * reps}.1.2"
    if planes[0] != last_planes:
        raise ValueError(f"linear.weight for {planes[0]} planes")
    stem = state["sparseModel.1.weight"]
    return {
        "in_channels": stem.numel() // 27 // planes[0],
        "classes": int(classes),
        "planes": planes,
        "block_reps": reps,
        "residual": residual,
        "final_norm": "sparseModel.3.weight" in state,
    }


def _is_down(state: Mapping[str, Tensor], prefix: str) -> bool:
    """Whether this slot leads to a coarser level: only that has a convolution at `.1.4`."""
    return f"{prefix}.1.4.weight" in state


_NORM = ("weight", "bias", "running_mean", "running_var")


def _name_pairs(network: SparseUNet) -> Iterator[tuple[str, str]]:
    """(our name, SparseConvNet's name) of every entry of the network's state_dict."""
    config = network.config
    yield "stem.weight", "sparseModel.1.weight"
    yield from _level_pairs("unet", "sparseModel.2", len(config["planes"]), config["block_reps"], config["residual"])
    if config["final_norm"]:
        yield from _norm_pairs("final_norm", "sparseModel.3")
    yield "linear.weight", "linear.weight"
    yield "linear.bias", "linear.bias"


def _norm_pairs(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    for entry in _NORM:
        yield f"{ours}.{entry}", f"{theirs}.{entry}"


def _level_pairs(ours: str, theirs: str, depth: int, reps: int, residual: bool) -> Iterator[tuple[str, str]]:
    stride = 2 if residual else 1
    for i in range(reps):
        yield from _block_pairs(f"{ours}.before.{i}", theirs, stride * i, residual, widened=False)
    if depth == 1:
        return
    branch = f"{theirs}.{stride * reps}.1"
    yield from _norm_pairs(f"{ours}.down_norm", f"{branch}.0")
    yield f"{ours}.down.weight", f"{branch}.1.weight"
    yield from _level_pairs(f"{ours}.deeper", f"{branch}.2", depth - 1, reps, residual)
    yield from _norm_pairs(f"{ours}.up_norm", f"{branch}.3")
    yield f"{ours}.up.weight", f"{branch}.4.weight"
    for i in range(reps):
        slot = stride * (reps + i) + 2
        yield from _block_pairs(f"{ours}.after.{i}", theirs, slot, residual, widened=i == 0)


def _block_pairs(ours: str, theirs: str, slot: int, residual: bool, *, widened: bool) -> Iterator[tuple[str, str]]:
    if not residual:
        yield from _norm_pairs(f"{ours}.norm", f"{theirs}.{slot}.0")
        yield f"{ours}.conv.weight", f"{theirs}.{slot}.1.weight"
        return
    if widened:
        yield f"{ours}.shortcut.weight", f"{theirs}.{slot}.0.weight"
    inner = f"{theirs}.{slot}.1"
    for part, place in (("first", 0), ("second", 2)):
        yield from _norm_pairs(f"{ours}.{part}.norm", f"{inner}.{place}")
        yield f"{ours}.{part}.conv.weight", f"{inner}.{place + 1}.weight"
