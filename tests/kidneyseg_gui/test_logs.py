from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kidneyseg.errors import InputError, OutputError
from kidneyseg_gui import logs
from kidneyseg_gui.logs import catch_errors, keep_private, log_failure, scrub, start_log
from window_fixture import WindowFixture

NAME = "Doe_Jane"


@pytest.fixture
def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The program's own log, as a user finds it."""
    monkeypatch.setattr(logs, "log_folder", lambda: tmp_path / "logs")
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    path = start_log()
    assert path is not None
    yield path
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def fail(error: Exception) -> Exception:
    """The error, raised as the working thread raises it: with a traceback and a cause that names the file, too."""
    try:
        try:
            raise FileNotFoundError(2, "No such file or directory", f"/scans/{NAME}/ct.nii")
        except FileNotFoundError as cause:
            raise error from cause
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    "error",
    [
        InputError(f"{NAME}.nii.gz is not a NIfTI file."),
        OutputError(f"/scans/{NAME} is no folder."),
        PermissionError(13, "Permission denied", f"/scans/{NAME}/{NAME}_mask.nii.gz"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_expected_error_is_one_line_without_names(log_file: Path, error: Exception):
    keep_private(Path(f"/scans/{NAME}/{NAME}.nii.gz"))
    log_failure("open", fail(error))
    lines = log_file.read_text().splitlines()
    assert len(lines) == 1
    assert f"open failed: {type(error).__name__}" in lines[0]
    assert NAME not in lines[0]


def test_an_unexpected_error_has_a_traceback_without_names(log_file: Path):
    keep_private(Path(f"/scans/{NAME}/{NAME}.nii.gz"))
    log_failure("segment", fail(RuntimeError(f"cannot read '/scans/{NAME}/{NAME}.nii.gz' of {NAME}")))
    text = log_file.read_text()
    assert "Traceback" in text
    assert "cannot read '<file>' of <file>" in text
    assert NAME not in text


def test_an_error_that_nothing_caught_is_logged_without_names(log_file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.excepthook", None)
    shown: list[str] = []
    catch_errors(shown.append)
    keep_private(Path(f"/scans/{NAME}/ct.nii"))
    error = fail(ValueError(f"/scans/{NAME}/ct.nii"))
    logs.sys.excepthook(type(error), error, error.__traceback__)
    text = log_file.read_text()
    assert "ValueError: <file>" in text
    assert NAME not in text
    assert "ValueError" in shown[0]


def test_scrub_replaces_whole_names_only():
    keep_private(Path("/scans/in/ct.1.nii.gz"))
    assert scrub("/scans/in/ct.1.nii.gz, ct.1.nii, ct.1, ct") == "<file>, <file>, <file>, <file>"
    assert scrub("the actor of /scans/in/other") == "the actor of <folder>/other"


def test_opening_and_exporting_leave_no_names_in_the_log(window: WindowFixture, log_file: Path):
    window.main.controller.open(window.file(f"{NAME}.nii.gz", b"bad"))
    window.idle()
    window.fake.volumes[f"{NAME}.nii"] = None  # makes the fake loader fail with a TypeError
    window.main.controller.open(window.file(f"{NAME}.nii"))
    window.idle()
    window.open(f"{NAME}_2.nii")
    window.segment()
    window.answers.path = window.folder / f"no_{NAME}" / f"{NAME}_mask.nii.gz"
    window.main.controller.ask_export()
    window.idle()
    text = log_file.read_text()
    assert "open failed: InputError" in text
    assert "Traceback" in text
    assert "export failed: OutputError" in text
    assert NAME not in text
    assert NAME in window.notices()  # the user sees the name
