"""Peers of the server: a scanner that sends studies, a PACS that gets the results, and small studies for both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SegmentationStorage,
)
from pynetdicom import AE, evt

from dicom_series import frames_of, slices
from volumes import abdomen

TITLE = "KIDNEYSEG"
HOST = "127.0.0.1"


def study(count: int = 10, **values: Any) -> list[FileDataset]:
    """A CT series of a few small slices, with file meta information, uncompressed."""
    made = slices(frames_of(abdomen((24, 20, count))[0]), **values)
    for one in made:
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def associate(
    port: int,
    contexts: Iterable[tuple[str, Sequence[str]]] = ((CTImageStorage, (ExplicitVRLittleEndian,)),),
    *,
    calling: str = "SCANNER",
    called: str = TITLE,
    tls: Any = None,
) -> Any:
    """An association of a scanner with a server; look at `is_established`."""
    entity = AE(calling)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = 20
    for context, syntaxes in contexts:
        entity.add_requested_context(context, list(syntaxes))
    return entity.associate(HOST, port, ae_title=called, tls_args=None if tls is None else (tls, "localhost"))


def send(port: int, objects: Iterable[Dataset | Path], **how: Any) -> list[int | None]:
    """Send objects by one association; their statuses, None where no answer came."""
    whole = [dcmread(one) if isinstance(one, Path) else one for one in objects]
    kinds = {(str(one.SOPClassUID), (str(one.file_meta.TransferSyntaxUID),)) for one in whole}
    association = associate(port, sorted(kinds), **how)
    assert association.is_established
    statuses = [association.send_c_store(one).get("Status") if association.is_established else None for one in whole]
    association.release()
    return statuses


class Pacs:
    """A storage server in threads of this process. As a context manager it listens, also again on the same port."""

    def __init__(
        self,
        *,
        answer: Callable[[], int] = lambda: 0,
        allowed: Sequence[str] = (),
        contexts: Sequence[str] = (SegmentationStorage, Comprehensive3DSRStorage),
        syntaxes: Sequence[str] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        tls: Any = None,
    ) -> None:
        """Prepare; `answer` gives the status of each answer, after the object was stored."""
        self._answer, self._tls = answer, tls
        self._entity = AE("PACS")
        self._entity.require_calling_aet = list(allowed)
        for context in contexts:
            self._entity.add_supported_context(context, list(syntaxes))
        self._server: Any = None
        self.received: list[Dataset] = []
        self.arrived = threading.Event()
        self.port = 0

    @property
    def peer(self) -> str:
        """As --send-to names it."""
        return f"PACS@localhost:{self.port}" if self._tls else f"PACS@{HOST}:{self.port}"

    def __enter__(self) -> Pacs:
        self._server = self._entity.start_server(
            (HOST, self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)], ssl_context=self._tls
        )
        self.port = self._server.server_address[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()

    def cut(self) -> None:
        """Break the connections off."""
        for association in self._entity.active_associations:
            association.abort()

    def _store(self, event: Any) -> int:
        one = event.dataset
        one.file_meta = event.file_meta
        self.received.append(one)
        self.arrived.set()
        return self._answer()
