"""Versions of a labelled CT to evaluate on: the original, or with random lesions inserted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from kidneyseg.arrays import HU, Labels, Rng
from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import InputError
from kidneyseg.evaluation.masks import read_labels
from kidneyseg.evaluation.scores import AS_IS, INSERTED, LESIONS_UNLABELLED
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.synthesis.insertion import insert_random_lesions
from kidneyseg.synthesis.lesion_library import LesionLibrary

_DRAWS = 20


@dataclass(frozen=True)
class Variants:
    """Which versions of each CT are segmented."""

    shapes: LesionLibrary | None = None  #: lesions to insert; None inserts none
    insertions: int = 1  #: number of versions with lesions of each CT; each draws 1-3 tumours, mostly one
    as_is: bool = False  #: also the original CT. Without `shapes` it is always taken.
    seed: int = 0  #: insertion i of a CT is drawn from seed + i and the CT's name, independently of the other CTs
    #: names of CTs with real lesions that are labelled kidney. The originals are summarised apart, since a tumour
    #: predicted there may be true.
    lesions_unlabelled: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class CaseVariant:
    """A version of a CT: its unique name, its group, the volume, and its labels 0 ... 3 as uint8 (X, Y, Z)."""

    name: str
    group: str
    volume: Volume
    truth: Labels


def case_variants(case: CaseFiles, variants: Variants) -> Iterator[CaseVariant]:
    """The versions of a CT, which is read once. Raises InputError when its files cannot be used."""
    volume = load_volume(case.image)
    truth = read_labels(case.labels, volume)
    if variants.as_is or variants.shapes is None:
        group = LESIONS_UNLABELLED if case.name in variants.lesions_unlabelled else AS_IS
        yield CaseVariant(case.name, group, volume, truth)
    if variants.shapes is None:
        return
    organs = None if case.organs is None else load_mask(case.organs)[0]
    for i in range(variants.insertions):
        rng = np.random.default_rng([variants.seed + i, *case.name.encode()])
        hu, labels = _with_lesions(case.name, volume, truth, organs, variants.shapes, rng)
        name = f"{case.name}_inserted{i if variants.insertions > 1 else ''}"
        yield CaseVariant(name, INSERTED, replace(volume, hu=np.asfortranarray(hu)), labels)


def _with_lesions(
    name: str, volume: Volume, truth: Labels, organs: Labels | None, shapes: LesionLibrary, rng: Rng
) -> tuple[HU, Labels]:
    """HU and labels with at least one inserted tumour; a draw without room for one is repeated."""
    for _ in range(_DRAWS):
        hu, labels, done = insert_random_lesions(volume.hu, truth, volume.spacing_mm, shapes, rng, organs=organs)
        if any(insertion.kind == "tumour" for insertion in done):
            return hu, labels
    raise InputError(f"there is no room for a tumour in {name}; use smaller shapes, or leave this case out of DATA")
