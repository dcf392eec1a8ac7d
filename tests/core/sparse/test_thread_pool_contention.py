"""The thread pool beside other processes."""

import subprocess
import sys

import pytest

from kidneyseg.sparse import native

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())

# Four threads on one core: the pool's two get half of it. Prints the helper's CPU time as a share of both threads'.
CONTENDED = """
import os, subprocess, sys, time
import numpy as np
from kidneyseg.sparse._library import library

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
try:
    x, mean, variance = np.ones((1 << 16, 16), np.float32), np.empty(16), np.empty(16)
    before, end = os.listdir("/proc/self/task"), time.monotonic() + 4
    while time.monotonic() < end:
        library().kidneyseg_norm_statistics(x.ctypes.data, *x.shape, mean.ctypes.data, variance.ctypes.data, 2)
    (helper,) = set(os.listdir("/proc/self/task")) - set(before)
    times = [int(open(f"/proc/self/task/{task}/schedstat").read().split()[0]) for task in (os.getpid(), helper)]
finally:
    for process in spinning:
        process.kill()
        process.wait()
print(times[1] / sum(times))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loops_are_not_shared_where_other_processes_take_the_cores():
    command = [sys.executable, "-W", "ignore", "-c", CONTENDED]
    done = subprocess.run(command, timeout=120, check=True, capture_output=True, text=True)
    assert float(done.stdout) < 0.04  # 0.10 where every loop is shared
