import csv
import json
from dataclasses import replace

import pytest

from case_scores import score
from kidneyseg.errors import OutputError
from kidneyseg.evaluation.lesions import LesionScore
from kidneyseg.evaluation.report import as_dict, as_markdown, write_report
from kidneyseg.evaluation.scores import AS_IS, SLABS, CaseScore, Failure


@pytest.fixture
def outcomes():
    return [
        replace(score("a", 0.9123, tumour=0.5, lesions=[LesionScore(2.0, 0.5), LesionScore(0.5, 0.0)]), seconds=3.21),
        Failure("b", "b_mask.nii.gz is damaged", "b"),
        replace(score("a", 0.95, false=[1.5]), group="other"),
    ]


def test_files_hold_every_case(outcomes, tmp_path):
    files = write_report(tmp_path / "new", outcomes, title="Ours", about={"fold": 1})
    assert sorted(file.name for file in files) == ["cases.csv", "evaluation.json", "evaluation.md", "lesions.csv"]
    told = json.loads((tmp_path / "new/evaluation.json").read_text())
    assert told["fold"] == 1
    assert [CaseScore.from_dict({k: v for k, v in one.items() if k != "figures"}) for one in told["cases"]] == [
        outcomes[0],
        outcomes[2],
    ]
    assert told["failures"] == [{"name": "b", "error": "b_mask.nii.gz is damaged"}]
    assert list(told["summary"]) == [AS_IS, "other"]
    assert told["summary"]["other"]["figures"]["kidney Dice"]["mean"] == 0.95
    rows = list(csv.DictReader((tmp_path / "new/cases.csv").read_text().splitlines()))
    assert [row["kidney Dice"] for row in rows] == ["0.9123", "", "0.95"]
    assert [row["error"] for row in rows] == ["", "b_mask.nii.gz is damaged", ""]
    assert (rows[0]["lesions"], rows[0]["detected"], rows[2]["false positives"]) == ("2", "1", "1")
    lesions = list(csv.DictReader((tmp_path / "new/lesions.csv").read_text().splitlines()))
    assert [(row["kind"], row["mL"], row["detected"]) for row in lesions] == [
        ("lesion", "2.0", "True"),
        ("lesion", "0.5", "False"),
        ("false positive", "1.5", ""),
    ]


def test_the_page_keeps_groups_apart_and_tells_the_rules(outcomes):
    page = as_markdown(outcomes)
    assert page.index(f"## {AS_IS}") < page.index(" 0.912 |") < page.index("## other") < page.index(" 0.950 |")
    assert "**b**: b_mask.nii.gz is damaged" in page
    assert "at least 10%" in page
    heads = [line for line in page.splitlines() if line.startswith("| case")]
    assert "seconds" in heads[0]
    assert "seconds" not in heads[1]  # no mask of that group was timed
    assert all("1/2" in line for line in page.splitlines() if line.startswith("| a ") and "0.912" in line)


def test_failures_alone_make_a_report(tmp_path):
    failure = Failure("b", "why")
    assert as_dict([failure])["summary"] == {}
    assert "why" in as_markdown([failure])
    assert "why" in write_report(tmp_path, [failure])[2].read_text()


def test_a_folder_that_cannot_be_written(outcomes, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        write_report(tmp_path / "file" / "deeper", outcomes)


def test_growth_types_are_reported_first(tmp_path):
    hilar = replace(score("a", tumour=0.5, lesions=[LesionScore(2.0, 0.5, -40.0)]), growth="hilar", reach=0.97)
    beside = replace(score("b", 0.95), extrarenal=0.5)
    slab = replace(score("b_slab0", 0.76, case="b"), group=SLABS)
    write_report(tmp_path, [hilar, beside, slab])
    page = (tmp_path / "evaluation.md").read_text()
    assert "by growth type, size and contrast" in page
    assert any(line.startswith("| growth type ") and " hilar |" in line for line in page.splitlines())
    assert "0.97 [0.97, 0.97]" in page
    assert "extrarenal masses called tumour" in page
    assert any(line.startswith("| kidney Dice of slabs ") and "0.80 [0.80, 0.80]" in line for line in page.splitlines())
    told = json.loads((tmp_path / "evaluation.json").read_text())
    assert told["strata"]["masses"] == 1
    rows = (tmp_path / "lesions.csv").read_text().splitlines()
    assert rows[0].endswith("growth,contrast HU")
    assert rows[1].endswith("True,hilar,-40.0")
    write_report(tmp_path, [score("c")])
    assert "growth type" not in (tmp_path / "evaluation.md").read_text()
