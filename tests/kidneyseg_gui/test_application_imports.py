"""What the window imports before it is painted."""

from __future__ import annotations

import os
import subprocess
import sys

_START = """
import sys
from kidneyseg_gui import __main__

def stop(*_):
    print(*sys.modules)
    sys.exit(0)

sys.setprofile(lambda frame, event, _: frame.f_code.co_name == "_note_interrupts" and stop())
__main__.main([])
"""


def test_the_window_does_not_wait_for_what_numpy_only_lists() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _START],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "scipy.ndimage" in loaded
    assert {"numpy.f2py", "numpy.testing", "torch"} & loaded == set()
