"""Settings refuse what makes no sense and survive JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidneyseg.errors import SettingsError
from kidneyseg.settings import (
    PRESET_NAMES,
    ClusterSettings,
    CountClusterSettings,
    FillSettings,
    SamplingSettings,
    Settings,
    min_samples_of,
    preset,
)


def test_the_json_of_each_method() -> None:
    assert preset("default").to_dict() == {
        "method": "default",
        "sampling": {"kept_percent": 65.0},
        "stage2": {"margin_mm": 10.0},
        "clusters": {"eps_mm": 5.0, "core_share": 0.5},
        "fill": {"algorithm": "closing", "closing_mm": 2.0},
    }
    assert preset("paper").to_dict() == {
        "method": "paper",
        "sampling": {"kept_percent": 10.0, "bands": 3},
        "clusters": {"eps_mm": 15.0, "min_samples": None},
        "fill": {"algorithm": "hull", "closing_mm": 0.0},
    }


@given(
    method=st.sampled_from(PRESET_NAMES),
    kept=st.floats(0.1, 100),
    eps=st.floats(0.5, 100) | st.integers(1, 100),
    samples=st.none() | st.integers(1, 1_000_000),
    share=st.floats(0.001, 1),
    algorithm=st.sampled_from(["closing", "hull"]),
)
def test_any_valid_settings_round_trip(
    method: str, kept: float, eps: float, samples: int | None, share: float, algorithm: str
) -> None:
    own = {"default": {"core_share": share}, "paper": {"min_samples": samples}}[method]
    settings = preset(method).with_(
        sampling={"kept_percent": kept}, clusters={"eps_mm": eps, **own}, fill={"algorithm": algorithm}
    )
    assert Settings.from_json(settings.to_json()) == settings
    assert Settings.from_json(json.dumps({"program": "kidneyseg", "settings": settings.to_dict()})) == settings


@pytest.mark.parametrize(
    ("method", "group", "name", "value", "says"),
    [
        ("default", "sampling", "kept_percent", 0, "kept intensity must be above 0 and at most 100 %, not 0"),
        ("default", "sampling", "kept_percent", 101, "not 101"),
        ("default", "sampling", "kept_percent", "50", 'kept intensity must be a number, not "50"'),
        ("paper", "sampling", "bands", 0, "intensity bands must be 1 to 20"),
        ("paper", "sampling", "bands", 2.5, "a whole number, not 2.5"),
        ("default", "stage2", "margin_mm", -1, "margin must be 0 to 50 mm, not -1"),
        ("default", "stage2", "margin_mm", [10], r"a number, not \[10\]"),
        ("default", "clusters", "eps_mm", 0, "DBSCAN eps must be 0.5 to 100 mm"),
        ("paper", "clusters", "eps_mm", float("nan"), "not NaN"),
        ("default", "clusters", "core_share", 0, "core share must be above 0 and at most 1"),
        ("default", "clusters", "core_share", None, "a number, not null"),
        ("paper", "clusters", "min_samples", 0, "min samples must be 1 to 1000000"),
        ("paper", "clusters", "min_samples", True, "a whole number, not true"),
        ("default", "fill", "algorithm", "magic", 'closing or hull, not "magic"'),
        ("default", "fill", "algorithm", ["hull"], "closing or hull"),
        ("default", "fill", "closing_mm", 10**50, "0 to 20 mm, not 1000000"),
        ("default", "fill", "closing_mm", {"mm": 2}, "a number"),
    ],
)
def test_a_wrong_value_is_named(method: str, group: str, name: str, value: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        preset(method).with_(**{group: {name: value}})
    values = preset(method).to_dict()
    values[group][name] = value
    with pytest.raises(SettingsError, match=says):
        Settings.from_json(json.dumps(values))


@pytest.mark.parametrize(
    ("method", "changes", "says"),
    [
        (
            "default",
            {"clusters": {"min_samples": 3}},
            r'no setting "min_samples" in clusters \(the method paper has it',
        ),
        ("paper", {"clusters": {"core_share": 0.5}}, r"\(the method default has it\); it has eps_mm, min_samples"),
        ("paper", {"stage2": {"margin_mm": 3.0}}, r'no setting "stage2" \(the method default has it\)'),
        ("default", {"sampling": {"bands": 2}}, "the method paper has it"),
        ("default", {"clusters": {"eps": 3}}, 'no setting "eps" in clusters; it has eps_mm, core_share'),
        ("default", {"clusters": {"__class__": 3}}, "no setting"),
        ("default", {"colour": {}}, 'no setting "colour"; it has sampling, stage2, clusters, fill'),
        ("default", {"self": {}}, 'no setting "self"'),
        ("default", {"clusters": [5.0]}, r"names and values, not \[5.0\]"),
        ("default", {"clusters": None}, "names and values, not null"),
    ],
)
def test_a_setting_that_the_method_does_not_have(method: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        preset(method).with_(**changes)
    with pytest.raises(SettingsError, match=says):
        Settings.from_json(json.dumps({"method": method, **changes}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON in line 1, column 1"),
        ("{\n 'a'", "not valid JSON in line 2"),
        ("[" * 100_000, "no settings file"),
        ('{"a": ' + "1" * 5000 + "}", "no settings file"),
        ("[]", "one JSON object"),
        ("null", "one JSON object, not null"),
        ('{"settings": 3}', "one JSON object, not 3"),
        ("{}", "must name their method"),
        ('{"method": "none"}', 'there is no method "none"; choose default or paper'),
        ('{"method": ["default"]}', "there is no method"),
        ('{"preset": "default", "refine": {"grid_mm": 2.0}}', "KidneySeg 0.1"),
        ('{"settings": {"preset": "paper", "clusters": {}}}', "KidneySeg 0.1"),
    ],
)
def test_what_is_no_settings_file_is_refused(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Settings.from_json(text)


def test_what_a_file_leaves_out_starts_as_the_method_does() -> None:
    assert Settings.from_json('{"method": "paper", "clusters": {"eps_mm": 20}}') == preset("paper").with_(
        clusters={"eps_mm": 20}
    )


def test_groups_of_two_methods_do_not_make_settings() -> None:
    start = preset("default")
    with pytest.raises(SettingsError, match="the clusters settings are not those of the method default"):
        Settings("default", start.sampling, CountClusterSettings(), start.fill, start.stage2)
    with pytest.raises(SettingsError, match="the stage2 settings"):
        Settings("default", SamplingSettings(), ClusterSettings(), FillSettings())


def test_the_network_part_is_all_but_clusters_and_fill() -> None:
    base = preset("default")
    assert base.with_(clusters={"eps_mm": 9.0}, fill={"algorithm": "hull"}).network_part == base.network_part
    for change in ({"sampling": {"kept_percent": 20.0}}, {"stage2": {"margin_mm": 5.0}}):
        assert base.with_(**change).network_part != base.network_part
    assert preset("paper").network_part != base.network_part


def test_clusters_and_fill_apply_to_the_network_part_of_the_same_method_only() -> None:
    shown = preset("default").with_(sampling={"kept_percent": 20.0})
    chosen = preset("default").with_(clusters={"eps_mm": 9.0}, stage2={"margin_mm": 4.0})
    assert chosen.with_network_part_of(shown) == shown.with_(clusters={"eps_mm": 9.0})
    with pytest.raises(SettingsError, match="do not apply to a result of default"):
        preset("paper").with_network_part_of(shown)


@pytest.mark.parametrize(
    ("eps_mm", "share", "cell_mm", "needed"),
    [(5.0, 0.5, 2.0, 33), (10.0, 0.5, 2.0, 262), (5.0, 0.5, 1.0, 262), (5.0, 1.0, 2.0, 66), (0.5, 0.1, 2.0, 1)],
)
def test_min_samples_is_the_same_share_of_every_ball(eps_mm: float, share: float, cell_mm: float, needed: int) -> None:
    assert min_samples_of(ClusterSettings(eps_mm, share), cell_mm) == needed


def test_min_samples_of_the_paper_are_a_count_or_auto() -> None:
    assert min_samples_of(CountClusterSettings(15.0, 12), 2.0) == 12
    assert min_samples_of(CountClusterSettings(), 2.0) is None
