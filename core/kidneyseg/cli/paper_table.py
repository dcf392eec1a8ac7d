"""The paper's table, as `train` and `crossvalidate` print it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from kidneyseg.cli.terminal import BarProgress

if TYPE_CHECKING:
    from kidneyseg.evaluation.paper_table import Measured
    from kidneyseg.training.context import TrainingSpec


def print_paper_table(spec: TrainingSpec, measure: Callable[[BarProgress], list[Measured]]) -> int:
    """Measure, write the table to OUTPUT/report and print it; 1 when a case could not be measured."""
    from kidneyseg.evaluation.paper_table_report import table_as_markdown, write_paper_table

    with BarProgress(line_every_s=60) as console:
        measured = measure(console)
    for path in write_paper_table(spec.output / "report", measured):
        print(path, file=sys.stderr)
    print(table_as_markdown(measured), end="")
    return 1 if any(len(one.budgets) < len(one.outcomes) for one in measured) else 0
