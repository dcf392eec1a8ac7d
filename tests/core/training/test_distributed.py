"""Two processes do what one does with the whole batch: loss, norms, gradients, steps."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bright_ball import BrightBall
from kidneyseg.errors import SettingsError
from kidneyseg.sparse import SparseUNet
from kidneyseg.training.batches import Loader, Sample
from kidneyseg.training.distributed import Ranks, joined, synchronise_norms
from kidneyseg.training.losses import segmentation_loss
from kidneyseg.training.run_folder import BusyError, lock
from kidneyseg.training.trainer import RunOptions, Trainer, TrainingPlan

PLAN = TrainingPlan(steps=6, batch=3, learning_rate=1e-3, norm_samples=2, check_every=3, class_weights=(1.0, 2.0, 3.0))


@dataclass(frozen=True)
class Rare:
    """Balls; every other one has a few points of a third class."""

    def draw(self, rng: np.random.Generator, step: int = 0) -> Sample:
        sample = BrightBall().draw(rng)
        if rng.random() < 0.5:
            sample.labels[:7] = 2
        return sample


def gradients(ranks: Ranks, device: torch.device, *, frozen: bool) -> dict[str, Tensor]:
    """One step's gradients, loss and norm statistics with a batch of 3 shared by the ranks."""
    torch.manual_seed(0)
    network = SparseUNet(1, 3, [4, 8, 8], residual=True).to(device)
    if ranks.count > 1:
        synchronise_norms(network)
    network.train(not frozen)
    batch = next(Loader(Rare(), 3, ranks.shard(3)).batches(0, [0]))
    logits = network(batch.cells.to(device), batch.features.to(device))
    labels, samples = batch.labels.to(device), batch.cells[:, 3].to(device)
    loss = segmentation_loss(logits, labels, samples, (1.0, 2.0, 3.0), 1.0, ranks.total)
    torch.autograd.backward(loss)
    ranks.sum_gradients(network.parameters())
    found = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    return on_cpu({**found, **dict(network.named_buffers()), "loss": loss.detach()})


def trained(folder: Path, ranks: Ranks, device: torch.device) -> dict[str, Tensor]:
    """The weights after six steps, norms frozen after three."""
    torch.manual_seed(ranks.rank)  # the first rank's weights go to all
    score = {"rare mean": 0.5}
    network = SparseUNet(1, 3, [4, 8, 8], residual=True)
    work = Trainer(network, Rare(), PLAN, folder, lambda _: score, options=RunOptions(device=device, ranks=ranks))
    work.run()
    return on_cpu(work.network.state_dict())


def on_cpu(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in values.items()}


def main() -> None:
    folder, device = Path(sys.argv[1]), torch.device(sys.argv[2])
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    with joined(device) as ranks:
        for frozen in (False, True):
            torch.save(gradients(ranks, device, frozen=frozen), folder / f"gradients-{frozen}-{ranks.rank}.pt")
        torch.save(trained(folder / "run", ranks, device), folder / f"weights-{ranks.rank}.pt")
        try:
            with lock(folder / "busy", ranks):
                said = "locked"
        except BusyError as error:
            said = str(error)
        (folder / f"busy-{ranks.rank}.txt").write_text(said)
    (folder / f"threads-{ranks.rank}.txt").write_text(" ".join(threads_of_the_group()))


def threads_of_the_group() -> list[str]:
    """Names of gloo's threads in this process that are still there after five seconds."""
    for _ in range(100):
        names = []
        for task in Path("/proc/self/task").iterdir():
            with suppress(OSError):
                names.append((task / "comm").read_text().strip())
        found = [name for name in names if "gloo" in name]
        if not found:
            break
        time.sleep(0.05)  # the kernel wakes who joins a thread before it takes the thread off this list
    return found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, device: str) -> Path:
    """What two processes, started as a user would, leave behind; on GPUs, each has one of its own."""
    if device == "cuda" and torch.cuda.device_count() < 2:
        # nccl refuses two ranks on one GPU; what they compute is tested with gloo on the CPU.
        pytest.skip("only one CUDA GPU here")
    folder = tmp_path_factory.mktemp("two")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    with lock(folder / "busy"):
        done = subprocess.run(
            [*command, str(folder), device], env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    return folder


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float) -> None:
    """Equal but for rounding, measured against each tensor's largest value."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        scale = max(float(value.abs().max()), 1e-6)
        assert float((value - other[name]).abs().max()) < tolerance * scale, name


@pytest.mark.parametrize("frozen", [False, True])
def test_two_processes_find_the_gradients_of_one(two: Path, device: str, frozen: bool) -> None:
    batch = next(Loader(Rare(), 3, range(3)).batches(0, [0]))
    rare = [int((sample.labels == 2).sum()) for sample in batch.samples]
    assert sorted(rare) == [0, 0, 7]  # one rank alone sees the third class
    alone = gradients(Ranks(), torch.device(device), frozen=frozen)
    both = [torch.load(two / f"gradients-{frozen}-{rank}.pt", weights_only=True) for rank in range(2)]
    assert len(alone) > 50
    for each in both:
        assert_same(alone, each, 2e-5)


def test_two_processes_learn_what_one_does(two: Path, device: str, tmp_path: Path) -> None:
    alone = trained(tmp_path, Ranks(), torch.device(device))
    both = [torch.load(two / f"weights-{rank}.pt", weights_only=True) for rank in range(2)]
    assert_same(both[0], both[1], 1e-9)
    # Adam divides by gradients' size: where that is rounding alone, two sums differ by a step of the learning rate.
    for name, value in alone.items():
        torch.testing.assert_close(both[0][name], value, rtol=2e-2, atol=2e-3, msg=name)
    rows = [(folder / "log.csv").read_text().splitlines() for folder in (tmp_path, two / "run")]
    assert len(rows[0]) == len(rows[1]) == 3
    assert float(rows[0][1].split(",")[2]) == pytest.approx(float(rows[1][1].split(",")[2]), rel=1e-3)


def test_a_folder_where_others_work_is_refused_on_every_rank(two: Path) -> None:
    """If only the first left it, the others would wait for it in steps of another fold."""
    assert all("another process works in" in (two / f"busy-{rank}.txt").read_text() for rank in range(2))


def test_no_thread_of_the_group_outlives_it(two: Path) -> None:
    """One that frees a tensor while the interpreter ends would abort a process whose work is done."""
    for rank in range(2):
        assert (two / f"threads-{rank}.txt").read_text() == ""


def test_a_batch_too_small_to_share_says_the_mend() -> None:
    assert list(Ranks(1, 3).shard(7)) == [1, 4]
    with pytest.raises(SettingsError, match="2 processes cannot share a batch of 1; start fewer, or give --batch 2"):
        Ranks(0, 2).shard(1)


if __name__ == "__main__":
    main()
