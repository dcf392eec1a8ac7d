"""Tables and files of error budgets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from kidneyseg.evaluation.error_budget import CLASSES, ERROR_SOURCES, CaseBudget, ClassBudget
from kidneyseg.evaluation.report import Rows, as_csv, as_data, page, table, write_text
from kidneyseg.evaluation.scores import Failure
from kidneyseg.metrics import point_iou

BUDGET_RULES = (
    "Points: coverage is the share of the true voxels whose cell was an input of stage 1 or of stage 2; the other "
    "columns score the labels of these points. Remaining Dice, on the CT's own voxels: true labels on every cell (grid "
    "and fill), on the points that stage 2 would see after a perfect stage 1 (sampling), and on the points that it saw "
    "(missed by stage 1); stage 2's own labels on those of its points that it would also see after a perfect stage 1 "
    "(stage 2), and on all of its points (false detections); after DBSCAN and the choice of kidneys (DBSCAN), which is "
    "the program's own mask. Lost: the mean loss of each column."
)

_POINT_FIELDS = {
    "stage1_coverage": "stage 1 coverage",
    "stage1_dice": "stage 1 Dice",
    "stage1_recall": "recall",
    "stage1_precision": "precision",
    "stage2_coverage": "stage 2 coverage",
    "stage2_dice": "stage 2 Dice",
    "clustered_dice": "after DBSCAN",
}

Outcomes = Sequence[CaseBudget | Failure]


def budget_as_markdown(outcomes: Outcomes) -> str:
    """For each group and class a table of the points and one of the remaining Dice."""
    return page(outcomes, BUDGET_RULES, _blocks)


def budget_as_dict(outcomes: Outcomes) -> dict[str, Any]:
    """Error budgets and failures as plain values, ready for JSON."""
    cases = [asdict(one) for one in outcomes if isinstance(one, CaseBudget)]
    return as_data(outcomes, BUDGET_RULES, {"error sources": ERROR_SOURCES, "cases": cases})


def write_budget(
    folder: Path, outcomes: Outcomes, *, title: str = "Error budget", about: dict[str, Any] | None = None
) -> list[Path]:
    """Write `error_budget.md`, `error_budget.json` (with the entries of `about`) and `error_budget.csv`.

    Returns the paths of the files. Raises OutputError when one cannot be written.
    """
    names = [one.name for one in fields(ClassBudget) if one.name != "remaining_dice"]
    rows: list[list[object]] = [
        ["name", "group", "class", *names, *(f"remaining Dice: {source}" for source in ERROR_SOURCES)]
    ]
    for case in outcomes:
        if isinstance(case, CaseBudget):
            for kind, own in case.classes.items():
                values = [getattr(own, name) for name in names] + list(own.remaining_dice)
                cells = ["" if value is None else round(value, 5) for value in values]
                rows.append([case.name, case.group, kind, *cells])
    contents = {
        "error_budget.md": f"# {title}\n\n{budget_as_markdown(outcomes)}",
        "error_budget.json": json.dumps((about or {}) | budget_as_dict(outcomes), indent=2) + "\n",
        "error_budget.csv": as_csv(rows),
    }
    return [write_text(folder / name, text) for name, text in contents.items()]


def _blocks(cases: list[CaseBudget]) -> list[str]:
    blocks = []
    for name in CLASSES:
        own = [(case.name, case.classes[name]) for case in cases if name in case.classes]
        if own:
            blocks += [f"### {name.capitalize()}: points", table(_point_rows(own))]
            blocks += [f"### {name.capitalize()}: remaining Dice", table(_remaining_rows(own))]
    return [*blocks, "### Point IoU", table(_iou_rows(cases))]


def _point_rows(own: list[tuple[str, ClassBudget]]) -> Rows:
    names = [name for name in _POINT_FIELDS if getattr(own[0][1], name) is not None]
    values = np.array([[getattr(scores, name) for name in names] for _, scores in own])
    rows = [["case", *(_POINT_FIELDS[name] for name in names)]]
    rows += [[name, *_cells(row)] for (name, _), row in zip(own, values, strict=True)]
    return [*rows, ["mean", *_cells(values.mean(axis=0))]]


def _remaining_rows(own: list[tuple[str, ClassBudget]]) -> Rows:
    remaining = np.array([scores.remaining_dice for _, scores in own])
    rows = [["case", *ERROR_SOURCES]] + [[name, *_cells(row)] for (name, _), row in zip(own, remaining, strict=True)]
    mean = remaining.mean(axis=0)
    return [*rows, ["mean", *_cells(mean)], ["lost", *_cells(-np.diff(mean, prepend=1.0))]]


def _iou_rows(cases: list[CaseBudget]) -> Rows:
    one, two = (
        np.sum([getattr(case, name) for case in cases], axis=0) for name in ("stage1_confusion", "stage2_confusion")
    )
    rows = [["network", "tissue", "kidney", "tumour"]]
    return [*rows, ["stage 1", *_cells(point_iou(one)), "-"], ["stage 2", *_cells(point_iou(two))]]


def _cells(values: Sequence[float] | np.ndarray[Any, Any]) -> list[str]:
    return [f"{value:.3f}" for value in values]
