"""A job's record is read back as it was written."""

from __future__ import annotations

import json

import pytest

from kidneyseg.service.jobs import Job, State


def test_a_job_survives_its_record() -> None:
    job = Job(7, State.SEGMENTED, "key", objects=104, attempts=2, sent=["study_seg.dcm"], problem="away")
    assert Job.from_json(job.to_json()) == job


def test_a_record_of_a_later_version_is_read() -> None:
    values = json.loads(Job(7, State.DONE, "key").to_json()) | {"mood": "good"}
    assert Job.from_json(json.dumps(values)) == Job(7, State.DONE, "key")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"number": 1, "state": "lost", "key": ""}', '{"state": "done"}'])
def test_another_text_is_no_record(text: str) -> None:
    with pytest.raises(ValueError, match="no record"):
        Job.from_json(text)
