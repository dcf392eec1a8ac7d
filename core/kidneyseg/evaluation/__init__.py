"""How good masks are: scores per case, their summary, reports, and segmenting labelled CTs to score them.

`score_case` scores one mask; `summarise` sums up a group; `write_report` writes tables and data. `segment_and_score`
runs the program on labelled CTs and `score_pairs` takes masks that are there already; both give `Outcome`s.
"""

from kidneyseg.evaluation.lesions import Lesion, detect
from kidneyseg.evaluation.masks import Pair, find_labels, pair_up, read_labels, score_pairs
from kidneyseg.evaluation.report import as_dict, as_markdown, grouped, write_report
from kidneyseg.evaluation.runs import INSERTED, LESIONS_UNLABELLED, Segmenting, Variants, segment_and_score
from kidneyseg.evaluation.scores import AS_IS, CaseScore, Failure, Outcome, score_case
from kidneyseg.evaluation.summary import Detection, Statistic, Summary, summarise

__all__ = [
    "AS_IS",
    "INSERTED",
    "LESIONS_UNLABELLED",
    "CaseScore",
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
    "detect",
    "find_labels",
    "grouped",
    "pair_up",
    "read_labels",
    "score_case",
    "score_pairs",
    "segment_and_score",
    "summarise",
    "write_report",
]
