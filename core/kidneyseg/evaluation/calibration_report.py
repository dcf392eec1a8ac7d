"""Tables and files of the calibration of the confidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kidneyseg.evaluation.calibration import BINS, REAL_DICE, Calibration, CaseConfidence, calibration
from kidneyseg.evaluation.report import Rows, as_csv, table, write_text
from kidneyseg.evaluation.scores import Failure
from kidneyseg.version import __version__

CONFIDENCE_RULES = (
    "Each tumour of the findings counts. It is real when its Dice with the true tumours that it overlaps is at least "
    f"{REAL_DICE:g}. ECE: expected calibration error of the probability, {BINS} bins. r: correlation of predicted and "
    "true Dice. The program's model was fitted to CTs that may be among these; the other two are fitted to the other "
    "CTs than the one they are applied to."
)

Outcomes = Sequence[CaseConfidence | Failure]


def confidence_as_markdown(outcomes: Outcomes) -> str:
    """The counts, a row for each model, the coefficients, the failures and the rules."""
    found = calibration(outcomes)
    blocks = [f"{found.tumours} predicted tumours on {found.cases} CTs, {found.real} of them real."]
    blocks.append(table(_rows(found)))
    if found.model is not None:
        (real, by_real), (dice, by_dice) = found.model.real, found.model.dice
        blocks.append(f"Fitted to all: log odds {real:.2f} + {by_real:.2f} p, Dice {dice:.2f} + {by_dice:.2f} p")
    blocks += [f"**{one.name}**: {one.error}" for one in outcomes if isinstance(one, Failure)]
    return "\n\n".join([*blocks, CONFIDENCE_RULES]) + "\n"


def confidence_as_dict(outcomes: Outcomes) -> dict[str, Any]:
    """Calibration, predicted tumours and failures as plain values, ready for JSON."""
    found = calibration(outcomes)
    return {
        "program": f"kidneyseg {__version__}",
        "rules": CONFIDENCE_RULES,
        "calibration": asdict(found) | {"model": None if found.model is None else found.model._asdict()},
        "cases": [asdict(one) for one in outcomes if isinstance(one, CaseConfidence)],
        "failures": [{"name": one.name, "error": one.error} for one in outcomes if isinstance(one, Failure)],
    }


def write_confidence(
    folder: Path, outcomes: Outcomes, *, title: str = "Confidence", about: dict[str, Any] | None = None
) -> list[Path]:
    """Write `confidence.md`, `confidence.json` (with the entries of `about`) and `confidence.csv`, a row a tumour.

    Returns the paths of the files. Raises OutputError when one cannot be written.
    """
    rows: list[list[object]] = [["name", "case", "group", "mL", "mean probability", "Dice", "real"]]
    for one in outcomes:
        if isinstance(one, CaseConfidence):
            for tumour in one.tumours:
                figures = [round(value, 5) for value in (tumour.ml, tumour.mean_probability, tumour.dice)]
                rows.append([one.name, one.case, one.group, *figures, tumour.real])
    contents = {
        "confidence.md": f"# {title}\n\n{confidence_as_markdown(outcomes)}",
        "confidence.json": json.dumps((about or {}) | confidence_as_dict(outcomes), indent=2) + "\n",
        "confidence.csv": as_csv(rows),
    }
    return [write_text(folder / name, text) for name, text in contents.items()]


def _rows(found: Calibration) -> Rows:
    rows = [["model", "ECE", "Brier", "r", "Dice error"]]
    for name, fit in (("the program's", found.program), ("constant", found.share), ("fitted anew", found.anew)):
        values = (fit.ece, fit.brier, fit.r, fit.dice_error)
        rows.append([name, *("-" if value is None else f"{value:.3f}" for value in values)])
    return rows
