"""Names of DICOM peers, their addresses, and the TLS that protects the way to them."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kidneyseg.errors import SettingsError

if TYPE_CHECKING:
    from ssl import SSLContext

_LONGEST_TITLE = 16
_PEER = re.compile(r"(?P<title>[^@]+)@(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\[\]@\s]+)):(?P<port>\d+)")


class Peer(NamedTuple):
    """Where results are sent."""

    title: str  #: its AE title
    host: str
    port: int


class Tls(NamedTuple):
    """Files for TLS, in PEM format."""

    certificate: Path | None = None  #: of this program, with the chain up to the authority
    key: Path | None = None  #: of the certificate; None where that file holds both
    authority: Path | None = None  #: certificates that peers must be signed by

    @property
    def listens(self) -> bool:
        """Whether this program can be reached by TLS."""
        return self.certificate is not None

    @property
    def sends(self) -> bool:
        """Whether results are sent by TLS."""
        return self.certificate is not None or self.authority is not None


def checked_title(text: str) -> str:
    """An AE title. Raises SettingsError for one that DICOM does not allow."""
    title = text.strip()
    if not 0 < len(title) <= _LONGEST_TITLE or "\\" in title or not (title.isascii() and title.isprintable()):
        raise SettingsError(f"{text!r} is no AE title: 1 to 16 letters, digits and signs, without a backslash")
    return title


def parse_peer(text: str) -> Peer:
    """AE@HOST:PORT, or AE@[IPV6]:PORT, as a peer. Raises SettingsError."""
    found = _PEER.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise SettingsError(f"{text!r} names no peer; write AE@HOST:PORT, such as PACS@pacs.example.org:104")
    return Peer(checked_title(found["title"]), found["host"] or found["six"], int(found["port"]))


def addresses_of(host: str) -> list[str]:
    """The IP addresses of a host, its first one first. Raises SettingsError where it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"the host {host} has no address; check its name") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an IP address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def listening_context(tls: Tls) -> SSLContext | None:
    """TLS for peers that connect, None without; they must show a certificate where an authority is named.

    Raises:
        SettingsError: a file cannot be used.
    """
    if not tls.listens:
        return None
    return _context(tls, listens=True)


def sending_context(tls: Tls) -> SSLContext | None:
    """TLS for the peer that results are sent to, None without; its certificate must be valid for its host's name.

    It is checked against the authority, or without one against those that this system trusts.

    Raises:
        SettingsError: a file cannot be used.
    """
    if not tls.sends:
        return None
    return _context(tls, listens=False)


def _context(tls: Tls, *, listens: bool) -> SSLContext:
    import ssl  # noqa: PLC0415 - few servers use TLS

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if listens else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, tls)
    if listens and tls.authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    if not listens and tls.authority is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _load(context: SSLContext, tls: Tls) -> None:
    try:
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
        if tls.authority is not None:
            context.load_verify_locations(tls.authority)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        named = ", ".join(str(file) for file in tls if file is not None)
        raise SettingsError(
            f"the files for TLS ({named}) cannot be used: {error.strerror if isinstance(error, OSError) else error}"
        ) from error


def _no_password() -> str:
    """Without this, OpenSSL would ask on the terminal."""
    raise ValueError("the key has a password; save it without one, readable for its owner alone")
