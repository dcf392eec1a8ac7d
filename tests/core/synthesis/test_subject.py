"""What augmentations know of a CT: computed once, of the unchanged CT."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kidney_host import host
from kidneyseg.datasets.cases import LabelledGrid
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.subject import GridAnatomy, Subject


def grid(*, organs: bool = True) -> LabelledGrid:
    hu, labels, organ_map, _ = host((4.0, 4.0, 4.0))
    return LabelledGrid(hu, labels, organ_map if organs else organ_map * 0, 4.0)


def test_anatomy_is_computed_once():
    anatomy = GridAnatomy(grid())
    assert anatomy.weights is anatomy.weights
    assert anatomy.hosts is anatomy.hosts
    assert len(anatomy.hosts) == 1
    regions = anatomy.fat_regions(25.0, 20.0)
    assert regions is anatomy.fat_regions(25.0, 20.0)
    assert regions is not None
    wider = anatomy.fat_regions(30.0, 20.0)
    assert wider is not None
    assert wider.around_mm.max() > regions.around_mm.max()


def test_without_an_organ_map_there_are_hosts_but_no_fat_regions():
    anatomy = GridAnatomy(grid(organs=False))
    assert not anatomy.has_organs
    assert anatomy.fat_regions(25.0, 20.0) is None
    assert len(anatomy.hosts) == 1
    assert Subject.of(anatomy).weights is None


def test_a_subject_starts_as_the_ct_and_its_anatomy_stays():
    anatomy, library = GridAnatomy(grid()), LesionLibrary.procedural(3)
    subject = Subject.of(anatomy, library)
    assert subject.hu is anatomy.grid.hu
    assert subject.labels is anatomy.grid.labels
    assert subject.weights is anatomy.weights
    assert subject.lesions is library
    assert subject.spacing_mm == (4.0, 4.0, 4.0)
    changed = replace(subject, hu=np.zeros_like(subject.hu))
    assert changed.anatomy.hosts is anatomy.hosts
