"""Tables and files of the calibration."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from kidneyseg.evaluation.calibration import CaseConfidence, PredictedTumour
from kidneyseg.evaluation.calibration_report import confidence_as_markdown, write_confidence
from kidneyseg.evaluation.scores import Failure

OUTCOMES = [
    CaseConfidence("a_inserted", (PredictedTumour(9.0, 0.9, 0.85), PredictedTumour(1.0, 0.4, 0.0)), "a", "g"),
    CaseConfidence("b_inserted", (PredictedTumour(4.0, 0.8, 0.7),), "b", "g"),
    Failure("c", "torn", "c"),
]


def test_the_table_has_a_row_for_each_model() -> None:
    told = confidence_as_markdown(OUTCOMES)
    assert told.startswith("3 predicted tumours on 2 CTs, 2 of them real.\n")
    assert [line.split("|")[1].strip() for line in told.splitlines() if line.startswith("| ")] == [
        "model",
        "the program's",
        "constant",
        "fitted anew",
    ]
    assert "Fitted to all: log odds " in told
    assert "**c**: torn" in told
    assert "0 predicted tumours" in confidence_as_markdown([])


def test_files(tmp_path: Path) -> None:
    paths = write_confidence(tmp_path, OUTCOMES, title="T", about={"seen in training": ["a"]})
    assert [path.name for path in paths] == ["confidence.md", "confidence.json", "confidence.csv"]
    assert paths[0].read_text().startswith("# T\n")
    data = json.loads(paths[1].read_text())
    assert data["seen in training"] == ["a"]
    assert set(data["calibration"]["model"]) == {"real", "dice"}
    assert data["failures"] == [{"name": "c", "error": "torn"}]
    rows = list(csv.DictReader(paths[2].read_text().splitlines()))
    assert [(row["case"], row["mL"], row["real"]) for row in rows] == [
        ("a", "9.0", "True"),
        ("a", "1.0", "False"),
        ("b", "4.0", "True"),
    ]
