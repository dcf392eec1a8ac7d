"""Evaluation: score masks, summarise and report scores, and measure the error budget.

`score_case` scores one mask; `summarise` summarises a group; `write_report` writes tables and data. `segment_and_score`
segments labelled CTs and `score_pairs` takes existing masks; both yield an `Outcome` for each mask.
`measure_error_budget` measures what each component of the method costs, `measure_clicks` how well clicks mend a mask.
"""

from kidneyseg.evaluation.clicks import ClickScore, measure_clicks
from kidneyseg.evaluation.clicks_report import clicks_as_dict, clicks_as_markdown, write_clicks
from kidneyseg.evaluation.end_to_end import SegmentationSpec, seen_in_training, segment_and_score
from kidneyseg.evaluation.error_budget import (
    ERROR_SOURCES,
    CaseBudget,
    ClassBudget,
    error_budget_of,
    measure_error_budget,
)
from kidneyseg.evaluation.error_budget_report import budget_as_dict, budget_as_markdown, write_budget
from kidneyseg.evaluation.lesions import LesionScore, score_lesions
from kidneyseg.evaluation.masks import find_labels, pair_up, score_pairs
from kidneyseg.evaluation.report import as_dict, as_markdown, write_report
from kidneyseg.evaluation.scores import AS_IS, INSERTED, LESIONS_UNLABELLED, CaseScore, Failure, Outcome, score_case
from kidneyseg.evaluation.summary import Summary, summarise
from kidneyseg.evaluation.variants import CaseVariant, Variants, case_variants

__all__ = [
    "AS_IS",
    "ERROR_SOURCES",
    "INSERTED",
    "LESIONS_UNLABELLED",
    "CaseBudget",
    "CaseScore",
    "CaseVariant",
    "ClassBudget",
    "ClickScore",
    "Failure",
    "LesionScore",
    "Outcome",
    "SegmentationSpec",
    "Summary",
    "Variants",
    "as_dict",
    "as_markdown",
    "budget_as_dict",
    "budget_as_markdown",
    "case_variants",
    "clicks_as_dict",
    "clicks_as_markdown",
    "error_budget_of",
    "find_labels",
    "measure_clicks",
    "measure_error_budget",
    "pair_up",
    "score_case",
    "score_lesions",
    "score_pairs",
    "seen_in_training",
    "segment_and_score",
    "summarise",
    "write_budget",
    "write_clicks",
    "write_report",
]
