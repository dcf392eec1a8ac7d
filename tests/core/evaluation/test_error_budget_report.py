import csv
import json

import pytest

from kidneyseg.evaluation.error_budget import CaseBudget, ClassBudget
from kidneyseg.evaluation.error_budget_report import budget_as_markdown, write_budget
from kidneyseg.evaluation.scores import Failure


def test_tables_add_up(tmp_path):
    def case(name, *left):
        scores = ClassBudget(0.9, 0.8, 0.7, 0.6, 0.95, 0.5, 0.4, left)
        return CaseBudget(name, {"kidney": scores}, ((8, 2), (0, 10)), ((5, 0, 0), (5, 10, 0), (0, 0, 0)))

    outcomes = [
        case("a", 1.0, 0.98, 0.96, 0.9, 0.8, 0.85),
        case("b", 0.98, 0.98, 0.94, 0.8, 0.8, 0.75),
        Failure("c", "why"),
    ]
    page = budget_as_markdown(outcomes)
    (lost,) = [line for line in page.splitlines() if line.startswith("| lost")]
    assert [float(cell) for cell in lost.split("|")[2:-1]] == pytest.approx([0.01, 0.01, 0.03, 0.1, 0.05, 0.0])
    assert "**c**: why" in page
    (iou,) = [line for line in page.splitlines() if line.startswith("| stage 1")]
    assert [cell.strip() for cell in iou.split("|")[2:-1]] == ["0.800", "0.833", "-"]
    files = {file.name: file.read_text() for file in write_budget(tmp_path, outcomes, about={"seed": 3})}
    assert json.loads(files["error_budget.json"])["seed"] == 3
    assert json.loads(files["error_budget.json"])["cases"][1]["classes"]["kidney"]["remaining_dice"][-1] == 0.75
    rows = list(csv.DictReader(files["error_budget.csv"].splitlines()))
    assert [row["remaining Dice: stage 2"] for row in rows] == ["0.9", "0.8"]
