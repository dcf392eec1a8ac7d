"""A job: a CT to segment, and how far it has come."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How far a job has come."""

    RECEIVING = "receiving"  #: objects still arrive
    RECEIVED = "received"  #: complete; waits for the networks
    SEGMENTED = "segmented"  #: the results are on disk; they wait to be sent
    DONE = "done"  #: the results are where they belong
    FAILED = "failed"  #: `problem` says why


@dataclass
class Job:
    """One CT. Nothing here names the patient, except `source`, which a user has named."""

    number: int
    state: State
    key: str  #: the same for all that belongs to one study, or for one path of a watched folder; a hash
    source: str | None = None  #: path of the CT in a watched folder; None where the queue holds the objects
    stamp: str = ""  #: of the source when the job began, see `watching.stamp_of`
    objects: int = 0  #: DICOM objects, once all are received
    changed_at: float = 0.0  #: seconds since the epoch
    attempts: int = 0  #: times that the segmentation was begun
    sends: int = 0  #: times that the peer did not take the results
    due_at: float = 0.0  #: not to be taken up before, in seconds since the epoch
    sent: list[str] = field(default_factory=list)  #: names of the files that the peer has taken
    problem: str = ""  #: one sentence on the last failure

    def to_json(self) -> str:
        """As text, for `from_json`."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job of a text by `to_json`; unknown fields are left out. Raises ValueError for another text."""
        known = {one.name for one in fields(cls)}
        try:
            values: dict[str, Any] = {name: value for name, value in json.loads(text).items() if name in known}
            return cls(**values | {"state": State(values["state"])})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError("no record of a job") from error
