"""What the commands share."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from contextlib import suppress

import pytest

from kidneyseg.cli.terminal import BarProgress, lasting_imports


def test_garbage_is_looked_for_again_after_the_imports() -> None:
    before = gc.get_freeze_count()
    try:
        with suppress(ImportError), lasting_imports():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_the_imports_leave_out_what_is_not_used() -> None:
    code = (
        "import sys; from kidneyseg.cli.terminal import lasting_imports\n"
        "with lasting_imports(): from kidneyseg.segmentation.pipeline import Pipeline\n"
        "print([name for name in ('torch', 'sklearn', 'skimage', 'numpy.f2py') if name in sys.modules])\n"
        "from numpy import *; print(f2py.__name__, testing.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nnumpy.f2py numpy.testing\n"


def test_a_bar_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    termios = pytest.importorskip("termios", reason="no pseudo-terminals here")
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        bar = BarProgress()
        bar.update("stage 1", 0.42)
        bar.close()
        terminal.close()
        shown = b""
        with suppress(OSError):  # EIO once all was read
            # A pseudo-terminal hands on what was written piece by piece.
            while piece := screen.read(4096):
                shown += piece
    assert b"stage 1" in shown
    assert b"42%" in shown


def test_without_a_terminal_a_line_comes_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    silent, often, seldom = BarProgress(), BarProgress(0.0), BarProgress(60.0)
    for bar in (silent, often, seldom):
        bar.show("step 3, loss 0.5, 2 min left", 0.1)
        bar.close()
    assert capsys.readouterr().err == "step 3, loss 0.5, 2 min left\n"
