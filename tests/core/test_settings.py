"""Settings refuse what makes no sense and survive JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidneyseg.errors import SettingsError
from kidneyseg.settings import PRESET_NAMES, Settings, preset


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_presets_round_trip(name: str) -> None:
    settings = preset(name)
    assert settings.preset == name
    assert Settings.from_json(settings.to_json()) == settings


@given(
    kept=st.floats(0.1, 100),
    eps=st.floats(0.5, 100),
    samples=st.none() | st.integers(1, 1_000_000),
    method=st.sampled_from(["closing", "hull"]),
)
def test_any_valid_settings_round_trip(kept: float, eps: float, samples: int | None, method: str) -> None:
    settings = preset("default").with_(
        sampling={"kept_percent": kept}, clusters={"eps_mm": eps, "min_samples": samples}, fill={"method": method}
    )
    assert Settings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sampling": {"kept_percent": 0}}, "kept intensity"),
        ({"sampling": {"kept_percent": 101}}, "101"),
        ({"sampling": {"region": "head"}}, "body or volume"),
        ({"sampling": {"bands": 0}}, "bands"),
        ({"sampling": {"grid_mm": 0.1}}, "grid"),
        ({"refine": {"grid_mm": 9.0}}, "grid"),
        ({"refine": {"margin_mm": -1}}, "margin"),
        ({"clusters": {"eps_mm": 0}}, "eps"),
        ({"clusters": {"min_samples": 0}}, "min samples"),
        ({"fill": {"method": "magic"}}, "closing or hull"),
        ({"fill": {"closing_mm": 99}}, "closing radius"),
        ({"fill": {"closing_mm": float("nan")}}, "closing radius"),
    ],
)
def test_values_out_of_range_name_themselves(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        preset("default").with_(**change)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"colour": 1}', '{"clusters": {"eps": 3}}', '{"preset": "none"}'])
def test_what_is_no_settings_file_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        Settings.from_json(text)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="default, paper"):
        preset("nonsense")
