"""The server as its peers see it: who may connect, what is accepted, what each object is answered."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from certificates import Certificates
from dicom_peers import HOST, TITLE, associate, send, study
from dicom_series import enhanced, frames_of, save
from kidneyseg.errors import OutputError
from kidneyseg.imaging.dicom.dicom_reader import load_dicom
from kidneyseg.service import receiver as module
from kidneyseg.service.intake import Intake
from kidneyseg.service.job_queue import JobQueue
from kidneyseg.service.peers import Tls, listening_context, sending_context
from kidneyseg.service.receiver import TRANSFER_SYNTAXES, Listening, Receiver, printable
from volumes import abdomen

# pynetdicom leaves sockets that could not connect to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning"),
    pytest.mark.usefixtures("no_sockets_are_left"),
]
ECHO = "1.2.840.10008.1.1"


class Served:
    """A running server, its queue and what it said."""

    def __init__(self, folder: Path, limit: int = 10**9, **how: Any) -> None:
        self.said: list[str] = []
        self.queue = JobQueue(folder)
        self.intake = Intake(self.queue, 0.01, limit)
        self.receiver = Receiver(self.intake, Listening(TITLE, HOST, 0, **how), self.said.append)

    @property
    def stored(self) -> list[Path]:
        return sorted(path for job in self.queue.jobs() for path in self.queue.study(job).glob("*.dcm"))


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., Any]:
    @contextmanager
    def serving(**how: Any) -> Iterator[Served]:
        served = Served(tmp_path / "queue", **how)
        with served.queue, served.receiver:
            yield served

    return serving


def test_a_series_arrives_as_it_was_sent(serve: Callable[..., Any]) -> None:
    objects = study()
    with serve() as served:
        assert send(served.receiver.port, objects) == [0] * 10
        for path in served.stored:
            found = dcmread(path)
            [sent] = [one for one in objects if one.SOPInstanceUID == found.SOPInstanceUID]
            assert found == sent
        [job] = served.queue.jobs()
        assert load_dicom(served.queue.study(job)).shape == (24, 20, 10)


def test_echo_is_answered(serve: Callable[..., Any]) -> None:
    with serve() as served:
        association = associate(served.receiver.port, [(ECHO, [ExplicitVRLittleEndian])])
        assert association.send_c_echo().Status == 0
        association.release()


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_transfer_syntax_is_accepted(serve: Callable[..., Any], syntax: str) -> None:
    with serve() as served:
        association = associate(served.receiver.port, [(CTImageStorage, [syntax])])
        assert [str(context.transfer_syntax[0]) for context in association.accepted_contexts] == [syntax]
        association.release()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
def test_objects_in_other_syntaxes_are_stored_and_read(serve: Callable[..., Any], tmp_path: Path, syntax: str) -> None:
    paths = [save(one, tmp_path / "sent" / str(n), syntax) for n, one in enumerate(study())]
    with serve() as served:
        assert send(served.receiver.port, paths) == [0] * 10
        [job] = served.queue.jobs()
        assert (load_dicom(served.queue.study(job)).hu == load_dicom(tmp_path / "sent").hu).all()


def test_a_multi_frame_object_is_stored_and_read(serve: Callable[..., Any]) -> None:
    one = enhanced(frames_of(abdomen((24, 20, 10))[0]))
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with serve() as served:
        assert send(served.receiver.port, [one]) == [0]
        [job] = served.queue.jobs()
        assert load_dicom(served.queue.study(job)).shape == (24, 20, 10)


def test_other_services_and_syntaxes_are_not_accepted(serve: Callable[..., Any]) -> None:
    find, video = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.2.4.102"
    wanted = [(find, [ExplicitVRLittleEndian]), (CTImageStorage, [video]), (ECHO, [ExplicitVRLittleEndian])]
    with serve() as served:
        association = associate(served.receiver.port, wanted)
        reasons = {str(one.abstract_syntax): one.result for one in association.rejected_contexts}
        assert reasons == {find: 3, CTImageStorage: 4}  # abstract syntax, transfer syntaxes not supported
        association.release()


def test_strangers_and_wrong_titles_are_rejected_with_the_reason(serve: Callable[..., Any]) -> None:
    with serve(allowed=["SCANNER", "PACS"]) as served:
        for title in ("SCANNER", "PACS"):
            association = associate(served.receiver.port, calling=title)
            assert association.is_established
            association.release()
        for calling, called, reason in (("STRANGER", TITLE, 3), ("SCANNER", "OTHER", 7)):
            association = associate(served.receiver.port, calling=calling, called=called)
            assert association.is_rejected
            refusal = association.acceptor.primitive
            assert (refusal.result, refusal.result_source, refusal.diagnostic) == (1, 1, reason)
    assert [sentence for sentence in served.said if "STRANGER" in sentence]


def test_connections_beyond_the_most_are_rejected_for_now(serve: Callable[..., Any]) -> None:
    with serve(most_associations=1) as served:
        first = associate(served.receiver.port)
        second = associate(served.receiver.port)
        assert first.is_established
        assert second.is_rejected
        refusal = second.acceptor.primitive
        assert (refusal.result, refusal.result_source, refusal.diagnostic) == (2, 3, 2)  # transient, local limit
        first.release()


def test_what_is_no_ct_is_answered_as_stored_and_left(serve: Callable[..., Any]) -> None:
    first, second = study(2)
    second.SOPClassUID = MRImageStorage
    with serve() as served:
        assert send(served.receiver.port, [first, second]) == [0, 0]
        assert len(served.stored) == 1
        assert served.said == ["SCANNER: Left objects that are no CT images."]


def test_a_full_queue_and_a_full_disk_are_answered_as_out_of_resources(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = study(3)
    with serve(limit=1000) as served:
        assert send(served.receiver.port, objects) == [0xA700] * 3
        assert served.said == ["SCANNER: Refused objects: the queue is full (--max-queue)."]

        def full(*_: object) -> bool:
            raise OutputError("object was not written: the disk is full.")

        monkeypatch.setattr(served.intake, "store", full)
        assert send(served.receiver.port, objects) == [0xA700] * 3
        assert served.said[1:] == ["SCANNER: Refused objects: the queue cannot be written; its disk may be full."]


def test_an_error_of_our_own_says_nothing_of_the_patient(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bool:
        raise KeyError("Doe^Jane")

    with serve() as served:
        monkeypatch.setattr(served.intake, "store", broken)
        assert send(served.receiver.port, study(1)) == [0xC000]
    assert served.said == ["SCANNER: Refused objects: KeyError."]
    assert "Doe" not in caplog.text


def test_an_object_without_a_study_cannot_be_understood(serve: Callable[..., Any]) -> None:
    with serve() as served:
        assert send(served.receiver.port, study(1, StudyInstanceUID=None)) == [0xC000]


@pytest.mark.parametrize("length", [100, 0xFFFFFFF0])
def test_a_peer_that_promises_more_than_it_sends_ties_up_nothing(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 0.3)
    with serve(most_associations=1) as served:
        with socket.create_connection((HOST, served.receiver.port)) as connection:
            connection.sendall(struct.pack(">BBL", 1, 0, length))
            connection.settimeout(10)
            assert connection.recv(100) == b"" or length == 100
        assert sent_at_last(served.receiver.port) == [0]


def sent_at_last(port: int) -> list[int | None]:
    """The statuses of one object, once the server takes connections again."""
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        association = associate(port)
        if association.is_established:
            association.release()
            return send(port, study(1))
        time.sleep(0.1)  # before it is asked again
    raise AssertionError("the server takes no connections")


def test_an_object_may_not_take_all_memory(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST_OBJECT", 20_000)
    small, large = study(1)[0], enhanced(frames_of(abdomen((60, 60, 10))[0]))
    large.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with serve() as served:
        assert send(served.receiver.port, [large]) == [None]
        assert send(served.receiver.port, [small] * 20) == [0] * 20


def test_a_port_that_is_in_use_is_said(serve: Callable[..., Any], tmp_path: Path) -> None:
    with serve() as served:
        other = Receiver(served.intake, Listening(TITLE, HOST, served.receiver.port), print)
        with pytest.raises(OutputError, match="Choose another --port"):
            other.__enter__()


def test_tls_takes_those_that_the_authority_signed(serve: Callable[..., Any], certificates: Certificates) -> None:
    own, authority = certificates.own, certificates.authority
    with serve(tls=listening_context(Tls(own.certificate, own.key, authority))) as served:
        with socket.create_connection((HOST, served.receiver.port)):  # never begins its handshake
            trusted = sending_context(Tls(certificates.peer.certificate, certificates.peer.key, authority))
            assert send(served.receiver.port, study(2), tls=trusted) == [0, 0]
        stranger = sending_context(Tls(*certificates.stranger, authority))
        anonymous = sending_context(Tls(authority=authority))
        for context in (stranger, anonymous, None):
            association = associate(served.receiver.port, tls=context)
            assert not association.is_established


def test_old_versions_of_tls_are_refused(serve: Callable[..., Any], certificates: Certificates) -> None:
    own = certificates.own
    with serve(tls=listening_context(Tls(own.certificate, own.key))) as served:
        old = ssl.create_default_context(cafile=str(certificates.authority))
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        refused = pytest.raises(OSError, match=r"(?i)protocol|version|alert|reset|eof")
        with socket.create_connection((HOST, served.receiver.port)) as plain, refused:
            old.wrap_socket(plain, server_hostname="localhost")


def test_what_a_peer_calls_itself_is_fit_for_a_log() -> None:
    assert printable(" SCANNER ") == "SCANNER"
    assert printable("\x1b[2J\nÄ") == "?[2J??"
    assert printable("") == "?"
