"""Scores as tables (Markdown, also for the terminal) and as data (CSV, JSON)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kidneyseg.evaluation.lesions import DETECTION_SHARE, LEAST_LESION_ML
from kidneyseg.evaluation.scores import CaseScore, Failure, Outcome
from kidneyseg.evaluation.strata import LEAST_ML, Strata, stratify
from kidneyseg.evaluation.summary import Summary, summarise
from kidneyseg.files import make_folder, write_whole
from kidneyseg.version import __version__

if TYPE_CHECKING:
    from kidneyseg.evaluation.clicks import ClickScore
    from kidneyseg.evaluation.error_budget import CaseBudget

RULES = (
    "Dice and surface Dice (KiTS23's tolerances) on the CT's own voxels. Kidney: with tumours and cysts, as in KiTS19 "
    "and KiTS23. Masses: tumours and cysts. Masses and tumours are scored where the labels hold some. A lesion is a "
    f"connected true tumour; it is detected when at least {DETECTION_SHARE:.0%} of its voxels were labelled tumour. A "
    "false positive is a connected predicted tumour that overlaps no true one. "
    f"Both count from {LEAST_LESION_ML:g} mL. Errors: predicted minus true volume. "
    "Brackets: 95 % bootstrap interval over CTs."
)

# Columns of the table of cases; a column without values is left out. The CSV has all of them.
_COLUMNS = (
    "kidney Dice",
    "tumour Dice",
    "kidney surface Dice",
    "tumour surface Dice",
    "kidney error mL",
    "tumour error mL",
    "false tumour mL",
    "seconds",
    "peak MB",
)

Rows = list[list[str]]
_Grouped = TypeVar("_Grouped", CaseScore, "CaseBudget", "ClickScore")


def grouped(outcomes: Iterable[_Grouped | Failure]) -> dict[str, list[_Grouped]]:
    """The outcomes by group, in the order in which the groups first occur, without failures."""
    groups: dict[str, list[_Grouped]] = {}
    for outcome in outcomes:
        if not isinstance(outcome, Failure):
            groups.setdefault(outcome.group, []).append(outcome)
    return groups


def page(outcomes: Sequence[_Grouped | Failure], rules: str, blocks_of: Callable[[list[_Grouped]], list[str]]) -> str:
    """Markdown: the blocks of each group, the failures, and the rules."""
    groups = grouped(outcomes)
    blocks: list[str] = []
    for group, members in groups.items():
        blocks += [f"## {group}"] if len(groups) > 1 else []
        blocks += blocks_of(members)
    blocks += [f"**{one.name}**: {one.error}" for one in outcomes if isinstance(one, Failure)]
    return "\n\n".join([*blocks, rules]) + "\n"


def as_data(outcomes: Sequence[_Grouped | Failure], rules: str, content: dict[str, Any]) -> dict[str, Any]:
    """The content between the program with its rules and the failures, ready for JSON."""
    failures = [{"name": one.name, "error": one.error} for one in outcomes if isinstance(one, Failure)]
    return {"program": f"kidneyseg {__version__}", "rules": rules, **content, "failures": failures}


def write_report(
    folder: Path, outcomes: Sequence[Outcome], *, title: str = "Evaluation", about: dict[str, Any] | None = None
) -> list[Path]:
    """Write `evaluation.md`, `evaluation.json`, `cases.csv` (a row a mask) and `lesions.csv` (a row a lesion).

    Args:
        folder: created when it is missing.
        outcomes: scores and failures, in the order of the tables.
        title: of the Markdown page.
        about: further entries of the JSON file.

    Returns:
        The paths of the files.

    Raises:
        OutputError: when a file cannot be written.
    """
    contents = {
        "evaluation.md": f"# {title}\n\n{as_markdown(outcomes)}",
        "evaluation.json": json.dumps((about or {}) | as_dict(outcomes), indent=2) + "\n",
        "cases.csv": as_csv(_case_rows(outcomes)),
        "lesions.csv": as_csv(_lesion_rows(outcomes)),
    }
    return [write_text(folder / name, text) for name, text in contents.items()]


def write_text(path: Path, text: str) -> Path:
    """Write a text file atomically, creating its folder when it is missing. Raises OutputError."""
    make_folder(path.parent)
    write_whole(path, text.encode())
    return path


def as_dict(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Summaries, scores and failures as plain values, ready for JSON."""
    summary = {group: asdict(summarise(scores)) for group, scores in grouped(outcomes).items()}
    cases = [one.to_dict() | {"figures": one.figures()} for one in outcomes if isinstance(one, CaseScore)]
    strata = stratify([one for one in outcomes if isinstance(one, CaseScore)])
    more = {} if strata is None else {"strata": asdict(strata)}
    return as_data(outcomes, RULES, {"summary": summary, **more, "cases": cases})


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """A table of masks and a summary for each group; then the failures and the definitions."""
    strata = stratify([one for one in outcomes if isinstance(one, CaseScore)])
    divided = "" if strata is None else strata_as_markdown(strata) + "\n"
    body = page(outcomes, RULES, lambda scores: [table(_mask_rows(scores)), *_summary_blocks(summarise(scores))])
    return divided + body


def strata_as_markdown(strata: Strata) -> str:
    """Tables by growth type, size and contrast, of masses that are not of a kidney, and stage 1's reach."""
    rows = [["lesions by", "class", "lesions", "detected", "sensitivity", "mean overlap", "tumour Dice"]]
    for one in strata.strata:
        key = one.name if one.by == "growth type" else one.by
        dice = _with_interval(strata.tumour_dice[key]) if key in strata.tumour_dice else "-"
        counts = [one.by, one.name, str(one.lesions), str(one.detected)]
        rows.append([*counts, _with_interval(one.sensitivity), _with_interval(one.overlap), dice])
    note = f"Lesions of at least {LEAST_ML:g} mL, but for the smallest size class."
    blocks = ["## Tumours by growth type, size and contrast; extrarenal masses; cysts; slabs"]
    blocks += [table(rows), note] if rows[1:] else []
    rows = [["figure", "of", "mean", "least"]]
    if strata.reach is not None and strata.reach_least is not None:
        rows.append(["tumour shown to stage 2", "", _with_interval(strata.reach), f"{strata.reach_least:.2f}"])
    if strata.masses_called is not None and strata.masses_kidney_dice is not None:
        rows.append(["extrarenal masses called tumour", str(strata.masses), _with_interval(strata.masses_called), "-"])
        rows.append(["kidney Dice beside them", str(strata.masses), _with_interval(strata.masses_kidney_dice), "-"])
    if strata.cysts_called is not None and strata.cysts_found is not None:
        rows.append(["cysts called tumour", str(strata.cysts), _with_interval(strata.cysts_called), "-"])
        rows.append(["cysts called cyst", str(strata.cysts), _with_interval(strata.cysts_found), "-"])
    if strata.slabs_kidney_dice is not None and strata.slabs_kidney_least is not None:
        least = f"{strata.slabs_kidney_least:.2f}"
        dice = _with_interval(strata.slabs_kidney_dice)
        rows.append(["kidney Dice of slabs / of the whole CT", str(strata.slabs), dice, least])
    return "\n\n".join([*blocks, *([table(rows)] if rows[1:] else [])]) + "\n"


def table(rows: Rows) -> str:
    """A Markdown table that is also readable as plain text: first row the header, first column left-aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| "
        + " | ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (w + 1) + ":" if i else "-" * (w + 2) for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _mask_rows(scores: list[CaseScore]) -> Rows:
    figures = [score.figures() for score in scores]
    columns = [name for name in _COLUMNS if any(row[name] is not None for row in figures)]
    rows = [["case", *columns, "lesions detected", "false positives"]]
    for score, row in zip(scores, figures, strict=True):
        detected = f"{score.detected}/{len(score.lesions)}" if score.lesions else "-"
        rows.append(
            [score.name, *(number(name, row[name]) for name in columns), detected, str(len(score.false_positives_ml))]
        )
    return rows


def _summary_blocks(summary: Summary) -> list[str]:
    rows = [["figure", "masks", "mean", "median", "5th percentile"]]
    for name, own in summary.figures.items():
        middle = f"{number(name, own.mean)} [{number(name, own.low)}, {number(name, own.high)}]"
        rows.append([name, str(own.count), middle, number(name, own.median), number(name, own.percentile_5)])
    blocks = [table(rows)]
    if summary.detection:
        rows = [["lesion size", "lesions", "detected", "sensitivity", "false positives", "per case"]]
        for one in summary.detection:
            sensitivity = "-" if one.sensitivity is None else _with_interval(one.sensitivity)
            counts = [one.size, str(one.lesions), str(one.detected), sensitivity, str(one.false_positives)]
            rows.append([*counts, _with_interval(one.per_case)])
        blocks.append(table(rows))
    if summary.point_iou is not None:
        two, three = ([f"{value:.3f}" for value in values] for values in summary.point_iou)
        rows = [["point IoU", "tissue", "kidney", "tumour"], ["2 classes", *two, "-"], ["3 classes", *three]]
        blocks.append(table(rows))
    return blocks


def number(name: str, value: float | None) -> str:
    """A score with its usual number of digits, "-" for none."""
    if value is None:
        return "-"
    if "Dice" in name:
        return f"{value:.3f}"
    return f"{value:.0f}" if name == "peak MB" else f"{value:.1f}"


def _with_interval(values: tuple[float, float, float]) -> str:
    return f"{values[0]:.2f} [{values[1]:.2f}, {values[2]:.2f}]"


def as_csv(rows: Iterable[Sequence[object]]) -> str:
    """Rows as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _case_rows(outcomes: Sequence[Outcome]) -> list[list[object]]:
    names = next((list(one.figures()) for one in outcomes if isinstance(one, CaseScore)), [])
    rows: list[list[object]] = [["name", "case", "group", *names, "lesions", "detected", "false positives", "error"]]
    for one in outcomes:
        if isinstance(one, Failure):
            rows.append([one.name, one.case, one.group, *[""] * (len(names) + 3), one.error])
            continue
        figures = ["" if value is None else round(value, 5) for value in one.figures().values()]
        counts = [len(one.lesions), one.detected, len(one.false_positives_ml)]
        rows.append([one.name, one.case, one.group, *figures, *counts, ""])
    return rows


def _lesion_rows(outcomes: Sequence[Outcome]) -> list[list[object]]:
    rows: list[list[object]] = [["name", "group", "kind", "mL", "overlap", "detected", "growth", "contrast HU"]]
    for one in outcomes:
        if isinstance(one, CaseScore):
            rows += [
                [
                    *(one.name, one.group, "lesion", round(lesion.ml, 4), round(lesion.overlap, 4), lesion.detected),
                    *(one.growth, "" if lesion.contrast_hu is None else round(lesion.contrast_hu, 1)),
                ]
                for lesion in one.lesions
            ]
            rows += [
                [one.name, one.group, "cyst", round(cyst.ml, 4), round(cyst.cyst_share, 4), cyst.found, "", ""]
                for cyst in one.cysts
            ]
            rows += [
                [one.name, one.group, "false positive", round(ml, 4), "", "", "", ""] for ml in one.false_positives_ml
            ]
    return rows
