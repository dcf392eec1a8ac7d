"""How a mask was made, apart from the mask: kept in its sidecar, and through edits and a recovery."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kidneyseg.errors import InputError, SettingsError
from kidneyseg.segmentation.pipeline import Result
from kidneyseg.settings import Settings
from kidneyseg.version import __version__, installed

# Whose versions a sidecar and `kidneyseg info` give.
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "nibabel")


@dataclass(frozen=True)
class Provenance:
    """How the networks made a mask; without arguments, of a mask of unknown origin."""

    settings: Settings | None = None  #: of the run; None where unknown
    model_ids: tuple[str, ...] = ()  #: of the networks, stage 1's first
    device: str | None = None  #: where the networks ran, "cpu" or "cuda"; None where unknown
    backend: str | None = None  #: the library that ran them; None where unknown
    seconds: Mapping[str, float] = field(default_factory=dict)  #: per stage
    #: how many there were in each stage, and how many were kept
    points: Mapping[str, int] = field(default_factory=dict)
    #: sentences for the user on the CT and the run; those on the findings are not among them
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)  #: of KidneySeg, Python and the libraries at the time

    @classmethod
    def of(cls, result: Result) -> Provenance:
        """The provenance of a result that was computed just now."""
        on_findings = result.findings.sentences()
        return cls(
            settings=result.settings,
            model_ids=result.model_ids,
            device=result.device,
            backend=result.backend,
            seconds={stage: round(seconds, 3) for stage, seconds in result.timings.items()},
            points={"stage 1": len(result.sampled), "stage 2": len(result.stage2), "kept": len(result.objects)},
            notes=tuple(note for note in result.notes if note not in on_findings),
            versions=current_versions(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, under the names of a sidecar."""
        return {
            "settings": None if self.settings is None else self.settings.to_dict(),
            "models": list(self.model_ids),
            "device": self.device,
            "backend": self.backend,
            "seconds": dict(self.seconds),
            "points": dict(self.points),
            "notes": list(self.notes),
            "versions": dict(self.versions),
        }

    @classmethod
    def from_dict(cls, values: object) -> Provenance:
        """The inverse of `to_dict`; other names, as a sidecar has, are passed over.

        Raises:
            InputError: for anything that `to_dict` does not give, or settings of an older or newer version.
        """
        if not isinstance(values, Mapping):
            raise InputError("what says how a mask was made is damaged: it is no JSON object")
        settings = values.get("settings")
        try:
            known = None if settings is None else Settings.from_dict(settings)
        except SettingsError as error:
            raise InputError(f"the settings that a mask was made with cannot be used: {error}") from error
        return cls(
            settings=known,
            model_ids=_texts(values, "models"),
            device=_text(values, "device"),
            backend=_text(values, "backend"),
            seconds=_mapping(values, "seconds", (int, float)),
            points=_mapping(values, "points", int),
            notes=_texts(values, "notes"),
            versions=_mapping(values, "versions", str),
        )


def current_versions() -> dict[str, str]:
    """The versions of KidneySeg, Python and the installed libraries."""
    own = {"kidneyseg": __version__, "python": platform.python_version()}
    return own | {name: version for name in LIBRARIES if (version := installed(name))}


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _damaged(name)


def _texts(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = values.get(name, [])
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise _damaged(name)


def _mapping(values: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> dict[str, Any]:
    value = values.get(name, {})
    if isinstance(value, dict) and all(isinstance(one, kind) for one in value.values()):
        return value
    raise _damaged(name)


def _damaged(name: str) -> InputError:
    return InputError(f"what says how a mask was made is damaged: its {name} cannot be read")
