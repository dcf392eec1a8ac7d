"""The servers in real processes that are killed at every step: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from certificates import make_certificates
from dicom_peers import Pacs, associate, send, study
from dicom_series import enhanced, frames_of, write_series
from kidneyseg.imaging.nifti import save_volume
from kidneyseg.service.peers import Tls, listening_context, sending_context
from server_process import ServerProcess, wait_for
from tiny_networks import tiny_models
from volumes import abdomen

# pynetdicom leaves sockets that could not connect to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")
RESULT = [SegmentationStorage, Comprehensive3DSRStorage]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models"))


def server(folder: Path, models: Path, pacs: Pacs, *more: str | Path) -> ServerProcess:
    options = ("--queue", folder / "queue", "--models", models, "--settle", "0.5", "--port", "0", "--device", "cpu")
    return ServerProcess("serve-dicom", "--send-to", pacs.peer, *options, *more)


def job_processes(folder: Path) -> list[int]:
    """The processes that segment jobs of a queue."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            line = (place / "cmdline").read_bytes().split(b"\0") if place.name.isdecimal() else []
        except OSError:
            continue
        if b"segment-job" in line and any(part.startswith(bytes(folder)) for part in line):
            found.append(int(place.name))
    return found


def test_a_kill_at_every_step_loses_nothing_and_stores_nothing_twice(tmp_path: Path, models: Path) -> None:
    objects = study(12)
    with Pacs() as pacs:
        pass  # takes a port, and is away
    with server(tmp_path, models, pacs) as running:
        assert send(running.port, objects[:7]) == [0] * 7
        running.kill()  # once the first half is answered
    with server(tmp_path, models, pacs) as running:
        assert send(running.port, objects[7:]) == [0] * 5
        wait_for(lambda: job_processes(tmp_path))
        assert running.job()["objects"] == 12
        running.kill()  # while the networks run
        wait_for(lambda: not job_processes(tmp_path))
    with server(tmp_path, models, pacs) as running:
        running.wait_for_state("segmented")
        wait_for(lambda: running.job()["sends"])
        assert "does not answer" in running.job()["problem"]
        running.kill()  # while the peer is away
    assert pacs.received == []

    def kill_before_the_first_answer() -> int:
        if len(pacs.received) == 1:
            running.kill()
        return 0

    pacs._answer = kill_before_the_first_answer
    with pacs:
        with server(tmp_path, models, pacs) as running:
            wait_for(lambda: running._process.poll() is not None)
        with server(tmp_path, models, pacs) as running:
            running.wait_for_state("done")
            wait_for(lambda: not (tmp_path / "queue" / "job-1" / "study").exists())
            assert running.job()["attempts"] == 2
            running.kill()  # when all is done
        with server(tmp_path, models, pacs) as running:
            time.sleep(1)  # in which it would send once more
            assert running.stop() == 0
    assert [one.SOPClassUID for one in pacs.received] == [RESULT[0], *RESULT]
    assert len({one.SOPInstanceUID for one in pacs.received}) == 2, "what came twice is one object"
    segmentation, report = pacs.received[1:]
    assert segmentation.StudyInstanceUID == report.StudyInstanceUID == objects[0].StudyInstanceUID
    assert {path.name for path in (tmp_path / "queue").rglob("*")} == {"lock", "job-1", "job.json"}
    told = (tmp_path / "queue" / "job-1" / "job.json").read_text() + "".join(running.lines)
    for secret in ("Doe", "4711", str(objects[0].StudyInstanceUID)):
        assert secret not in told


def test_a_stop_gives_the_job_back_and_two_studies_of_one_connection_are_served_by_tls(
    tmp_path: Path, models: Path
) -> None:
    made = make_certificates(tmp_path)
    own = ("--tls-cert", made.own.certificate, "--tls-key", made.own.key, "--tls-ca", made.authority)
    ours = sending_context(Tls(*made.peer, made.authority))
    multi_frame = enhanced(frames_of(abdomen((24, 20, 12))[0]))
    multi_frame.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    pacs = Pacs(tls=listening_context(Tls(*made.peer, made.authority)))
    with pacs, server(tmp_path, models, pacs, "--allow", "SCANNER", *own) as running:
        assert associate(running.port, calling="STRANGER", tls=ours).is_rejected
        slices = study(12)
        assert send(running.port, [*slices[:6], multi_frame, *slices[6:]], tls=ours) == [0] * 13
        wait_for(lambda: job_processes(tmp_path))
        assert running.stop() == 0
        assert job_processes(tmp_path) == []
        assert running.job()["attempts"] == 0
        assert running.lines[-1].endswith("Stopped.")
    with pacs, server(tmp_path, models, pacs, *own) as running:
        for number in (1, 2):
            running.wait_for_state("done", number)
    assert [one.SOPClassUID for one in pacs.received] == RESULT * 2
    assert len({one.StudyInstanceUID for one in pacs.received}) == 2


def test_a_watched_folder_survives_a_kill_and_never_takes_its_results(tmp_path: Path, models: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "in" / "results"
    volume = abdomen((24, 20, 12))[0]
    write_series(folder / "study", frames_of(volume))
    (folder / "damaged.zip").write_bytes(b"PK\x03\x04")
    save_volume(volume, folder / "ct.nii.gz")
    options = ("--queue", tmp_path / "queue", "--models", models, "--settle", "0.5", "--device", "cpu")
    with ServerProcess("watch-folder", folder, "-o", output, *options) as running:
        wait_for(lambda: job_processes(folder))
        running.kill()
    expected = {
        *("ct_mask.nii.gz", "ct_mask.json", "damaged.zip_failed.txt"),
        *("study_mask.nii.gz", "study_mask.json", "study_seg.dcm", "study_sr.dcm"),
    }
    with ServerProcess("watch-folder", folder, "-o", output, *options) as running:
        for number, state in ((1, "done"), (2, "failed"), (3, "done")):
            running.wait_for_state(state, number)
        times = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
        assert set(times) == expected
        time.sleep(2.5)  # in which it would segment them again
        assert running.stop() == 0
        assert sum("segmenting" in line for line in running.lines) <= 3
    assert {path.name: path.stat().st_mtime_ns for path in output.iterdir()} == times
    assert "zip" in (output / "damaged.zip_failed.txt").read_text()
    assert sorted(os.listdir(folder)) == ["ct.nii.gz", "damaged.zip", "results", "study"]
