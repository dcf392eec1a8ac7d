"""Tables of what each step costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from kidneyseg import __version__
from kidneyseg.evaluation.error_budget import CLASSES, STEPS, CaseBudget, ClassBudget
from kidneyseg.evaluation.report import Rows, as_csv, table, write_text
from kidneyseg.evaluation.scores import Failure
from kidneyseg.metrics import point_iou

STEPS_RULES = (
    "Points: sampled and reached are the shares of the true voxels whose cell was shown to stage 1 and to stage 2; the "
    "other figures are of the labels at the points themselves. Dice left: on the CT's own voxels with true labels on "
    "every cell (grid and fill), on the points that stage 2 would be shown were stage 1 perfect (sampling), and on "
    "those that it is shown (missed by stage 1); with stage 2's own labels on those of them that a perfect stage 1 "
    "would have shown it (stage 2), and on all of them (false finds); and after DBSCAN and the choice of kidneys: "
    "the program's own. Lost: what each step takes, in the mean."
)

_POINT_FIELDS = {
    "sampled": "sampled",
    "stage1_dice": "stage 1 Dice",
    "stage1_recall": "recall",
    "stage1_precision": "precision",
    "reached": "reached",
    "stage2_dice": "stage 2 Dice",
    "kept_dice": "after DBSCAN",
}

Outcomes = Sequence[CaseBudget | Failure]


def budget_as_markdown(outcomes: Outcomes) -> str:
    """For each group and class a table of the points and one of the Dice that is left."""
    groups = _grouped(outcomes)
    blocks = []
    for group, cases in groups.items():
        if len(groups) > 1:
            blocks.append(f"## CTs {group}")
        for name in CLASSES:
            own = [(case.name, case.classes[name]) for case in cases if name in case.classes]
            if own:
                blocks += [f"### {name.capitalize()}: points", table(_point_rows(own))]
                blocks += [f"### {name.capitalize()}: Dice left", table(_left_rows(own))]
        blocks += ["### Point IoU", table(_iou_rows(cases))]
    blocks += [f"**{one.name}**: {one.error}" for one in outcomes if isinstance(one, Failure)]
    return "\n\n".join([*blocks, STEPS_RULES]) + "\n"


def budget_as_dict(outcomes: Outcomes) -> dict[str, Any]:
    """Everything as plain values, ready for JSON."""
    return {
        "program": f"kidneyseg {__version__}",
        "rules": STEPS_RULES,
        "steps": STEPS,
        "cases": [one.to_dict() for one in outcomes if isinstance(one, CaseBudget)],
        "failures": [{"name": one.name, "error": one.error} for one in outcomes if isinstance(one, Failure)],
    }


def write_budget(folder: Path, outcomes: Outcomes) -> list[Path]:
    """Write `steps.md`, `steps.json` and `steps.csv`; returns the files. Raises OutputError."""
    names = [one.name for one in fields(ClassBudget) if one.name != "left"]
    rows: list[list[object]] = [["name", "group", "class", *names, *(f"Dice left: {step}" for step in STEPS)]]
    for case in outcomes:
        if isinstance(case, CaseBudget):
            for kind, own in case.classes.items():
                values = [getattr(own, name) for name in names] + list(own.left)
                cells = ["" if value is None else round(value, 5) for value in values]
                rows.append([case.name, case.group, kind, *cells])
    contents = {
        "steps.md": "# What each step costs\n\n" + budget_as_markdown(outcomes),
        "steps.json": json.dumps(budget_as_dict(outcomes), indent=2) + "\n",
        "steps.csv": as_csv(rows),
    }
    return [write_text(folder / name, text) for name, text in contents.items()]


def _grouped(outcomes: Outcomes) -> dict[str, list[CaseBudget]]:
    groups: dict[str, list[CaseBudget]] = {}
    for one in outcomes:
        if isinstance(one, CaseBudget):
            groups.setdefault(one.group, []).append(one)
    return groups


def _point_rows(own: list[tuple[str, ClassBudget]]) -> Rows:
    names = [name for name in _POINT_FIELDS if getattr(own[0][1], name) is not None]
    values = np.array([[getattr(scores, name) for name in names] for _, scores in own])
    rows = [["case", *(_POINT_FIELDS[name] for name in names)]]
    rows += [[name, *_cells(row)] for (name, _), row in zip(own, values, strict=True)]
    return [*rows, ["mean", *_cells(values.mean(axis=0))]]


def _left_rows(own: list[tuple[str, ClassBudget]]) -> Rows:
    left = np.array([scores.left for _, scores in own])
    rows = [["case", *STEPS]] + [[name, *_cells(row)] for (name, _), row in zip(own, left, strict=True)]
    mean = left.mean(axis=0)
    return [*rows, ["mean", *_cells(mean)], ["lost", *_cells(-np.diff(mean, prepend=1.0))]]


def _iou_rows(cases: list[CaseBudget]) -> Rows:
    one, two = (np.sum([getattr(case, name) for case in cases], axis=0) for name in ("stage1_points", "stage2_points"))
    rows = [["network", "tissue", "kidney", "tumour"]]
    return [*rows, ["stage 1", *_cells(point_iou(one)), "-"], ["stage 2", *_cells(point_iou(two))]]


def _cells(values: Sequence[float] | np.ndarray[Any, Any]) -> list[str]:
    return [f"{value:.3f}" for value in values]
