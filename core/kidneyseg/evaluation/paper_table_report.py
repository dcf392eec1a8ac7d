"""The paper's table as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from kidneyseg.evaluation.error_budget import ERROR_SOURCES, CaseBudget
from kidneyseg.evaluation.paper_table import Measured
from kidneyseg.evaluation.report import Rows, table, write_text
from kidneyseg.evaluation.scores import Failure
from kidneyseg.metrics import point_iou
from kidneyseg.version import __version__

# The paper's table: tissue, kidney (in stage 1 with tumours), tumour.
PUBLISHED = {1: (0.979, 0.819), 2: (0.918, 0.965, 0.548)}

TABLE_RULES = (
    "IoU over the pooled points of unseen CTs, with inserted tumours where training inserts some: of stage 1 (tumour "
    "counts as kidney) over all points that it was shown, of stage 2 over the points that it was shown after stage 1. "
    "Published: the paper's figures, on KiTS19. Per CT: recall is the share of the true voxels that stage 1 was shown; "
    "ceiling is the Dice, on the CT's own voxels, of a perfect labelling of these points after the fill; Dice is the "
    "program's own."
)
_CEILING = ERROR_SOURCES.index("sampling")


def table_as_markdown(measured: Sequence[Measured]) -> str:
    """The table of IoU, then for each network and share a table of its CTs; failures; what the figures mean."""
    blocks = [table(_iou_rows(measured))]
    for one in measured:
        if one.budgets:
            blocks += [f"## {one.method}, {one.shown}", table(_case_rows(one.budgets))]
        blocks += [f"**{fail.name}**: {fail.error}" for fail in one.outcomes if isinstance(fail, Failure)]
    return "\n\n".join([*blocks, TABLE_RULES]) + "\n"


def write_paper_table(folder: Path, measured: Sequence[Measured]) -> list[Path]:
    """Write `paper_table.md` and `paper_table.json`. Returns their paths. Raises OutputError."""
    data = {
        "program": f"kidneyseg {__version__}",
        "rules": TABLE_RULES,
        "published": PUBLISHED,
        "measured": [{**asdict(one), "point IoU": _ious(one.budgets)} for one in measured],
    }
    contents = {
        "paper_table.md": f"# The paper's table\n\n{table_as_markdown(measured)}",
        "paper_table.json": json.dumps(data, indent=2) + "\n",
    }
    return [write_text(folder / name, text) for name, text in contents.items()]


def _ious(budgets: Sequence[CaseBudget]) -> dict[int, list[float | None]]:
    """IoU of each class of each stage over the points of all CTs; None for a class that no point has or was given."""
    if not budgets:
        return {}
    one, two = (
        np.sum([getattr(case, name) for case in budgets], axis=0) for name in ("stage1_confusion", "stage2_confusion")
    )
    return {
        stage: [
            iou if counts[label].any() or counts[:, label].any() else None
            for label, iou in enumerate(point_iou(counts))
        ]
        for stage, counts in ((1, one), (2, two))
    }


def _iou_rows(measured: Sequence[Measured]) -> Rows:
    rows = [["network", "points of stage 1", "tissue", "kidney", "tumour"]]
    for stage, published in PUBLISHED.items():
        rows.append([f"stage {stage}, published", "brightest 3 % of the voxels", *_cells(published)])
        rows += [
            [f"stage {stage}, {one.method}", one.shown, *_cells(_ious(one.budgets)[stage])]
            for one in measured
            if one.budgets
        ]
    return rows


def _cells(values: Sequence[float | None]) -> list[str]:
    return ["-" if value is None else f"{value:.3f}" for value in values] + ["-"] * (3 - len(values))


def _case_rows(budgets: Sequence[CaseBudget]) -> Rows:
    """Recall, ceiling and Dice of kidney and tumour of each CT, and their means."""
    figures = ("recall", "ceiling", "Dice")
    rows = [["case", *(f"{kind} {name}" for kind in ("kidney", "tumour") for name in figures)]]
    values = np.array([[value for kind in ("kidney", "tumour") for value in _figures(case, kind)] for case in budgets])
    rows += [[case.name, *_numbers(row)] for case, row in zip(budgets, values, strict=True)]
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=0)
    return [*rows, ["mean", *_numbers(total / np.where(known.any(axis=0), known.sum(axis=0), np.nan))]]


def _figures(case: CaseBudget, kind: str) -> tuple[float, float, float]:
    """NaN where the labels hold nothing of this class."""
    own = case.classes.get(kind)
    if own is None:
        return np.nan, np.nan, np.nan
    return own.stage1_coverage, own.remaining_dice[_CEILING], own.remaining_dice[-1]


def _numbers(values: Sequence[float]) -> list[str]:
    return ["-" if np.isnan(value) else f"{value:.3f}" for value in values]
