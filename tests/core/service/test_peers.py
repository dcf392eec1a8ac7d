"""Names and addresses of peers, and the files for TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from certificates import Certificates
from kidneyseg.errors import SettingsError
from kidneyseg.service.peers import (
    Peer,
    Tls,
    addresses_of,
    checked_title,
    is_loopback,
    listening_context,
    parse_peer,
    sending_context,
)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("PACS@pacs.example.org:104", Peer("PACS", "pacs.example.org", 104)),
        (" MY PACS@10.0.0.1:11112 ", Peer("MY PACS", "10.0.0.1", 11112)),
        ("PACS@[::1]:104", Peer("PACS", "::1", 104)),
    ],
)
def test_a_peer_is_a_title_and_an_address(text: str, peer: Peer) -> None:
    assert parse_peer(text) == peer


@pytest.mark.parametrize(
    "text",
    ["", "PACS", "PACS@host", "host:104", "@host:104", "PACS@:104", "PACS@host:0", "PACS@host:65536", "P@::1:104"],
)
def test_another_text_is_no_peer(text: str) -> None:
    with pytest.raises(SettingsError, match="AE@HOST:PORT"):
        parse_peer(text)


@pytest.mark.parametrize("title", ["", "   ", "SEVENTEEN-LETTERS", "BACK\\SLASH", "NIÈRE", "NEW\nLINE"])
def test_titles_are_those_that_dicom_allows(title: str) -> None:
    with pytest.raises(SettingsError, match="no AE title"):
        checked_title(title)


def test_loopback_is_told_from_networks() -> None:
    assert all(is_loopback(address) for address in (*addresses_of("localhost"), "127.0.0.1", "127.8.8.8", "::1"))
    assert not any(is_loopback(address) for address in ("0.0.0.0", "::", "10.0.0.1", "fe80::1%eth0"))
    with pytest.raises(SettingsError, match="has no address"):
        addresses_of("no-such-host.invalid")


def test_without_files_there_is_no_tls() -> None:
    assert listening_context(Tls()) is sending_context(Tls()) is None


def test_peers_are_checked_and_old_versions_refused(certificates: Certificates) -> None:
    own = certificates.own
    tls = Tls(own.certificate, own.key, certificates.authority)
    listening, sending = listening_context(tls), sending_context(tls)
    assert listening is not None
    assert sending is not None
    assert listening.minimum_version == sending.minimum_version == ssl.TLSVersion.TLSv1_2
    assert listening.verify_mode == sending.verify_mode == ssl.CERT_REQUIRED
    assert sending.check_hostname
    alone = listening_context(Tls(own.certificate, own.key))
    assert alone is not None
    assert alone.verify_mode == ssl.CERT_NONE
    only_sends = Tls(authority=certificates.authority)
    assert listening_context(only_sends) is None
    assert sending_context(only_sends) is not None


def test_files_that_cannot_be_used_are_named(certificates: Certificates, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.pem.*No such file"):
        listening_context(Tls(tmp_path / "none.pem"))
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match=r"text\.pem"):
        sending_context(Tls(authority=tmp_path / "text.pem"))
    with pytest.raises(SettingsError, match="has a password"):
        listening_context(Tls(certificates.own.certificate, certificates.locked_key))
