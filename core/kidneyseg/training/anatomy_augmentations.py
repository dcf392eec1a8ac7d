"""Augmentations of a patient's anatomy and contrast, as recipes name them; `kidneyseg.synthesis` does the work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kidneyseg.arrays import Range, Rng
from kidneyseg.synthesis.contrast_phases import scale_corticomedullary_contrast, simulate_contrast_phase
from kidneyseg.synthesis.extrarenal import insert_extrarenal_mass
from kidneyseg.synthesis.fat import add_fat
from kidneyseg.synthesis.insertion import insert_lesions, insert_pseudotumour
from kidneyseg.synthesis.organs import KIDNEYS
from kidneyseg.synthesis.subject import GridAnatomy, Subject
from kidneyseg.synthesis.transplant import replace_kidneys, transplant
from kidneyseg.training.augmentation import augmentation


def _has_organs(subject: Subject) -> bool:
    return subject.weights is not None


def _may_have_lesions(subject: Subject) -> bool:
    return subject.lesions is not None


def _may_have_kidneys(subject: Subject) -> bool:
    return subject.lesions is not None and subject.lesions.kidneys is not None


@augmentation("anatomy", "corticomedullary_contrast", applies=_has_organs)
def change_corticomedullary_contrast(
    subject: Subject,
    rng: Rng,
    *,
    reduction: Range = (0.3, 1.0),
    increase: Range = (-0.9, -0.2),
    reduction_probability: float = 0.65,
) -> Subject:
    """Cortex and medulla more alike, as in late phases and poorly functioning kidneys, or less alike.

    Args:
        reduction: range of the share of the difference that is removed.
        increase: the same where the difference is increased: negative.
        reduction_probability: of a reduction; else the difference is increased.
    """
    if subject.weights is None or KIDNEYS not in subject.weights.organs:
        return subject
    share = float(rng.uniform(*(reduction if rng.random() < reduction_probability else increase)))
    hu, weights = scale_corticomedullary_contrast(subject.hu, subject.weights, share)
    return replace(subject, hu=hu, weights=weights)


@augmentation("anatomy", "contrast_phase", parameters_of=simulate_contrast_phase, applies=_has_organs)
def change_contrast_phase(subject: Subject, rng: Rng, **parameters: Any) -> Subject:
    """Another contrast phase; see `simulate_contrast_phase`. It needs an organ map."""
    assert subject.weights is not None
    return replace(subject, hu=simulate_contrast_phase(subject.hu, subject.weights, rng, **parameters))


@augmentation("anatomy", "fat", parameters_of=add_fat)
def increase_fat(
    subject: Subject, rng: Rng, *, around_mm: Range = (4.0, 25.0), depth_mm: Range = (9.0, 20.0), **parameters: Any
) -> Subject:
    """More perirenal and renal sinus fat; see `add_fat`. Without kidneys in an organ map nothing changes."""
    regions = subject.anatomy.fat_regions(around_mm[1], depth_mm[1])
    if regions is None:
        return subject
    hu, labels = add_fat(subject.hu, subject.labels, regions, rng, around_mm=around_mm, depth_mm=depth_mm, **parameters)
    return replace(subject, hu=hu, labels=labels)


@augmentation("anatomy", "transplant", parameters_of=transplant, applies=_may_have_kidneys)
def transplant_kidneys(
    subject: Subject,
    rng: Rng,
    *,
    lesion_probability: float = 0.8,
    max_tumour_ml: float = 400.0,
    both_probability: float = 0.5,
    **parameters: Any,
) -> Subject:
    """Whole kidneys of other patients in place of the CT's own; see `transplant`.

    A recipe names it after the augmentations that need organ weights (contrast phases), which no longer fit, and before
    those that put something on the kidneys.

    Args:
        lesion_probability: of a kidney with tumour or cyst.
        max_tumour_ml: kidneys with more tumour are not used.
        both_probability: that both kidneys are replaced, where there are two; else it is one of them.
    """
    assert subject.lesions is not None
    assert subject.lesions.kidneys is not None
    library, sites = subject.lesions.kidneys, list(subject.anatomy.sites)
    if len(sites) > 1 and rng.random() >= both_probability:
        sites = [sites[int(rng.integers(len(sites)))]]
    spacing = np.array(subject.spacing_mm)
    grid = subject.anatomy.grid
    done = replace_kidneys(
        *(subject.hu, subject.labels, grid.organs, spacing, sites, library, rng),
        lesion_probability=lesion_probability,
        largest_ml=max_tumour_ml,
        **parameters,
    )
    if done is None:
        return subject
    anatomy = GridAnatomy(replace(grid, hu=done.hu, labels=done.labels, organs=done.organs))
    return replace(subject, hu=done.hu, labels=done.labels, anatomy=anatomy, weights=None)


@augmentation("anatomy", "pseudotumours", parameters_of=insert_pseudotumour, applies=_may_have_lesions)
def add_pseudotumour(subject: Subject, rng: Rng, **parameters: Any) -> Subject:
    """A pseudotumour, before lesions, which it must not cover; see `insert_pseudotumour`."""
    assert subject.lesions is not None
    hu, labels = insert_pseudotumour(
        subject.hu, subject.labels, subject.spacing_mm, subject.lesions, subject.anatomy.hosts, rng, **parameters
    )
    return replace(subject, hu=hu, labels=labels)


@augmentation("anatomy", "lesions", parameters_of=insert_lesions, applies=_may_have_lesions)
def add_lesions(subject: Subject, rng: Rng, **parameters: Any) -> Subject:
    """Tumours and cysts; see `insert_lesions`."""
    assert subject.lesions is not None
    hosts = [host.in_phase(subject.hu) for host in subject.anatomy.hosts]
    hu, labels, _ = insert_lesions(
        subject.hu, subject.labels, subject.spacing_mm, subject.lesions, hosts, rng, **parameters
    )
    return replace(subject, hu=hu, labels=labels)


@augmentation("anatomy", "extrarenal_mass", parameters_of=insert_extrarenal_mass, applies=_may_have_lesions)
def add_extrarenal_mass(subject: Subject, rng: Rng, **parameters: Any) -> Subject:
    """A mass beside a kidney that is not of it, after the kidney's own lesions; see `insert_extrarenal_mass`."""
    assert subject.lesions is not None
    done = insert_extrarenal_mass(
        subject.hu,
        subject.labels,
        subject.spacing_mm,
        subject.lesions,
        rng,
        organs=subject.anatomy.grid.organs,
        **parameters,
    )
    if done is None:
        return subject
    hu, labels, mass = done
    return replace(subject, hu=hu, labels=labels, extrarenal=mass)
