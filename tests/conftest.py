"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # One thread each for the workers and the programs that they start: more would compete for the same cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from kidneyseg.sparse import native

# A shell starts its background jobs with Ctrl-C ignored, and the programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real CTs beside the repository; a test that asks for it is skipped where it is missing."""
    if not (DATA / "btcv").is_dir():
        pytest.skip("no real CTs: ../shared/data is missing")
    return DATA


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """The folder of small odd CTs; a test that asks for it is skipped where it is missing."""
    folder = DATA.parent / "cases"
    if not folder.is_dir():
        pytest.skip("no odd CTs: ../shared/cases is missing")
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """SparseConvNet's own inputs and outputs; a test that asks for them is skipped where they are missing."""
    folder = DATA.parent / "golden"
    if not folder.is_dir():
        pytest.skip("no reference outputs: ../shared/golden is missing")
    return folder


@pytest.fixture(params=["native", "torch", "cuda"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Runs a test on each set of kernels that is here: the device where its tensors belong."""
    if request.param == "cuda":
        _need_cuda()
        # cuDNN rounds the dense convolutions that tests compare with to 11 bits unless it is told not to.
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
        return torch.device("cuda")
    if request.param == "torch":
        monkeypatch.setattr(native, "available", lambda: False)
    elif not native.available():
        pytest.skip(native.reason())
    return torch.device("cpu")


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    """Runs a test on each device that is here, by the name that a user gives: for tests that take seconds.

    The torch kernels are the same code on either device, and `kernels` tests them on the CPU: twice would not be worth
    the time here. Nor could a process of its own be told to use them.
    """
    if request.param == "cuda":
        _need_cuda()
    return str(request.param)


def _need_cuda() -> None:
    if not torch.cuda.is_available():
        # These run the CUDA code itself; the CPU has been asked under the other names of the same fixture.
        pytest.skip("no CUDA GPU here")
