# ruff: noqa: PLC0415 - pynetdicom and pydicom are imported when results are sent
"""Sends results to a peer by C-STORE."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.errors import SettingsError
from kidneyseg.service.peers import Peer, addresses_of
from kidneyseg.service.receiver import application_entity

if TYPE_CHECKING:
    import ssl

    from pynetdicom.association import Association

_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")  # explicit and implicit little endian
_CONNECT_S, _ANSWER_S = 15.0, 120.0
_WARNINGS = (0xB000, 0xB006, 0xB007)  # the object is stored
_LATER = range(0xA700, 0xA800)  # the peer is out of resources


class AwayError(Exception):
    """The peer cannot be reached, or does not take objects now; a sentence."""


class RefusedError(Exception):
    """The peer will not take an object, whenever it is sent; a sentence."""


class Sender:
    """Sends objects to one peer."""

    def __init__(self, peer: Peer, title: str, tls: ssl.SSLContext | None = None) -> None:
        """Prepare; `title` is the own AE title."""
        self._peer, self._title, self._tls = peer, title, tls

    def send(self, paths: Sequence[Path], taken: Callable[[Path], None]) -> None:
        """Send files in order by one association; `taken` is called for each that the peer has stored.

        Raises:
            AwayError: the peer is to be asked again later.
            RefusedError: it is not.
        """
        if not paths:
            return
        association = self._associate(paths)
        try:
            for path in paths:
                self._send(association, path)
                taken(path)
        finally:
            if association.is_established:
                association.release()

    def _associate(self, paths: Sequence[Path]) -> Association:
        from pydicom import dcmread

        peer, entity = self._peer, application_entity(self._title)
        for path in paths:
            found = dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
            entity.add_requested_context(found.SOPClassUID, list(_SYNTAXES))
        entity.connection_timeout = entity.acse_timeout = _CONNECT_S
        entity.dimse_timeout = entity.network_timeout = _ANSWER_S
        tls = None if self._tls is None else (self._tls, peer.host)
        rejected = False
        try:
            addresses = addresses_of(peer.host)
        except SettingsError as error:  # a name server may be away, too
            raise AwayError(f"{error}") from error
        for address in addresses:
            association = entity.associate(address, peer.port, ae_title=peer.title, tls_args=tls)
            if association.is_established:
                return association
            rejected = rejected or association.is_rejected
        where = f"{peer.title} at {peer.host}:{peer.port}"
        if rejected:
            raise AwayError(f"{where} rejects connections of {self._title}; it may have to be told about it.")
        how = " by TLS" if tls else ""
        raise AwayError(f"{where} does not answer{how}; it is tried again.")

    def _send(self, association: Association, path: Path) -> None:
        title = self._peer.title
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they quote values
                answer = association.send_c_store(path)
        except ValueError as error:
            raise RefusedError(f"{title} does not take {_kind(path)} objects.") from error
        except RuntimeError as error:  # the association has ended
            raise AwayError(f"The connection to {title} broke off; it is tried again.") from error
        status = answer.get("Status")
        if status is None:
            raise AwayError(f"The connection to {title} broke off; it is tried again.")
        if status != 0 and status not in _WARNINGS:
            error_class = AwayError if status in _LATER else RefusedError
            raise error_class(f"{title} did not store the {_kind(path)} object: status 0x{status:04X}.")


def _kind(path: Path) -> str:
    """SEG or SR, by a file's name."""
    return path.stem.rpartition("_")[2].upper()
