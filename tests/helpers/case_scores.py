"""Scores of cases with only the figures that a test asks for."""

from kidneyseg.evaluation.error_budget import CaseBudget, ClassBudget
from kidneyseg.evaluation.scores import CaseScore


def score(name, kidney=0.9, *, tumour=None, lesions=(), false=(), case=None, points=None):
    dice = {"kidney_and_masses": kidney, "masses": tumour, "tumour": tumour}
    return CaseScore(
        name=name,
        dice=dice,
        surface_dice=dice,
        kidney_ml=(300.0, 300.0),
        tumour_ml=(0.0, sum(lesion.ml for lesion in lesions)),
        false_tumour_ml=sum(false),
        lesions=tuple(lesions),
        false_positives_ml=tuple(false),
        points=points,
        case=case or name,
    )


def point_budget(name: str, recall: float = 0.8) -> CaseBudget:
    kidney = ClassBudget(recall, 0.8, 0.7, 0.6, 0.95, 0.5, 0.4, (0.99, 0.97, 0.95, 0.9, 0.8, 0.75))
    return CaseBudget(name, {"kidney": kidney}, ((8, 2), (0, 10)), ((5, 0, 0), (5, 10, 0), (0, 1, 1)))
