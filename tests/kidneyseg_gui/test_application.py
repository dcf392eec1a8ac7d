from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from kidneyseg.editing import Voxels
from kidneyseg.editing.recovery import find_abandoned, read
from kidneyseg_gui import application
from kidneyseg_gui.application import _answer_interrupts, _build_cloud, _CloudLoader, _note_interrupts, when_idle
from kidneyseg_gui.views import canvases
from kidneyseg_gui.views.canvases import OFFSCREEN, Choice
from window_fixture import WindowFixture


def test_the_first_paint_waits_for_no_slow_library():
    code = (
        "import sys, kidneyseg_gui.application\n"
        "print({'scipy', 'nibabel', 'torch', 'pyvista', 'vtkmodules'} & set(sys.modules) or 'none')"
    )
    there = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([sys.executable, "-c", code], env=there, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"


def test_the_3d_import_waits_for_the_ct_and_for_a_mask_that_is_asked_for_at_once(
    window: WindowFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(application, "_IDLE_MS", 40)
    jobs, started = window.main.jobs, []
    window.main.controller.open(window.file())
    when_idle(jobs, lambda: started.append((window.case.volume is not None, window.case.mask is not None)))
    window.qtbot.waitUntil(lambda: window.case.volume is not None and not jobs.busy)
    assert not started
    window.main.controller.segment()  # within the moment
    window.qtbot.waitUntil(lambda: bool(started))
    assert started == [(True, True)]
    window.main.controller.segment()
    window.qtbot.waitUntil(lambda: not jobs.busy)
    window.qtbot.wait(100)
    assert len(started) == 1


def fail(*_args: object) -> None:
    raise RuntimeError("no OpenGL")


def test_the_canvas_is_chosen_in_a_thread(window: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    choice = Choice(OFFSCREEN, software=True)
    monkeypatch.setattr(canvases, "choose", lambda: choice)
    loader = _CloudLoader()
    with window.qtbot.waitSignal(loader.loaded, timeout=20000) as signal:
        loader.start()
    assert signal.args == [choice]


def test_without_a_canvas_the_loader_says_so(window: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canvases, "choose", fail)
    loader = _CloudLoader()
    loader.loaded.connect(lambda choice: _build_cloud(window.main, choice))
    with window.qtbot.waitSignal(loader.loaded, timeout=20000):
        loader.start()
    assert window.main.quad.cloud._notice.text() == application._NO_3D


def test_a_canvas_that_cannot_be_built_leaves_a_notice(window: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canvases, "make", fail)
    _build_cloud(window.main, Choice(OFFSCREEN, software=True))
    assert window.main.quad.cloud._notice.text() == application._NO_3D
    window.open()  # everything else works


@pytest.fixture
def asked() -> Iterator[threading.Event]:
    """What the signals that end the program set."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield _note_interrupts()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_stroke_that_a_signal_ends_is_kept(
    window: WindowFixture, monkeypatch: pytest.MonkeyPatch, asked: threading.Event
):
    ends: list[int] = []
    monkeypatch.setattr(application.QApplication, "exit", ends.append)
    pulse = _answer_interrupts(window.main, asked)
    window.open()
    window.case.edits.stroke(Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))
    signal.raise_signal(signal.SIGTERM)
    window.qtbot.waitUntil(lambda: ends == [130], timeout=5000)
    assert not pulse.isActive()
    (kept,) = find_abandoned(window.folder / "autosave")
    assert len(read(kept.path).steps[0].change) == 9


def test_a_signal_does_not_interrupt_what_the_window_does(window: WindowFixture, asked: threading.Event):
    # What it interrupts may be an import that the working thread waits for: to wait for that thread would never end.
    pulse = _answer_interrupts(window.main, asked)
    signal.raise_signal(signal.SIGINT)
    assert asked.is_set()
    assert window.main.jobs._worker.own_thread.isRunning()
    pulse.stop()


def test_the_3d_import_leaves_the_segmentation_to_the_working_thread():
    # Two threads that import the package at once can see it before its methods are registered.
    code = (
        "import sys, kidneyseg_gui.views.pyvista_cloud, kidneyseg_gui.views.canvases\n"
        "import kidneyseg.editing.click, kidneyseg.editing.shape\n"
        "print([name for name in sys.modules if name.startswith(('kidneyseg.segmentation', 'torch'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
