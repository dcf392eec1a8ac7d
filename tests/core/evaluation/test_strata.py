"""Scores divided by growth type, size and contrast."""

from __future__ import annotations

from dataclasses import replace

import pytest

from case_scores import score
from kidneyseg.evaluation.lesions import CystScore, LesionScore
from kidneyseg.evaluation.scores import SLABS
from kidneyseg.evaluation.strata import stratify


def typed(name: str, growth: str, *lesions: LesionScore, tumour: float = 0.5, reach: float | None = 1.0):
    case = name.split("_", maxsplit=1)[0]
    return replace(score(name, tumour=tumour, lesions=lesions, case=case), growth=growth, reach=reach)


SCORES = [
    typed("a_hilar", "hilar", LesionScore(2.0, 0.6, -70.0), tumour=0.8, reach=0.9),
    typed("a_cystic", "cystic", LesionScore(40.0, 0.0, -100.0), LesionScore(0.5, 1.0, -10.0), tumour=0.0),
    typed("b_hilar", "hilar", LesionScore(20.0, 0.05, -30.0), tumour=0.1),
    score("a", lesions=[LesionScore(3.0, 1.0, 0.0)]),
]


def test_lesions_by_growth_type_size_and_contrast():
    strata = stratify(SCORES)
    assert strata is not None
    found = {(one.by, one.name): (one.lesions, one.detected) for one in strata.strata}
    assert found == {
        ("all", ">= 1 mL"): (3, 1),
        ("growth type", "hilar"): (2, 1),
        ("growth type", "cystic"): (1, 0),
        ("size", "< 1 mL"): (1, 1),
        ("size", "1-4 mL"): (1, 1),
        ("size", "4-33.5 mL"): (1, 0),
        ("size", ">= 33.5 mL"): (1, 0),
        ("contrast", "< -90 HU"): (1, 0),
        ("contrast", "-90 to -50 HU"): (1, 1),
        ("contrast", "-50 to -20 HU"): (1, 0),
    }
    hilar = next(one for one in strata.strata if one.name == "hilar")
    assert hilar.sensitivity == (0.5, 0.0, 1.0)
    assert hilar.overlap[0] == pytest.approx(0.325)


def test_tumour_dice_by_type_and_stage_1s_reach():
    strata = stratify(SCORES)
    assert strata is not None
    assert strata.tumour_dice["hilar"][0] == pytest.approx(0.45)
    assert strata.tumour_dice["all"][0] == pytest.approx(0.3)
    assert strata.reach is not None
    assert strata.reach[0] == pytest.approx(2.9 / 3)
    assert strata.reach_least == 0.9


def test_intervals_are_over_cts_not_masks():
    """Many versions of one CT do not narrow an interval."""
    many = [typed(f"a_{i}", "hilar", LesionScore(2.0, 0.6, -70.0)) for i in range(50)]
    many += [typed(f"b_{i}", "hilar", LesionScore(2.0, 0.0, -70.0)) for i in range(50)]
    strata = stratify(many)
    assert strata is not None
    assert strata.strata[0].sensitivity == (0.5, 0.0, 1.0)


def test_masses_that_are_not_of_a_kidney():
    beside = [replace(score(f"a{i}", kidney=0.8 + i / 10), extrarenal=share) for i, share in enumerate((0.09, 0.1))]
    strata = stratify(beside)
    assert strata is not None
    assert (strata.masses, strata.strata) == (2, ())
    assert strata.masses_called is not None
    assert strata.masses_called[0] == 0.5
    assert strata.masses_kidney_dice is not None
    assert strata.masses_kidney_dice[0] == pytest.approx(0.85)
    assert strata.reach is None


def test_cysts_count_from_1_ml_and_may_be_called_both():
    cysts = {"a": [CystScore(5.0, 0.2, 0.6), CystScore(0.5, 1.0, 0.0)], "b": [CystScore(2.0, 0.05, 0.0)], "c": []}
    strata = stratify([replace(score(name), cysts=tuple(own)) for name, own in cysts.items()])
    assert strata is not None
    assert strata.cysts == 2
    assert strata.cysts_called == (0.5, 0.0, 1.0)
    assert strata.cysts_found == (0.5, 0.0, 1.0)
    assert strata.masses_called is None


def test_slabs_are_compared_with_their_whole_ct():
    wholes = [score("a", kidney=0.9), score("b", kidney=0.8)]
    slabs = [score(name, kidney=dice, case=name[0]) for name, dice in (("a_0", 0.9), ("a_1", 0.45), ("b_0", 0.8))]
    alone = score("c_0", kidney=0.1, case="c")
    strata = stratify([*wholes, *(replace(one, group=SLABS) for one in (*slabs, alone))])
    assert strata is not None
    assert strata.slabs == 3
    assert strata.slabs_kidney_dice is not None
    assert strata.slabs_kidney_dice[0] == pytest.approx(2.5 / 3)
    assert strata.slabs_kidney_least == pytest.approx(0.5)


def test_without_growth_types_there_is_nothing_to_divide():
    assert stratify([score("a", lesions=[LesionScore(3.0, 1.0)])]) is None
