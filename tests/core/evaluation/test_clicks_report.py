"""The report of simulated clicks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from kidneyseg.evaluation.click_tasks import MISSED
from kidneyseg.evaluation.clicks import ClickScore
from kidneyseg.evaluation.clicks_report import clicks_as_dict, clicks_as_markdown, write_clicks
from kidneyseg.evaluation.scores import Failure

CLICKS = ((1, 2, 3, 2), (4, 5, 6, 1))
SCORES = [
    ClickScore(
        "a_0", "a", "", MISSED, 4.0, (0.0, 0.8, 0.9), (0.1, 0.7, 0.8), (0.2, 0.3), 0, ((1, 2, 3, 2), (4, 5, 6, 1))
    ),
    ClickScore(
        "b_0", "b", "", MISSED, 2.0, (0.0, 0.6, 0.7), (0.1, 0.5, 0.6), (0.2, 0.3), 0, ((1, 2, 3, 2), (4, 5, 6, 1))
    ),
]


def test_the_table_gives_the_median_after_each_click() -> None:
    text = clicks_as_markdown(SCORES)
    assert MISSED in text
    assert "0.70" in text  # after one click
    assert "0.80" in text  # after two
    assert "2" in text


def test_values_are_plain_and_failures_are_named() -> None:
    failure = Failure("c", "the file is damaged")
    values = json.loads(json.dumps(clicks_as_dict([*SCORES, failure])))
    assert [task["name"] for task in values["tasks"]] == ["a_0", "b_0"]
    assert values["failures"] == [{"name": "c", "error": "the file is damaged"}]
    assert "the file is damaged" in clicks_as_markdown([*SCORES, failure])


def test_each_click_has_a_row_in_the_table_file(tmp_path: Path) -> None:
    paths = write_clicks(tmp_path, SCORES, about={"seed": 3})
    assert [path.name for path in paths] == ["clicks.md", "clicks.json", "clicks.csv"]
    rows = list(csv.reader((tmp_path / "clicks.csv").read_text().splitlines()))
    assert len(rows) == 1 + 2 * 3
    assert json.loads((tmp_path / "clicks.json").read_text())["seed"] == 3
