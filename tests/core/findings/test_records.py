"""Findings as plain values and as sentences."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kidneyseg.findings import Confidence, CystFinding, Findings, Flag, KidneyFinding, TumourFinding

RIGHT = KidneyFinding("right", 150.0, 4.0, (90, 60, 15))
LEFT = KidneyFinding("left", 140.0, 0.0, (40, 61, 14))
BOTH = Findings((RIGHT, LEFT), (), 290.0, 4.0, kidney_sized=2)


def test_everything_is_ready_for_json() -> None:
    found = replace(
        BOTH,
        tumours=(TumourFinding("right", 4.0, 21.0, (95, 60, 12), 0.5, Confidence(0.94, 0.81)),),
        cysts=(CystFinding(None, 2.0, 16.0, (41, 60, 9)),),
        cyst_ml=2.0,
        flags=(Flag("cut", "It is cut."),),
    )
    assert json.loads(json.dumps(found.to_dict())) == {
        "kidneys": [
            {"side": "right", "ml": 150.0, "tumour_ml": 4.0, "centre": [90, 60, 15]},
            {"side": "left", "ml": 140.0, "tumour_ml": 0.0, "centre": [40, 61, 14]},
        ],
        "tumours": [
            {
                "side": "right",
                "ml": 4.0,
                "longest_mm": 21.0,
                "centre": [95, 60, 12],
                "kidney_contact": 0.5,
                "confidence": {"probability": 0.94, "dice": 0.81},
            }
        ],
        "kidney_ml": 290.0,
        "tumour_ml": 4.0,
        "horseshoe": False,
        "kidney_sized": 2,
        "side_unknown": "",
        "cysts": [{"side": None, "ml": 2.0, "longest_mm": 16.0, "centre": [41, 60, 9]}],
        "cyst_ml": 2.0,
        "flags": [{"code": "cut", "sentence": "It is cut."}],
    }


def test_two_kidneys_need_no_sentence() -> None:
    assert BOTH.sentences() == ()
    assert (BOTH.kidney("right"), BOTH.kidney("left")) == (RIGHT, LEFT)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Findings((), (), 0.0, 0.0), "No kidneys were found"),
        (replace(BOTH, kidneys=(LEFT,)), "Only the left kidney was found; the right one was not"),
        (replace(BOTH, horseshoe=True), "joined across the midline"),
        (replace(BOTH, side_unknown="no spine is seen"), "No sides are given, since no spine is seen"),
        (replace(BOTH, flags=(Flag("cut", "It is cut."),)), "It is cut."),
        (replace(BOTH, kidney_sized=4), "4 kidney-sized bodies"),
    ],
)
def test_what_is_unusual_is_said(found: Findings, words: str) -> None:
    (sentence,) = found.sentences()
    assert words in sentence
