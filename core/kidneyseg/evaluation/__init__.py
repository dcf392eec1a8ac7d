"""How good masks are: scores per case, their summary, reports, and segmenting labelled CTs to score them.

`score_case` scores one mask; `summarise` sums up a group; `write_report` writes tables and data. `segment_and_score`
runs the program on labelled CTs and `score_pairs` takes masks that are there already; both give `Outcome`s.
`measure_error_budget` tells what each step of the program costs.
"""

from kidneyseg.evaluation.end_to_end import INSERTED, Segmenting, Variants, learnt_from, segment_and_score
from kidneyseg.evaluation.error_budget import STEPS, CaseBudget, ClassBudget, error_budget_of, measure_error_budget
from kidneyseg.evaluation.error_budget_report import budget_as_dict, budget_as_markdown, write_budget
from kidneyseg.evaluation.lesions import Lesion, detect
from kidneyseg.evaluation.masks import Pair, find_labels, pair_up, read_labels, score_pairs
from kidneyseg.evaluation.report import as_dict, as_markdown, grouped, write_report
from kidneyseg.evaluation.scores import AS_IS, LESIONS_UNLABELLED, CaseScore, Failure, Outcome, score_case
from kidneyseg.evaluation.summary import Detection, Statistic, Summary, summarise

__all__ = [
    "AS_IS",
    "INSERTED",
    "LESIONS_UNLABELLED",
    "STEPS",
    "CaseBudget",
    "CaseScore",
    "ClassBudget",
    "Detection",
    "Failure",
    "Lesion",
    "Outcome",
    "Pair",
    "Segmenting",
    "Statistic",
    "Summary",
    "Variants",
    "as_dict",
    "as_markdown",
    "budget_as_dict",
    "budget_as_markdown",
    "detect",
    "error_budget_of",
    "find_labels",
    "grouped",
    "learnt_from",
    "measure_error_budget",
    "pair_up",
    "read_labels",
    "score_case",
    "score_pairs",
    "segment_and_score",
    "summarise",
    "write_budget",
    "write_report",
]
