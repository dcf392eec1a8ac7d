"""How a mask was made, as JSON and back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kidneyseg.errors import InputError
from kidneyseg.segmentation.provenance import Provenance, current_versions
from kidneyseg.settings import preset

MADE = Provenance(
    preset("paper"), ("a", "b"), "cuda", "auto", {"fill": 0.5}, {"kept": 3}, ("A note.",), current_versions()
)


@pytest.mark.parametrize("made", [MADE, Provenance(), replace(MADE, settings=None, device=None)])
def test_json_gives_it_back(made: Provenance) -> None:
    assert Provenance.from_dict(json.loads(json.dumps(made.to_dict())) | {"more": 1}) == made


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"models": ["a", 1]}, "models"),
        ({"backend": []}, "backend"),
        ({"points": {"kept": "many"}}, "points"),
        ({"notes": "A note."}, "notes"),
        ({"versions": None}, "versions"),
        ({"settings": {"preset": "default"}}, "settings that a mask was made with cannot be used"),
    ],
)
def test_what_it_never_writes_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Provenance.from_dict(MADE.to_dict() | changes)


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(InputError, match="no JSON object"):
        Provenance.from_dict(["settings"])
