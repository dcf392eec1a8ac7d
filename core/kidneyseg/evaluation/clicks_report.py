"""Tables and files of simulated clicks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kidneyseg.evaluation.click_tasks import KINDS
from kidneyseg.evaluation.clicks import ClickScore
from kidneyseg.evaluation.report import Rows, as_csv, grouped, table, write_text
from kidneyseg.evaluation.scores import Failure
from kidneyseg.version import __version__

CLICK_RULES = (
    "Each click is simulated in the middle of the largest error that is left, with the true label there. Missed "
    "tumour: a lesion of at least 1 mL to which the networks gave a Dice below .1. Withheld tumour: each lesion of at "
    "least 1 mL after tumour was removed from the mask and from the networks' probabilities around it. False tumour: a "
    "ball of 6 to 12 mm labelled tumour on a kidney; its Dice compares the voxels that were put right or made wrong "
    "with those that were wrong. Missing kidney pole: 20 to 40 mm of a kidney labelled tissue. Dice: median over the "
    "tasks, within 25 mm of a lesion, or 15 mm of a false tumour or pole. Worse outside: right voxels that became "
    "wrong farther than 20 mm from every click."
)

Outcomes = Sequence[ClickScore | Failure]


def clicks_as_markdown(outcomes: Outcomes) -> str:
    """For each group a table of the kinds of tasks and one of the tasks."""
    groups = grouped(outcomes)
    blocks = []
    for group, scores in groups.items():
        if len(groups) > 1:
            blocks.append(f"## {group}")
        blocks += [table(_kind_rows(scores)), table(_task_rows(scores))]
    blocks += [f"**{one.name}**: {one.error}" for one in outcomes if isinstance(one, Failure)]
    return "\n\n".join([*blocks, CLICK_RULES]) + "\n"


def clicks_as_dict(outcomes: Outcomes) -> dict[str, Any]:
    """Scores and failures as plain values, ready for JSON."""
    return {
        "program": f"kidneyseg {__version__}",
        "rules": CLICK_RULES,
        "tasks": [one.to_dict() for one in outcomes if isinstance(one, ClickScore)],
        "failures": [{"name": one.name, "error": one.error} for one in outcomes if isinstance(one, Failure)],
    }


def write_clicks(
    folder: Path, outcomes: Outcomes, *, title: str = "Clicks", about: dict[str, Any] | None = None
) -> list[Path]:
    """Write `clicks.md`, `clicks.json` (with the entries of `about`) and `clicks.csv`, a row for each task and click.

    Returns the paths of the files. Raises OutputError when one cannot be written.
    """
    rows: list[list[object]] = [["name", "group", "kind", "mL", "clicks", "Dice", "tumour Dice of the CT", "seconds"]]
    for one in outcomes:
        if isinstance(one, ClickScore):
            for k, value in enumerate(one.dice):
                of_case = "" if one.case_dice is None else round(one.case_dice[k], 5)
                seconds = round(one.seconds[k - 1], 3) if 0 < k <= len(one.seconds) else ""
                rows.append([one.name, one.group, one.kind, round(one.ml, 3), k, round(value, 5), of_case, seconds])
    contents = {
        "clicks.md": f"# {title}\n\n{clicks_as_markdown(outcomes)}",
        "clicks.json": json.dumps((about or {}) | clicks_as_dict(outcomes), indent=2) + "\n",
        "clicks.csv": as_csv(rows),
    }
    return [write_text(folder / name, text) for name, text in contents.items()]


def _kind_rows(scores: Sequence[ClickScore]) -> Rows:
    most = max(len(score.dice) for score in scores)
    clicks = ["no click", *(f"{k} click" + "s" * (k > 1) for k in range(1, most))]
    rows = [["task", "tasks", *clicks, "s per click", "slowest", "worse outside"]]
    for kind in KINDS:
        own = [score for score in scores if score.kind == kind]
        if own:
            medians = np.median([score.dice for score in own], axis=0)
            seconds = [second for score in own for second in score.seconds] or [0.0]
            timing = [f"{np.median(seconds):.2f}", f"{max(seconds):.2f}"]
            worse = str(sum(score.worse_outside for score in own))
            rows.append([kind, str(len(own)), *(f"{value:.3f}" for value in medians), *timing, worse])
    return rows


def _task_rows(scores: Sequence[ClickScore]) -> Rows:
    rows = [["case", "task", "mL", "Dice, click by click", "tumour Dice of the CT"]]
    for score in scores:
        steps = " ".join(f"{value:.2f}" for value in score.dice)
        of_case = "-" if score.case_dice is None else f"{score.case_dice[0]:.2f} to {score.case_dice[-1]:.2f}"
        rows.append([score.name, score.kind, f"{score.ml:.1f}", steps, of_case])
    return rows
