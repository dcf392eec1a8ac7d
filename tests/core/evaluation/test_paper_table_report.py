"""The paper's table as it is printed and written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from case_scores import point_budget as budget
from kidneyseg.evaluation.paper_table import Measured
from kidneyseg.evaluation.paper_table_report import table_as_markdown, write_paper_table
from kidneyseg.evaluation.scores import Failure


def test_the_table_stands_beside_the_published_figures(tmp_path: Path) -> None:
    second = replace(budget("b", 0.6), stage1_confusion=((2, 0), (4, 4)))
    measured = [Measured("paper", "brightest 10 % of the voxels", (budget("a"), second, Failure("c", "why")))]
    page = table_as_markdown(measured)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    iou = {(row[0], row[1]): row[2:] for row in rows}
    assert iou["stage 1, published", "brightest 3 % of the voxels"] == ["0.979", "0.819", "-"]
    assert iou["stage 2, published", "brightest 3 % of the voxels"] == ["0.918", "0.965", "0.548"]
    assert iou["stage 1, paper", "brightest 10 % of the voxels"] == ["0.625", "0.700", "-"]
    assert iou["stage 2, paper", "brightest 10 % of the voxels"] == ["0.500", "0.625", "0.500"]
    assert [row for row in rows if row[0] == "mean"] == [["mean", "0.700", "0.970", "0.750", "-", "-", "-"]]
    assert "**c**: why" in page
    files = {file.name: file.read_text() for file in write_paper_table(tmp_path, measured)}
    data = json.loads(files["paper_table.json"])
    assert data["measured"][0]["point IoU"]["1"] == pytest.approx([0.625, 0.7])
    assert files["paper_table.md"].endswith(page)


def test_a_network_that_was_shown_nothing_has_no_iou(tmp_path: Path) -> None:
    nothing = replace(budget("a"), stage2_confusion=((0, 0, 0), (0, 0, 0), (0, 0, 0)))
    measured = [Measured("paper", "brightest 3 % of the voxels", (nothing,))]
    rows = [
        line.split("|")[1:-1]
        for line in table_as_markdown(measured).splitlines()
        if line.startswith("| stage 2, paper")
    ]
    assert [cell.strip() for cell in rows[0][2:]] == ["-", "-", "-"]
    data = json.loads(write_paper_table(tmp_path, measured)[1].read_text())
    assert data["measured"][0]["point IoU"] == {"1": [0.8, pytest.approx(10 / 12)], "2": [None, None, None]}
