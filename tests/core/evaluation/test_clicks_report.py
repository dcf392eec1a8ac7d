"""Tables and files of simulated clicks."""

from __future__ import annotations

import csv
import json

from kidneyseg.evaluation import write_clicks
from kidneyseg.evaluation.clicks import ClickScore
from kidneyseg.evaluation.clicks_report import clicks_as_markdown
from kidneyseg.evaluation.scores import Failure


def score(name, kind, dice, case_dice=None, worse=0):
    return ClickScore(name, name, "g", kind, 4.0, dice, case_dice, (0.1, 0.3), worse, ((1, 2, 3, 2), (1, 2, 4, 0)))


OUTCOMES = [
    score("a", "withheld tumour", (0.0, 0.5, 0.8), (0.1, 0.4, 0.9)),
    score("b", "withheld tumour", (0.0, 0.7, 0.9), (0.0, 0.4, 0.7), worse=2),
    score("c", "withheld tumour", (0.0, 0.75, 0.85), (0.0, 0.4, 0.7)),
    score("a", "false tumour", (0.0, 0.9, 1.0)),
    Failure("d", "why"),
]


def test_medians_by_kind_and_a_row_for_each_task() -> None:
    page = clicks_as_markdown(OUTCOMES)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    assert rows[0][2:5] == ["no click", "1 click", "2 clicks"]
    assert rows[1] == ["withheld tumour", "3", "0.000", "0.700", "0.850", "0.20", "0.30", "2"]
    assert rows[2][:2] == ["false tumour", "1"]
    assert ["a", "withheld tumour", "4.0", "0.00 0.50 0.80", "0.10 to 0.90"] in rows
    assert ["a", "false tumour", "4.0", "0.00 0.90 1.00", "-"] in rows
    assert "**d**: why" in page


def test_files_hold_every_click(tmp_path) -> None:
    files = {file.name: file.read_text() for file in write_clicks(tmp_path, OUTCOMES, about={"seed": 3})}
    told = json.loads(files["clicks.json"])
    assert (told["seed"], len(told["tasks"]), told["failures"]) == (3, 4, [{"name": "d", "error": "why"}])
    assert told["tasks"][0]["clicks"][1] == [1, 2, 4, 0]
    rows = list(csv.DictReader(files["clicks.csv"].splitlines()))
    assert [row["Dice"] for row in rows[:3]] == ["0.0", "0.5", "0.8"]
    assert [row["tumour Dice of the CT"] for row in rows[:3]] == ["0.1", "0.4", "0.9"]
    assert [row["seconds"] for row in rows[:3]] == ["", "0.1", "0.3"]
    assert len(rows) == 12
    assert files["clicks.md"].startswith("# Clicks\n")
