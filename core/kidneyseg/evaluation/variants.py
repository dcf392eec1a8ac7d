"""Versions of a labelled CT to evaluate on: the original, or with random lesions inserted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kidneyseg.arrays import HU, Labels, Mask, Rng, Spacing
from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import InputError
from kidneyseg.evaluation.masks import read_labels
from kidneyseg.evaluation.scores import (
    AS_IS,
    CYSTS,
    EXTRARENAL,
    HEALTHY,
    INSERTED,
    LESIONS_UNLABELLED,
    SLABS,
    TRANSPLANTED,
)
from kidneyseg.imaging.geometry import grid_geometry
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.synthesis.extrarenal import insert_extrarenal_mass
from kidneyseg.synthesis.growth_types import GROWTH_TYPES, GrowthType, insert_growth
from kidneyseg.synthesis.insertion import insert_lesions, insert_random_lesions
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.placement import find_hosts
from kidneyseg.synthesis.transplant import replace_kidneys
from kidneyseg.synthesis.transplant_sites import TransplantSite, find_sites

_DRAWS = 20
_CYST_ODDS = (0.0, 0.6, 0.4)  # of none, one, two
_SLAB_MM = 55.0


@dataclass(frozen=True)
class Variants:
    """Which versions of each CT are segmented."""

    shapes: LesionLibrary | None = None  #: lesions to insert; None inserts none
    insertions: int = 1  #: number of versions with lesions of each CT; each draws 1-3 tumours, mostly one
    #: version i has tumours of growth type i (`synthesis.growth_types`), after the last the first
    growth_types: bool = False
    extrarenal: int = 0  #: number of further versions of each CT with a mass that is not of a kidney
    cysts: int = 0  #: number of further versions of each CT with one or two cysts and no tumour
    #: number of further versions of each CT that are slabs of it, 55 mm high: the first has its middle at the lower end
    #: of the kidneys, the last at the upper end
    slabs: int = 0
    #: number of further versions of each CT with whole kidneys of `shapes.kidneys` in place of its own: with tumours or
    #: cysts, healthy, and so on in turn
    transplants: int = 0
    as_is: bool = False  #: also the original CT. Without `shapes` it is always taken.
    seed: int = 0  #: insertion i of a CT is drawn from seed + i and the CT's name, independently of the other CTs
    #: names of CTs with real lesions that are labelled kidney. The originals are summarised apart, since a tumour
    #: predicted there may be true.
    lesions_unlabelled: frozenset[str] = frozenset()


# The yardstick, in so many folds: a version with each growth type, two with extrarenal masses, two with cysts, and
# slabs at both ends and the middle of the kidneys.
YARDSTICK = Variants(insertions=len(GROWTH_TYPES), growth_types=True, extrarenal=2, cysts=2, slabs=3, as_is=True)
YARDSTICK_FOLDS = 5


@dataclass(frozen=True, eq=False)
class CaseVariant:
    """A version of a CT."""

    name: str  #: unique
    group: str
    volume: Volume
    truth: Labels  #: uint8 (X, Y, Z) of 0 ... 3
    growth: str = ""  #: growth type of its tumours, "" where it has none of a certain type
    extrarenal: Mask | None = None  #: bool (X, Y, Z), an inserted mass that is not of a kidney


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
    insert = _Inserter(case.name, volume, truth, organs, variants.shapes)
    for i in range(variants.insertions):
        rng = np.random.default_rng([variants.seed + i, *case.name.encode()])
        if variants.growth_types:
            yield insert.growth(GROWTH_TYPES[i % len(GROWTH_TYPES)], i // len(GROWTH_TYPES), rng)
        else:
            yield insert.lesions(f"{i if variants.insertions > 1 else ''}", rng)
    for i in range(variants.extrarenal):
        yield insert.mass(i, np.random.default_rng([variants.seed + i, 1, *case.name.encode()]))
    for i in range(variants.cysts):
        yield insert.cysts(i, np.random.default_rng([variants.seed + i, 2, *case.name.encode()]))
    yield from _slabs(case.name, volume, truth, variants.slabs)
    for i in range(variants.transplants):
        yield insert.kidneys(i, np.random.default_rng([variants.seed + i, 3, *case.name.encode()]))


def _slabs(name: str, volume: Volume, truth: Labels, count: int) -> Iterator[CaseVariant]:
    """Slabs of a CT, evenly from the lower end of its kidneys to the upper one; none of a CT without kidneys."""
    axis = volume.slice_axis
    with_kidney = np.flatnonzero(truth.any(axis=tuple(other for other in range(3) if other != axis)))
    if not len(with_kidney):
        return
    size = min(round(_SLAB_MM / volume.spacing_mm[axis]), volume.shape[axis])
    for i, middle in enumerate(np.linspace(with_kidney[0], with_kidney[-1], count)):
        first = int(np.clip(round(middle - size / 2), 0, volume.shape[axis] - size))
        part = tuple(slice(first, first + size) if other == axis else slice(None) for other in range(3))
        affine = volume.affine.copy()
        affine[:3, 3] += first * affine[:3, axis]
        hu = np.asfortranarray(volume.hu[part])
        x, y, z = hu.shape
        slab = replace(volume, hu=hu, affine=affine, geometry=grid_geometry((x, y, z), affine, axis))
        yield CaseVariant(f"{name}_slab{i}", SLABS, slab, np.asfortranarray(truth[part]))


@dataclass(frozen=True, eq=False)
class _Inserter:
    """Inserts into one CT; a draw without room is repeated."""

    name: str
    volume: Volume
    truth: Labels
    organs: Labels | None
    shapes: LesionLibrary

    def lesions(self, number: str, rng: Rng) -> CaseVariant:
        """A version with one to three tumours, and cysts."""
        for _ in range(_DRAWS):
            hu, labels, done = insert_random_lesions(*self._ct, self.shapes, rng, organs=self.organs)
            if any(insertion.kind == "tumour" for insertion in done):
                return self._variant(f"inserted{number}", INSERTED, hu, labels)
        raise self._no_room("tumour")

    def growth(self, growth: GrowthType, number: int, rng: Rng) -> CaseVariant:
        """A version with tumours of a growth type, as many as it has at least."""
        for _ in range(_DRAWS):
            hu, labels, done = insert_growth(*self._ct, self.shapes, growth, rng, organs=self.organs)
            if len(done) >= growth.count[0]:
                made = self._variant(f"{growth.name}{number or ''}", INSERTED, hu, labels)
                return replace(made, growth=growth.name)
        raise self._no_room(f"{growth.name} tumour")

    def mass(self, number: int, rng: Rng) -> CaseVariant:
        """A version with a mass that is not of a kidney."""
        done = insert_extrarenal_mass(*self._ct, self.shapes, rng, organs=self.organs, tries=4 * _DRAWS)
        if done is None:
            raise self._no_room("extrarenal mass")
        return replace(self._variant(f"extrarenal{number}", EXTRARENAL, *done[:2]), extrarenal=done[2])

    def cysts(self, number: int, rng: Rng) -> CaseVariant:
        """A version with one or two cysts."""
        hosts = find_hosts(self.volume.hu, self.truth, np.array(self.volume.spacing_mm), self.organs)
        for _ in range(_DRAWS):
            hu, labels, done = insert_lesions(
                *self._ct, self.shapes, hosts, rng, tumour_odds=(1.0,), cyst_odds=_CYST_ODDS
            )
            if done:
                return self._variant(f"cysts{number}", CYSTS, hu, labels)
        raise self._no_room("cyst")

    def kidneys(self, number: int, rng: Rng) -> CaseVariant:
        """A version with kidneys of others: with lesions where `number` is even, else healthy."""
        if self.shapes.kidneys is None:
            raise ValueError("versions with other kidneys need a library of kidneys")
        healthy = number % 2
        done = replace_kidneys(
            *(self.volume.hu, self.truth, self._organs, np.array(self.volume.spacing_mm), self._sites),
            *(self.shapes.kidneys, rng),
            lesion_probability=0.0 if healthy else 1.0,
            donors=_DRAWS,
        )
        if done is None:
            raise self._no_room("donor kidney", "ask for fewer such versions")
        name = f"{'healthy' if healthy else 'transplant'}{number // 2}"
        return self._variant(name, HEALTHY if healthy else TRANSPLANTED, done.hu, np.asfortranarray(done.labels))

    @cached_property
    def _organs(self) -> Labels:
        return np.zeros_like(self.truth) if self.organs is None else self.organs

    @cached_property
    def _sites(self) -> list[TransplantSite]:
        return find_sites(self.volume.hu, self.truth, self._organs, np.array(self.volume.spacing_mm))

    @property
    def _ct(self) -> tuple[HU, Labels, Spacing]:
        return self.volume.hu, self.truth, self.volume.spacing_mm

    def _variant(self, suffix: str, group: str, hu: HU, labels: Labels) -> CaseVariant:
        return CaseVariant(f"{self.name}_{suffix}", group, replace(self.volume, hu=np.asfortranarray(hu)), labels)

    def _no_room(self, what: str, mend: str = "use smaller shapes") -> InputError:
        return InputError(f"there is no room for a {what} in {self.name}; {mend}, or leave this case out of DATA")
