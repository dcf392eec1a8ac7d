"""Results are sent to a peer, and each way to fail says whether to try again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import Comprehensive3DSRStorage, ImplicitVRLittleEndian, SegmentationStorage

from certificates import Certificates
from dicom_peers import HOST, Pacs, study
from dicom_series import save
from kidneyseg.service.peers import Peer, Tls, listening_context, sending_context
from kidneyseg.service.sender import AwayError, RefusedError, Sender

# pynetdicom leaves sockets that could not connect to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning"),
    pytest.mark.usefixtures("no_sockets_are_left"),
]


@pytest.fixture
def results(tmp_path: Path) -> list[Path]:
    """Two objects that are a segmentation and a report by their class; a peer looks at no more."""
    made = []
    for kind, name in ((SegmentationStorage, "study_seg.dcm"), (Comprehensive3DSRStorage, "study_sr.dcm")):
        [one] = study(1, SOPClassUID=kind)
        made.append(save(one, tmp_path / name))
    return made


def sender(pacs: Pacs, title: str = "KIDNEYSEG") -> Sender:
    return Sender(Peer("PACS", HOST, pacs.port), title)


def send(pacs: Pacs, paths: list[Path]) -> list[str]:
    taken: list[str] = []
    sender(pacs).send(paths, lambda path: taken.append(path.name))
    return taken


def test_results_arrive_in_order(results: list[Path]) -> None:
    with Pacs() as pacs:
        assert send(pacs, results) == ["study_seg.dcm", "study_sr.dcm"]
    assert [one.SOPClassUID for one in pacs.received] == [SegmentationStorage, Comprehensive3DSRStorage]


def test_a_peer_that_takes_implicit_encoding_alone_gets_it(results: list[Path]) -> None:
    with Pacs(syntaxes=[ImplicitVRLittleEndian]) as pacs:
        send(pacs, results)
    assert {one.file_meta.TransferSyntaxUID for one in pacs.received} == {ImplicitVRLittleEndian}


def test_nothing_to_send_needs_no_peer() -> None:
    Sender(Peer("PACS", HOST, 9), "KIDNEYSEG").send([], lambda _path: None)


def test_a_peer_that_is_not_there_is_asked_again(results: list[Path]) -> None:
    with Pacs() as pacs:
        pass
    with pytest.raises(AwayError, match="does not answer"):
        send(pacs, results)
    with pytest.raises(AwayError, match="has no address"):
        Sender(Peer("PACS", "no-such-host.invalid", 104), "KIDNEYSEG").send(results, print)


def test_a_peer_that_does_not_know_us_is_asked_again(results: list[Path]) -> None:
    with Pacs(allowed=["OTHER"]) as pacs, pytest.raises(AwayError, match="rejects connections of KIDNEYSEG"):
        send(pacs, results)


@pytest.mark.parametrize(
    ("status", "error"), [(0xA700, AwayError), (0x0122, RefusedError), (0xA900, RefusedError), (0xC000, RefusedError)]
)
def test_a_status_tells_whether_to_try_again(results: list[Path], status: int, error: type[Exception]) -> None:
    with Pacs(answer=lambda: status) as pacs, pytest.raises(error, match=f"SEG object: status 0x{status:04X}"):
        send(pacs, results)


def test_a_warning_is_a_success(results: list[Path]) -> None:
    with Pacs(answer=lambda: 0xB000) as pacs:
        assert len(send(pacs, results)) == 2


def test_a_peer_without_reports_refuses_them_after_it_took_the_segmentation(results: list[Path]) -> None:
    taken: list[Path] = []
    with Pacs(contexts=[SegmentationStorage]) as pacs, pytest.raises(RefusedError, match="does not take SR objects"):
        sender(pacs).send(results, taken.append)
    assert taken == results[:1]


def test_a_connection_that_breaks_off_is_tried_again(results: list[Path]) -> None:
    def answer() -> int:
        if len(pacs.received) == 2:
            pacs.cut()
        return 0

    pacs = Pacs(answer=answer)
    taken: list[Path] = []
    with pacs, pytest.raises(AwayError, match="broke off"):
        sender(pacs).send(results, taken.append)
    assert taken == results[:1]


def test_tls_is_used_both_ways_and_the_peer_is_checked(results: list[Path], certificates: Certificates) -> None:
    own, peer, authority = certificates.own, certificates.peer, certificates.authority
    ours = sending_context(Tls(own.certificate, own.key, authority))

    def to(pacs: Pacs, host: str = "localhost", tls: Any = ours) -> list[Path]:
        taken: list[Path] = []
        Sender(Peer("PACS", host, pacs.port), "KIDNEYSEG", tls).send(results, taken.append)
        return taken

    with Pacs(tls=listening_context(Tls(peer.certificate, peer.key, authority))) as pacs:
        assert to(pacs) == results
    with Pacs(tls=listening_context(Tls(*certificates.stranger))) as pacs, pytest.raises(AwayError, match="by TLS"):
        to(pacs)
    with Pacs() as plain, pytest.raises(AwayError, match="by TLS"):
        to(plain)
