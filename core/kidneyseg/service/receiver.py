# ruff: noqa: PLC0415 - pynetdicom and pydicom are imported when a server starts
"""Takes CTs from peers by C-STORE, and answers C-ECHO."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from kidneyseg.errors import OutputError
from kidneyseg.service.intake import FullError, Intake, NotUsableError

if TYPE_CHECKING:
    import ssl

    from pynetdicom import AE
    from pynetdicom.association import Association
    from pynetdicom.events import Event
    from pynetdicom.transport import ThreadedAssociationServer

#: the transfer syntaxes that `imaging.dicom` reads
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # explicit little endian
    "1.2.840.10008.1.2",  # implicit little endian
    "1.2.840.10008.1.2.2",  # explicit big endian
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.50",  # JPEG, 8 bits
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",  # JPEG-LS
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",  # JPEG 2000
    "1.2.840.10008.1.2.4.91",
)
_VERIFICATION = "1.2.840.10008.1.1"  # C-ECHO
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
_LOCAL_LIMIT = (2, 3, 2)  # a rejection for now, by the presentation layer: local limit exceeded
_LARGEST_PDU = 1 << 17  # that peers are told to send
_LONGEST_READ = 1 << 20  # of a PDU that a peer sends in spite of it
_LARGEST_OBJECT = 1 << 30
_IDLE_S = 60.0
_REQUEST_S = 15.0  # for a connection to become an association, and for the TLS handshake
_WAITING_CONNECTIONS = 4  # times the associations: all connections, with those that have not asked for one yet

log = logging.getLogger(__name__)


class Listening(NamedTuple):
    """How to listen."""

    title: str  #: own AE title; peers must call it
    address: str  #: IP address
    port: int  #: 0 takes a free one
    allowed: Sequence[str] = ()  #: AE titles of the peers that may send; any without
    tls: ssl.SSLContext | None = None
    most_associations: int = 8


@dataclass
class _Connection:
    """What is known of a peer's connection."""

    received: int = 0  #: bytes since the last object was complete
    said: str = ""  #: the last sentence on its objects


class Receiver:
    """A server of DICOM's storage and verification services. As a context manager it listens."""

    def __init__(self, intake: Intake, how: Listening, say: Callable[[str], None]) -> None:
        """Prepare; `say` gets a sentence when a peer is rejected or an object is not taken."""
        self._intake, self._how, self._say = intake, how, say
        self._server: ThreadedAssociationServer | None = None
        self._connections: WeakKeyDictionary[Association, _Connection] = WeakKeyDictionary()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None
        return int(self._server.server_address[1])

    def __enter__(self) -> Receiver:
        """Listen. Raises OutputError where the address cannot be had."""
        from pynetdicom import evt

        how, entity = self._how, self._entity()
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._on_connection),
            (evt.EVT_REQUESTED, self._on_request),
            (evt.EVT_REJECTED, self._on_rejected),
            (evt.EVT_C_STORE, self._on_store),
        ]
        try:
            server: ThreadedAssociationServer = entity.make_server(
                (how.address, how.port), evt_handlers=handlers, server_class=_server_class(), tls=how.tls
            )
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise OutputError(
                f"Port {how.port} of {how.address} cannot be listened on: {why}. Choose another --port."
            ) from error
        threading.Thread(target=server.serve_forever, args=(0.1,), name="dicom-server", daemon=True).start()
        entity._servers.append(server)  # the server's `shutdown` takes it out
        self._server = server
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        last = [one for one in self._server.active_associations if one.is_established]
        self._server.shutdown()
        for association in last:
            association.abort()
        for association in last:
            association.join(_REQUEST_S)

    def _entity(self) -> AE:
        """What is accepted of peers."""
        from pynetdicom import AllStoragePresentationContexts

        entity = application_entity(self._how.title)
        for context in AllStoragePresentationContexts:
            if context.abstract_syntax is not None:
                entity.add_supported_context(context.abstract_syntax, list(TRANSFER_SYNTAXES))
        entity.add_supported_context(_VERIFICATION)
        entity.require_called_aet, entity.require_calling_aet = True, list(self._how.allowed)
        entity.maximum_associations = _WAITING_CONNECTIONS * self._how.most_associations  # see `_on_request`
        entity.acse_timeout, entity.dimse_timeout, entity.network_timeout = _REQUEST_S, _IDLE_S, _IDLE_S
        return entity

    def _on_connection(self, event: Event) -> None:
        """Bound what a peer can make pynetdicom hold in memory at a time."""
        connection = self._connections[event.assoc] = _Connection()
        reader: Any = event.assoc.dul.socket
        receive: Callable[[int], bytearray] = reader.recv

        def limited(count: int) -> bytearray:
            connection.received += count
            if count > _LONGEST_READ or connection.received > _LARGEST_OBJECT:
                raise OSError("more than a peer may send")  # ends the connection
            return receive(count)

        reader.recv = limited

    def _on_request(self, event: Event) -> None:
        """Reject an association beyond the most; pynetdicom's own limit counts connections without a request, too."""
        assert self._server is not None
        established = sum(one.is_established for one in self._server.active_associations)
        if established >= self._how.most_associations:
            event.assoc.acse.send_reject(*_LOCAL_LIMIT)
            event.assoc.kill()

    def _on_rejected(self, event: Event) -> None:
        asked = event.assoc.requestor
        self._say(f"Rejected a connection of {printable(asked.ae_title)} at {asked.address}: see --allow, --ae-title.")

    def _on_store(self, event: Event) -> int:
        """Store an object; returns the status of the answer."""
        association = event.assoc
        self._connections[association].received = 0
        try:
            if not self._intake.store(event.encoded_dataset(), association):
                self._say_once(association, "Left objects that are no CT images.")
            return _SUCCESS
        except FullError:
            self._say_once(association, "Refused objects: the queue is full (--max-queue).")
            return _OUT_OF_RESOURCES
        except OutputError:  # whose sentence names the object's file
            self._say_once(association, "Refused objects: the queue cannot be written; its disk may be full.")
            return _OUT_OF_RESOURCES
        except NotUsableError:
            self._say_once(association, "Refused objects that are damaged or name no study.")
            return _CANNOT_UNDERSTAND
        except Exception as error:  # its message may hold what a log must not
            self._say_once(association, f"Refused objects: {type(error).__name__}.")
            return _CANNOT_UNDERSTAND

    def _say_once(self, association: Association, sentence: str) -> None:
        """Say what holds for hundreds of objects once for a connection."""
        connection = self._connections[association]
        if connection.said != sentence:
            connection.said = sentence
            self._say(f"{printable(association.requestor.ae_title)}: {sentence}")


def application_entity(title: str) -> AE:
    """An application entity of pynetdicom, whose log messages, which may quote objects, are switched off."""
    from pynetdicom import AE

    for library in ("pynetdicom", "pydicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    entity = AE(title)
    entity.maximum_pdu_size = _LARGEST_PDU
    return entity


def printable(title: str) -> str:
    """What a peer calls itself, fit for a terminal and a log."""
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in title.strip()) or "?"


def _server_class() -> type[Any]:
    from pynetdicom.transport import ThreadedAssociationServer

    class Server(ThreadedAssociationServer):
        """pynetdicom's server, with TLS handshakes outside the thread that accepts, and limits for idle peers."""

        def __init__(self, *arguments: Any, tls: ssl.SSLContext | None, **more: Any) -> None:
            self._tls = tls
            super().__init__(*arguments, **more)

        def get_request(self) -> tuple[socket.socket, Any]:
            connection, address = super().get_request()
            connection.settimeout(_REQUEST_S)
            return connection, address

        def verify_request(self, request: Any, client_address: Any) -> bool:
            return len(self.active_associations) < self.ae.maximum_associations

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            if self._tls is not None:
                try:
                    request = self._tls.wrap_socket(request, server_side=True)
                except OSError:  # of which ssl.SSLError is one
                    with suppress(OSError):
                        request.close()
                    return
            request.settimeout(_IDLE_S)
            super().process_request_thread(request, client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            log.debug("a connection ended with an error")

    return Server
