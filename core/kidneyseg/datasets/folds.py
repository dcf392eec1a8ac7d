"""Which cases are for training and which are held out: fixed by the cases' names, never drawn at random."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import InputError, SettingsError

_KITS19_CASES, _KITS19_HELD_OUT = 210, 40
# A folder is KiTS19's when it holds nearly all of its labelled cases and no other; some users drop badly labelled ones.
_KITS19_AT_LEAST = 200


def folds(cases: Sequence[CaseFiles], count: int) -> list[list[CaseFiles]]:
    """The cases in `count` disjoint parts: in the order of their names, case i goes to part i modulo `count`.

    Raises:
        SettingsError: for fewer than two folds, or more than there are cases.
    """
    if not 2 <= count <= len(cases):
        raise SettingsError(f"{len(cases)} cases can be split into 2 to {len(cases)} folds, not {count}")
    ordered = sorted(cases, key=lambda case: case.name)
    return [ordered[i::count] for i in range(count)]


def split_off(cases: Sequence[CaseFiles], wanted: Iterable[str]) -> tuple[list[CaseFiles], list[CaseFiles]]:
    """Training cases and validation cases, which share none.

    Args:
        wanted: for validation; see `chosen`.

    Raises:
        InputError: when a name is unknown, or no case is left for training.
    """
    names = {case.name for case in cases}
    held_out = chosen(wanted, names)
    if unknown := sorted(held_out - names):
        raise InputError(f"there is no case {unknown[0]} to validate on; there are: {', '.join(sorted(names))}")
    if held_out == names:
        raise InputError("every case is for validation; leave some for training")
    return [case for case in cases if case.name not in held_out], [case for case in cases if case.name in held_out]


def chosen(wanted: Iterable[str], names: Collection[str]) -> set[str]:
    """The cases that a user means.

    Args:
        wanted: of each: its name; or a share of `names` such as "20%"; or "kits19", the validation cases of KiTS19 that
            are among `names`; or the path of a .txt file with a name a line.
        names: of all cases. A name or a file may mean others: the caller says what is wrong with that.

    Raises:
        InputError: when a file cannot be read, or none of KiTS19's validation cases is there.
    """
    found: set[str] = set()
    for text in wanted:
        if text == "kits19":
            if not kits19_held_out() & set(names):
                raise InputError("kits19 means case_00000 to case_00209; none of its validation cases is there")
            found |= kits19_held_out() & set(names)
        elif text.endswith("%") and text[:-1].isdigit():
            found |= held_out_share(names, int(text[:-1]))
        elif text.endswith(".txt"):
            found |= _read_names(Path(text))
        else:
            found.add(text)
    return found


def _read_names(path: Path) -> set[str]:
    try:
        return set(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the case names in {path} cannot be read: {error}") from error


def kits19_held_out() -> frozenset[str]:
    """The 40 of KiTS19's 210 labelled cases that are for validation; the other 170 are for training.

    The paper's own split is not known. These are the first 40 by the SHA-256 of "KiTS19 case_XXXXX".
    """
    names = [f"case_{number:05d}" for number in range(_KITS19_CASES)]
    ordered = sorted(names, key=lambda name: hashlib.sha256(f"KiTS19 {name}".encode()).digest())
    return frozenset(ordered[:_KITS19_HELD_OUT])


def held_out_share(names: Iterable[str], percent: int) -> frozenset[str]:
    """`percent` of the names (rounded, at least one): the first by the SHA-256 of the name."""
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return frozenset(ordered[: max(1, round(len(ordered) * percent / 100))])


def is_kits19(names: Iterable[str]) -> bool:
    """Whether these are the names of KiTS19's labelled cases, of which a few may be missing."""
    numbers = [re.fullmatch(r"case_(\d{5})", name) for name in names]
    known = [match for match in numbers if match is not None and int(match.group(1)) < _KITS19_CASES]
    return len(known) == len(numbers) >= _KITS19_AT_LEAST
