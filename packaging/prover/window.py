"""Uses the installed window on the virtual screen as a person would, from outside of its system; prints JSON.

window.py START... -- starts the command START, waits for the window, and does what the options before it say:
--picture FILE   a screenshot, after everything else
--drop FILE      drag this file into the window (a path outside; the same path must hold inside)
--segment        press F5
--recover        take the first case of the menu "Recover"
--export FILE    save the mask by Ctrl+S under this path, once there is one
--terminate      wait until the program has nothing to do, and end it by SIGTERM, as the end of a session does
--within FOLDER  all files of a KidneySeg that the program has loaded must lie in this folder
--log FILE       the program's log, as seen from outside
--canvas NAME    wait until the 3-D view is drawn by this canvas, as the log says
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")
SLOW_S = 300  # a virtual screen on a busy machine
DRAG_SOURCE = Path(__file__).parents[2] / "tests/acceptance/drag_source.py"


def main() -> int:
    """Do what was asked. Returns the exit status."""
    parser = argparse.ArgumentParser()
    for name in ("--picture", "--drop", "--export", "--log", "--within"):
        parser.add_argument(name, type=Path)
    for name in ("--segment", "--recover", "--terminate"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--canvas", default="")
    parser.add_argument("start", nargs="+")
    arguments = parser.parse_args()
    seen: dict[str, object] = {}
    earlier = len(_read(arguments.log))  # of starts before this one
    began = time.monotonic()
    program = subprocess.Popen(
        arguments.start, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        _wait(lambda: bool(_window()) or program.poll() is not None, "the window")
        seen["seconds to the window"] = round(time.monotonic() - began, 2)
        seen["CPU seconds by then"] = _cpu_seconds(program.pid)
        _use(arguments, seen, program, earlier)
        if arguments.terminate:
            _wait_until_idle(program.pid)
            program.terminate()
        else:
            _command("ctrl+q")
        _wait(lambda: program.poll() is not None, "the end", 60)
        seen["exit status"] = program.returncode
    except (TimeoutError, subprocess.CalledProcessError) as error:
        seen["failed"] = str(error)
        _picture(arguments.picture)
    finally:
        program.kill()
        seen["said"] = program.communicate()[0]
    if any(word in str(seen["said"]) for word in ("Traceback", "Could not parse")):
        seen["failed"] = "the program printed an error"
    print(json.dumps(seen))
    return "failed" in seen


def _use(arguments: argparse.Namespace, seen: dict[str, object], program: subprocess.Popen[str], earlier: int) -> None:
    def log() -> str:
        if program.poll() is not None:
            raise TimeoutError("the program ended by itself")
        return _read(arguments.log)[earlier:]

    if arguments.log:
        _wait(lambda: "opened a CT" in log(), "the first CT")
        paints = [line for line in log().splitlines() if "first paint after" in line]
        seen["first paint"] = paints[-1].split(": ", 1)[1]
    if arguments.canvas:
        _wait(lambda: f"3-D canvas: {arguments.canvas}" in log(), "the 3-D view")
        time.sleep(3)
    if arguments.drop:
        before = log().count("opened a CT")
        seen["dropped"] = _drag(arguments.drop)
        _wait(lambda: log().count("opened a CT") > before, "the dropped CT")
    if arguments.within:
        seen["loaded files"] = _loaded(program.pid, arguments.within)
    if arguments.segment:
        _command("F5")
    if arguments.recover:
        for keys in ("alt+f", "v", "Return"):
            _command(keys)
            time.sleep(1)  # a menu opens
    if arguments.export:
        began = time.monotonic()
        while not arguments.export.is_file():  # the action waits for the result
            if time.monotonic() - began > SLOW_S:
                raise TimeoutError("no mask was exported")
            time.sleep(3)
            _command("ctrl+s")
            time.sleep(1)  # a dialog opens
            if _window("Export|Save"):
                _tool("type", "--delay", "20", str(Path("/") / _inside(arguments.export)))
                _tool("key", "--clearmodifiers", "Return")
                time.sleep(2)
        seen["exported"] = arguments.export.name
        time.sleep(3)
    _picture(arguments.picture)


def _cpu_seconds(parent: int) -> float:
    """Of a process and those that it has become or started."""
    ticks = 0
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            values = (folder / "stat").read_text().rsplit(")", 1)[1].split() if folder.name.isdigit() else []
            if values and int(values[2]) == os.getpgid(parent):  # its process group
                ticks += int(values[11]) + int(values[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _wait_until_idle(parent: int) -> None:
    before = -1.0
    while (now := _cpu_seconds(parent)) - before > 0.2:
        before = now
        time.sleep(5)  # .2 CPU seconds in this time are idle


def _loaded(process: int, folder: Path) -> int:
    """How many files of a KidneySeg are loaded. Raises TimeoutError for one outside of the folder."""
    maps = (line.split(maxsplit=5) for line in Path(f"/proc/{process}/maps").read_text().splitlines())
    files = {Path(words[5]) for words in maps if len(words) == 6 and "/_internal/" in words[5]}
    if strays := sorted(str(file) for file in files if folder not in file.parents):
        raise TimeoutError(f"{strays[0]} was loaded")
    return len(files)


def _inside(path: Path) -> Path:
    """The path as the program inside the system knows it."""
    return path.relative_to(os.environ["SYSTEM"])


def _drag(file: Path) -> str:
    """Drag the file out of another window into the middle of the program's; the action that it answered with."""
    source = subprocess.Popen([sys.executable, DRAG_SOURCE, file], stdout=subprocess.PIPE, text=True)
    try:
        assert source.stdout is not None
        source.stdout.readline()
        time.sleep(2)
        for move in ("50 30", "mousedown", "90 70", "300 300", "500 400", "520 420", "540 440", "mouseup"):
            _tool(*([move, "1"] if move.startswith("mouse") else ["mousemove", *move.split()]))
            time.sleep(0.7)
        return source.stdout.readline().strip()
    finally:
        source.kill()


def _window(name: str = "KidneySeg") -> str:
    found = subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--name", name], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def _command(keys: str) -> None:
    """Press keys in the program's window; after a drag, that from where it came may have them."""
    # xdotool fails where a window, e.g. that from where a file came, goes while it looks through all of them.
    window = _wait(_window, "the window").split()[0]
    _tool("windowactivate", "--sync", window)
    time.sleep(0.5)
    _tool("key", "--clearmodifiers", keys)


def _tool(*arguments: str) -> None:
    subprocess.run(["xdotool", *arguments], check=True)


def _picture(file: Path | None) -> None:
    if file is not None:
        subprocess.run(["import", "-window", "root", file], check=True)


def _read(log: Path | None) -> str:
    return log.read_text() if log is not None and log.is_file() else ""


def _wait(until: Callable[[], _T], what: str, seconds: float = SLOW_S) -> _T:
    """The first result that is true."""
    end = time.monotonic() + seconds
    while not (result := until()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.02)
    return result


if __name__ == "__main__":
    sys.exit(main())
