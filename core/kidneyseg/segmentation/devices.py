"""Where the networks run, by the name that a user gives. Asks torch only where there is an NVIDIA GPU.

`auto` takes CUDA where that is faster. To import torch and to start CUDA takes longer than the networks of one CT on
the native kernels. So `auto` runs the first CT of a process on the CPU and uses CUDA from the second on, as in a cohort
or in the window. Without the native kernels torch is needed in any case, and CUDA is used at once.
"""

from __future__ import annotations

import logging
import os
import warnings
from functools import cache
from pathlib import Path

from kidneyseg.errors import ResourceError
from kidneyseg.libraries import installed_version, require_torch
from kidneyseg.sparse import native

log = logging.getLogger(__name__)

# Where the driver lists its GPUs, and the device through which Windows lends its GPU to Linux.
_GPUS, _WINDOWS_GPU = Path("/proc/driver/nvidia/gpus"), Path("/dev/dxg")


def pick_device(name: str, *, first: bool = False) -> str:
    """The device for "auto", "cpu", "cuda" or "cuda:N": one of the latter three.

    Args:
        name: what the user chose.
        first: whether this is for the first CT of the process, which must pay for the start of CUDA; "auto" then takes
            the CPU where the native kernels were built.

    Raises:
        ResourceError: for "cuda" without a CUDA GPU, or an unknown name.
    """
    if name == "auto":
        return "cuda" if not (first and native.available()) and _has_cuda() else "cpu"
    if name == "cpu":
        return name
    if name.split(":", maxsplit=1)[0] == "cuda":
        require_torch("The device cuda", "gpu")
        if not _has_cuda():
            raise ResourceError(f"no CUDA GPU can be used here ({no_cuda_reason()}); choose the device auto or cpu")
        return name
    raise ResourceError(f"there is no device {name!r}; choose auto, cpu or cuda")


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU for torch, by what the driver and the installed torch say; takes no time.

    torch is not imported. Only torch knows whether the GPU can really be used.
    """
    return _known_obstacle() is None


def cuda_name() -> str:
    """The name of the GPU that torch would use; "none" where there is none."""
    if not has_gpu():
        return "none"
    import torch  # noqa: PLC0415 - takes a second, and most machines have no GPU

    with warnings.catch_warnings():  # `no_cuda_reason` has them in one sentence
        warnings.simplefilter("ignore")
        return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"


def no_cuda_reason() -> str | None:
    """Why no GPU can be used, as a clause, e.g. a driver that is too old for torch; None where one can be used."""
    if (reason := _known_obstacle()) is not None:
        return reason
    if cuda_name() != "none":
        return None
    import torch  # noqa: PLC0415 - takes a second, and only a GPU that fails to start gets here

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        first = str(error).strip().partition(". ")[0].partition("\n")[0].rstrip(".")
        return f"torch reports: {first}" if first else "torch cannot start CUDA"
    return "torch finds no GPU"


def _known_obstacle() -> str | None:
    """What stands in the way of a GPU, without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides the GPUs"
    if not (_WINDOWS_GPU.exists() or (_GPUS.is_dir() and any(_GPUS.iterdir()))):
        return "no NVIDIA driver with a GPU is loaded"
    version = installed_version("torch")
    if version is None:
        return "torch is not installed"
    return "the installed torch is built for CPUs" if version.endswith("+cpu") else None


def _has_cuda() -> bool:
    if cuda_name() != "none":
        return True
    if has_gpu():
        _say_once(f"the GPU is not used, the CPU does the work: {no_cuda_reason()}")
    return False


@cache
def _say_once(text: str) -> None:
    log.warning(text)
