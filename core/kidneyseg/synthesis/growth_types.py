"""Tumours of a given growth type, to measure which of them a method finds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kidneyseg.arrays import HU, Labels, Range, Rng, Spacing
from kidneyseg.synthesis.insertion import Insertion, insert_lesion
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.lesion_shapes import ball_radius_mm
from kidneyseg.synthesis.placement import Neighbours, find_hosts
from kidneyseg.synthesis.texture import Texture, TumourHU, cystic_texture, necrotic_texture, tumour_texture


@dataclass(frozen=True)
class GrowthType:
    """A kind of tumour: how large, where on the kidney, and what it looks like."""

    name: str
    ml: Range  #: range of the volume, uniform in the logarithm
    inside: Range  #: range of the share within the kidney's hull
    count: tuple[int, int] = (1, 1)  #: fewest and most tumours
    at_hilum: bool = False  #: whether it sits where the kidney's surface lies deepest
    isodense: bool = False  #: whether it has its kidney's HU
    texture: Texture = tumour_texture


GROWTH_TYPES = (
    GrowthType("endophytic", (1.0, 30.0), (0.95, 1.0)),
    GrowthType("mesophytic", (1.0, 80.0), (0.5, 0.7)),
    GrowthType("exophytic", (1.0, 150.0), (0.1, 0.45)),
    GrowthType("multiple", (1.0, 30.0), (0.2, 1.0), count=(2, 3)),
    GrowthType("hilar", (1.5, 40.0), (0.6, 0.95), at_hilum=True),
    GrowthType("necrotic", (12.0, 150.0), (0.2, 0.8), texture=necrotic_texture),
    GrowthType("isodense", (1.0, 60.0), (0.2, 0.8), isodense=True),
    GrowthType("cystic", (4.0, 100.0), (0.2, 0.8), texture=cystic_texture),
)


def insert_growth(
    hu: HU,
    labels: Labels,
    spacing_mm: Spacing,
    library: LesionLibrary,
    growth: GrowthType,
    rng: Rng,
    *,
    organs: Labels | None = None,
) -> tuple[HU, Labels, list[Insertion]]:
    """Put tumours of a growth type on the kidneys; `insertion.insert_lesion` says more.

    Returns:
        New hu and labels, and what found room: it may be less than the type's fewest tumours.
    """
    hosts = find_hosts(hu, labels, np.asarray(spacing_mm, dtype=np.float64), organs)
    done: list[Insertion] = []
    neighbours: Neighbours = ()
    for _ in range(int(rng.integers(growth.count[0], growth.count[1] + 1))):
        ml = float(np.exp(rng.uniform(*np.log(growth.ml))))
        lesion, _ = library.draw(rng, "tumour", about_ml=ml)
        lesion = replace(lesion, inside=float(rng.uniform(*growth.inside)))
        hosts = [host.in_phase(hu) for host in hosts]
        aim = TumourHU(hosts[0].median_hu + float(rng.normal(0.0, 5.0)), 18.0) if growth.isodense and hosts else None
        hu, labels, one = insert_lesion(
            hu,
            labels,
            spacing_mm,
            lesion,
            library,
            hosts,
            rng,
            ml=ml,
            avoid=neighbours,
            aim=aim,
            texture=growth.texture,
            at_hilum=growth.at_hilum,
        )
        if one is not None:
            done.append(one)
            neighbours = (*neighbours, (one.centre * np.asarray(spacing_mm), ball_radius_mm(one.ml)))
    return hu, labels, done
