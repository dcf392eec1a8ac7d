"""The window's title."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kidneyseg.imaging.volume import Volume


def title_of(volume: Volume | None, *, patient: bool) -> str:
    """The title for an open CT: its name, and the patient's of a CT from DICOM where that is wanted."""
    if volume is None:
        return "KidneySeg[*]"
    who = _patient(volume) if patient else ""
    return f"{volume.name}{f' — {who}' if who else ''}[*] — KidneySeg"


def _patient(volume: Volume) -> str:
    headers = getattr(volume.geometry, "headers", ())
    name = str(headers[0].get("PatientName") or "") if headers else ""
    # The parts of a name, and its spellings in other scripts; Qt would take "[*]" for the mark of changes.
    return " ".join(name.split("=")[0].replace("^", " ").replace("[*]", "").split())
