"""How good masks are: scores per case, their summary, reports, and segmenting labelled CTs to score them.

`score_case` scores one mask; `summarise` sums up a group; `write_report` writes tables and data. `segment_and_score`
runs the program on labelled CTs and `score_pairs` takes masks that are there already; both give `Outcome`s.
`measure_steps` tells what each step of the program costs.
"""

from kidneyseg.evaluation.lesions import Lesion, detect
from kidneyseg.evaluation.masks import Pair, find_labels, pair_up, read_labels, score_pairs
from kidneyseg.evaluation.report import as_dict, as_markdown, grouped, write_report
from kidneyseg.evaluation.runs import INSERTED, Segmenting, Variants, learnt_from, segment_and_score
from kidneyseg.evaluation.scores import AS_IS, LESIONS_UNLABELLED, CaseScore, Failure, Outcome, score_case
from kidneyseg.evaluation.steps import STEPS, CaseSteps, StepScores, measure_steps, steps_of
from kidneyseg.evaluation.steps_report import steps_as_dict, steps_as_markdown, write_steps
from kidneyseg.evaluation.summary import Detection, Statistic, Summary, summarise

__all__ = [
    "AS_IS",
    "INSERTED",
    "LESIONS_UNLABELLED",
    "STEPS",
    "CaseScore",
    "CaseSteps",
    "Detection",
    "Failure",
    "Lesion",
    "Outcome",
    "Pair",
    "Segmenting",
    "Statistic",
    "StepScores",
    "Summary",
    "Variants",
    "as_dict",
    "as_markdown",
    "detect",
    "find_labels",
    "grouped",
    "learnt_from",
    "measure_steps",
    "pair_up",
    "read_labels",
    "score_case",
    "score_pairs",
    "segment_and_score",
    "steps_as_dict",
    "steps_as_markdown",
    "steps_of",
    "summarise",
    "write_report",
    "write_steps",
]
