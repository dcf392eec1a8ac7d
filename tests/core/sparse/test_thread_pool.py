"""Results of the native kernels are bit-identical for any number of threads, callers and processes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from kidneyseg.sparse import SparseUNet, native
from kidneyseg.sparse.kernel_map import Level
from random_sites import sites

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


def floats(*shape: int) -> Any:
    return torch.randn(shape).numpy()


def test_results_repeat_and_do_not_depend_on_threads(threads):
    keys, packing = sites(3000, edge=20)
    threads(1)
    x, grad, weight = floats(len(keys), 8), floats(len(keys), 12), floats(27, 8, 12)
    halved, halve, up = floats(len(keys), 8), floats(8, 8, 12), floats(8, 8, 12)
    coords, module = np.stack(packing.unpack(keys), axis=1), SparseUNet(2, 3, [8, 16, 24], residual=True)
    network = module.arrays.runner()

    def everything() -> list[Any]:
        level = Level(keys, packing, native)
        down = level.down()
        return [
            native.neighbour_table(keys, packing.y_size, packing.z_size),
            *(down.coarse.keys, down.parents.parent, down.parents.slot, down.children.table),
            native.conv(x, level.neighbours().plan, weight),
            native.weight_grad(x, level.neighbours().plan, grad),
            native.conv(x, down.children.plan, halve),
            native.conv(halved, down.parents.plan, up),
            network(coords, coords[:, :2].astype(np.float32), report=lambda _: None),
        ]

    first = everything()
    for number in (2, 4, 8):
        threads(number)
        for _ in range(40):
            assert all(np.array_equal(a, b) for a, b in zip(first, everything(), strict=True))


def test_concurrent_callers_get_the_same_results(threads):
    keys, packing = sites(4000, edge=20)
    x, weight = floats(len(keys), 8), floats(27, 8, 12)
    threads(2)
    plan = Level(keys, packing, native).neighbours().plan
    expected = native.conv(x, plan, weight)
    with ThreadPoolExecutor(3) as callers:
        for result in callers.map(lambda _: native.conv(x, plan, weight), range(200)):
            assert np.array_equal(result, expected)


def test_a_forked_process_has_its_own_threads():
    script = """
import os
import numpy as np
from kidneyseg.sparse import native, threads
threads.follow(lambda: 2)
table = np.random.default_rng(0).integers(-1, 900, (900, 27)).astype(np.int32)
x, weight = np.ones((900, 4), np.float32), np.ones((27, 4, 4), np.float32)
total = native.conv(x, native.Plan.of_table(table), weight).sum()
child = os.fork()
same = bool(native.conv(x, native.Plan.of_table(table), weight).sum() == total)
if child == 0:
    os._exit(0 if same else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not same)
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=120, check=False).returncode == 0
