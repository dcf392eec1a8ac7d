"""`serve-dicom` as it is started: who may be let in, and what is said before it listens."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kidneyseg.cli import main
from kidneyseg.cli import serve_dicom as module
from kidneyseg.service.job_queue import JobQueue
from kidneyseg.service.jobs import State

PEER = ("--send-to", "PACS@127.0.0.1:104")


def run(folder: Path, *arguments: str) -> int:
    return main(["serve-dicom", "--queue", str(folder / "queue"), *arguments])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_network_is_not_served_without_a_list(tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, *PEER, "--host", host) == 2
    assert "anyone could send" in capsys.readouterr().err
    assert not (tmp_path / "queue").exists()


def test_a_network_without_tls_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # 192.0.2.1 is of a network for documentation, which no machine has: listening fails after the warning.
    assert run(tmp_path, *PEER, "--host", "192.0.2.1", "--allow", "SCANNER") == 4
    told = capsys.readouterr().err
    assert "unprotected" in told
    assert "cannot be listened on" in told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "--send-to AE@HOST:PORT"),
        (("--send-to", "nowhere"), "names no peer"),
        ((*PEER, "--ae-title", "SEVENTEEN-LETTERS"), "no AE title"),
        ((*PEER, "--allow", "a\\b"), "no AE title"),
        ((*PEER, "--tls-key", "key.pem"), "--tls-cert"),
        ((*PEER, "--tls-cert", "none.pem"), "none.pem"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, *arguments) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("--port", "70000"), ("--associations", "0"), ("--max-queue", "-1"), ("--settle", "0"), ("--timeout", "soon")],
)
def test_numbers_have_ranges(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve-dicom", *PEER, option, value])
    assert ended.value.code == 2
    assert option in capsys.readouterr().err


def test_the_queue_is_listed_while_it_is_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--status") == 0
    assert capsys.readouterr().out == "The queue is empty.\n"
    with JobQueue(tmp_path / "queue") as queue:
        queue.add("a", State.RECEIVED)
        failed = queue.add("b", State.FAILED, problem="study holds no CT series.")
        failed.objects, failed.sends = 104, 3
        queue.save(failed)
        assert run(tmp_path, "--status") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("waits to be segmented")
    assert second.endswith("failed, 104 images, sent 3 times in vain. study holds no CT series.")


def test_it_serves_until_it_is_told_to_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()
    monkeypatch.setattr(module, "say", lambda text: (print(text), began.set()))

    def stop() -> None:
        began.wait(30)
        time.sleep(0.1)  # so that the signal finds it waiting
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    assert run(tmp_path, *PEER, "--port", "0") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("Listening on 127.0.0.1 port ")
    assert told[-1] == "Stopped."


def test_options_of_segment_are_given_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kidneyseg.service import job_process  # noqa: PLC0415 - as the command does

    asked: list[Any] = []
    monkeypatch.setattr(job_process, "segment_job", lambda *arguments: asked.append(arguments))
    stop = threading.Event()
    parsed = main_arguments("--preset", "paper", "--device", "cpu", "--models", str(tmp_path), "--timeout", "60")
    with JobQueue(tmp_path / "queue") as queue:
        job = queue.add("a", State.RECEIVED)
        processing = module._processing(parsed, queue, module._sender(parsed), stop)
        processing.segment(job, Path("ct"), Path("out"))
    options = ["--format", "seg,sr", "--preset", "paper", "--device", "cpu", "--models", str(tmp_path)]
    assert asked == [(Path("ct"), Path("out"), options, 60.0, stop)]


def main_arguments(*arguments: str) -> Any:
    from kidneyseg.cli.main import make_parser  # noqa: PLC0415 - the parser of all commands

    return make_parser().parse_args(["serve-dicom", *PEER, *arguments])
