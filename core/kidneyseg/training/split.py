"""Which cases of a data folder are trained on and which are for validation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from kidneyseg.datasets.cache import content_key
from kidneyseg.datasets.cases import CaseFiles, find_cases
from kidneyseg.datasets.folds import is_kits19, split_off
from kidneyseg.errors import SettingsError
from kidneyseg.files import write_whole
from kidneyseg.training.context import TrainingSpec

log = logging.getLogger(__name__)

# The validation cases of a method whose training data are KiTS19's, where the user names none.
_PUBLISHED_SPLIT = {"paper": "kits19"}
_UNREADABLE = "unreadable"


def find_labelled(spec: TrainingSpec) -> list[CaseFiles]:
    """The labelled cases of the data folder.

    Raises:
        InputError: when there are none. SettingsError: when `lesions_unlabelled` names one that is not there.
    """
    cases = find_cases(spec.data)
    if unknown := sorted(spec.lesions_unlabelled - {case.name for case in cases}):
        raise SettingsError(f"lesions are unlabelled in {unknown[0]}, but there is no such case in {spec.data}")
    return cases


def split_cases(spec: TrainingSpec) -> tuple[list[CaseFiles], list[CaseFiles]]:
    """Training cases and validation cases; where the user names none, those of the published split, if there is one.

    Raises:
        InputError: see `find_labelled` and `folds.split_off`.
    """
    cases = find_labelled(spec)
    published = not spec.validate and spec.method in _PUBLISHED_SPLIT and is_kits19(case.name for case in cases)
    return split_off(cases, [_PUBLISHED_SPLIT[spec.method]] if published else spec.validate)


def warn_of_copies(training: Sequence[CaseFiles], validation: Sequence[CaseFiles]) -> None:
    """Warn of CTs that are trained on under one name and scored on under another."""
    held_out = {content_or_unreadable(case.image): case.name for case in validation}
    held_out.pop(_UNREADABLE, None)
    for case in training if held_out else ():
        if (copy := held_out.get(content_or_unreadable(case.image))) is not None:
            log.warning("%s is trained on, and it is the same CT as %s, which is for validation", case.name, copy)


def write_split(folder: Path, training: Sequence[CaseFiles], validation: Sequence[CaseFiles]) -> None:
    """Write the names a line to training.txt and validation.txt, which --validate and --cases read."""
    for cases, name in ((training, "training.txt"), (validation, "validation.txt")):
        if validation:
            write_whole(folder / name, "".join(f"{case.name}\n" for case in cases).encode())


def content_or_unreadable(*files: Path) -> str:
    """A key of the files' content; the same word for all that cannot be read."""
    try:
        return content_key(files)[:16]
    except OSError:
        return _UNREADABLE  # named and left out when cases are prepared
