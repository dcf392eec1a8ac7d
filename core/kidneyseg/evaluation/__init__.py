"""Evaluation: score masks, summarise and report scores, and measure the error budget.

`score_case` scores one mask; `summarise` summarises a group; `write_report` writes tables and data. `segment_and_score`
segments labelled CTs and `score_pairs` takes existing masks; both yield an `Outcome` for each mask.
`measure_error_budget` measures what each component of the method costs, `measure_confidence` how well the confidence in
each predicted tumour is calibrated, `measure_clicks` how well clicks mend a mask.
"""

from kidneyseg.evaluation.calibration import measure_confidence
from kidneyseg.evaluation.calibration_report import write_confidence
from kidneyseg.evaluation.clicks import measure_clicks
from kidneyseg.evaluation.clicks_report import write_clicks
from kidneyseg.evaluation.end_to_end import SegmentationSpec, segment_and_score
from kidneyseg.evaluation.error_budget import measure_error_budget
from kidneyseg.evaluation.error_budget_report import write_budget
from kidneyseg.evaluation.masks import pair_up, score_pairs
from kidneyseg.evaluation.report import write_report
from kidneyseg.evaluation.scores import Outcome, score_case
from kidneyseg.evaluation.summary import summarise
from kidneyseg.evaluation.variants import Variants

__all__ = [
    "Outcome",
    "SegmentationSpec",
    "Variants",
    "measure_clicks",
    "measure_confidence",
    "measure_error_budget",
    "pair_up",
    "score_case",
    "score_pairs",
    "segment_and_score",
    "summarise",
    "write_budget",
    "write_clicks",
    "write_confidence",
    "write_report",
]
