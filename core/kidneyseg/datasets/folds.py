"""Which cases are learnt from and which are scored on: fixed by the cases' names, never by chance of a run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import SettingsError

_KITS19_CASES, _KITS19_HELD_OUT = 210, 40
# A folder is KiTS19's when it holds nearly all of its labelled cases and nothing else; some drop those with bad labels.
_KITS19_AT_LEAST = 200


def folds(cases: Sequence[CaseFiles], count: int) -> list[list[CaseFiles]]:
    """The cases in `count` parts, dealt out one after the other in the order of their names.

    Raises:
        SettingsError: for fewer than two folds, or more than there are cases.
    """
    if not 2 <= count <= len(cases):
        raise SettingsError(f"{len(cases)} cases can be split into 2 to {len(cases)} folds, not {count}")
    ordered = sorted(cases, key=lambda case: case.name)
    return [ordered[i::count] for i in range(count)]


def kits19_held_out() -> frozenset[str]:
    """40 of KiTS19's 210 labelled cases to score on; the other 170 are to learn from.

    The paper's own 170 and 40 are not known. These are the first 40 by the SHA-256 of "KiTS19 case_XXXXX".
    """
    names = [f"case_{number:05d}" for number in range(_KITS19_CASES)]
    ordered = sorted(names, key=lambda name: hashlib.sha256(f"KiTS19 {name}".encode()).digest())
    return frozenset(ordered[:_KITS19_HELD_OUT])


def held_out_share(names: Iterable[str], percent: int) -> frozenset[str]:
    """So many percent of the names (rounded, at least one), the first by the SHA-256 of the name."""
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return frozenset(ordered[: max(1, round(len(ordered) * percent / 100))])


def is_kits19(names: Iterable[str]) -> bool:
    """Whether these are the names of KiTS19's labelled cases, but for a few that may be missing."""
    numbers = [re.fullmatch(r"case_(\d{5})", name) for name in names]
    known = [match for match in numbers if match is not None and int(match.group(1)) < _KITS19_CASES]
    return len(known) == len(numbers) >= _KITS19_AT_LEAST
