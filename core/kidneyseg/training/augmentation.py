"""The augmentations that a recipe can name: one function and one registration each.

An augmentation takes a subject and a random generator and returns the changed subject. Those of kind "anatomy" change a
`synthesis.subject.Subject`, a CT on its own grid; those of kind "intensity" an `intensity.Scan`, the resampled HU. Its
keyword-only parameters are what a recipe may set; their defaults stand in its signature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from inspect import getfullargspec
from typing import Any, Literal, NamedTuple, TypeVar, get_type_hints

from kidneyseg.arrays import Rng

S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Any])

Kind = Literal["anatomy", "intensity"]


class Registered(NamedTuple):
    """An augmentation as it was registered; see `augmentation`."""

    function: Callable[..., Any]
    parameters_of: Callable[..., Any] | None
    applies: Callable[[Any], bool]

    @property
    def parameters(self) -> dict[str, Any]:
        """The types of the keyword arguments that a recipe may set, by name."""
        types: dict[str, Any] = {}
        for function in filter(None, (self.parameters_of, self.function)):
            hints = get_type_hints(function)
            types |= {name: hints[name] for name in getfullargspec(function).kwonlyargs}
        return types


REGISTRY: dict[Kind, dict[str, Registered]] = {"anatomy": {}, "intensity": {}}


def augmentation(
    kind: Kind,
    name: str,
    *,
    parameters_of: Callable[..., Any] | None = None,
    applies: Callable[[Any], bool] = lambda subject: True,
) -> Callable[[F], F]:
    """Register the decorated function as an augmentation.

    Args:
        kind: what it changes: "anatomy" or "intensity".
        name: what recipes call it.
        parameters_of: a function that takes more of the recipe's parameters: its keyword-only ones.
        applies: whether a subject has what it needs, for example an organ map; else it is skipped and draws nothing.
    """

    def register(function: F) -> F:
        REGISTRY[kind][name] = Registered(function, parameters_of, applies)
        return function

    return register


@dataclass(frozen=True)
class Augmentation:
    """One augmentation of a recipe."""

    kind: Kind  #: of the registry
    name: str  #: in the registry
    probability: float  #: that a sample is given it; with 1 nothing is drawn for it
    parameters: dict[str, Any] = field(default_factory=dict)  #: keyword arguments other than the defaults

    def __call__(self, subject: S, rng: Rng) -> S:
        """The subject, augmented with the probability, where it applies."""
        registered = REGISTRY[self.kind][self.name]
        if not registered.applies(subject) or (self.probability < 1 and rng.random() >= self.probability):
            return subject
        augmented: S = registered.function(subject, rng, **self.parameters)
        return augmented


def augmented(subject: S, augmentations: Sequence[Augmentation], rng: Rng) -> S:
    """The subject after all augmentations, one after another."""
    for one in augmentations:
        subject = one(subject, rng)
    return subject
