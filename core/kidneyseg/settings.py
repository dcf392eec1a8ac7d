"""All settings of a segmentation, as frozen dataclasses that validate themselves and round-trip to JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from kidneyseg.errors import SettingsError

FillAlgorithm = Literal["closing", "hull"]

GROUPS = ("sampling", "stage2", "clusters", "fill")


def _check_eps(eps_mm: object) -> None:
    check_number("DBSCAN eps", eps_mm, 0.5, 100, unit=" mm")


def check_number(
    name: str, value: object, low: float, high: float, *, unit: str = "", above: bool = False, whole: bool = False
) -> None:
    """Raise SettingsError for what is no number, or not in low ... high; with `above`, for `low` itself too."""
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise SettingsError(f"{name} must be a {'whole ' if whole else ''}number, not {_shown(value)}")
    if not low <= value <= high or (above and value == low):
        range_text = f"above {low} and at most {high}" if above else f"{low} to {high}"
        raise SettingsError(f"{name} must be {range_text}{unit}, not {_shown(value)}")


def _shown(value: object) -> str:
    """A refused value as JSON writes it, shortened."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= 40 else f"{text[:37]}..."


@dataclass(frozen=True)
class SamplingSettings:
    """Which cells or voxels become stage 1's points."""

    kept_percent: float = 65.0  #: the brightest share that is kept, in percent

    def __post_init__(self) -> None:
        check_number("kept intensity", self.kept_percent, 0, 100, unit=" %", above=True)


@dataclass(frozen=True)
class BandSettings(SamplingSettings):
    """Sampling of the method `paper`."""

    kept_percent: float = 10.0
    bands: int = 3  #: the kept share is split into this many intensity bands, which run one after the other

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("intensity bands", self.bands, 1, 20, whole=True)


@dataclass(frozen=True)
class Stage2Settings:
    """Which cells become stage 2's points."""

    margin_mm: float = 10.0  #: cells up to this distance from stage 1's detections are taken

    def __post_init__(self) -> None:
        check_number("stage 2 margin", self.margin_mm, 0, 50, unit=" mm")


@dataclass(frozen=True)
class ClusterSettings:
    """DBSCAN over the kidney and tumour cells: drops outliers and separates the objects."""

    eps_mm: float = 5.0  #: neighbourhood radius
    core_share: float = 0.5  #: share of the ball of radius eps, by volume, that is filled around a core point

    def __post_init__(self) -> None:
        _check_eps(self.eps_mm)
        check_number("DBSCAN core share", self.core_share, 0, 1, above=True)


@dataclass(frozen=True)
class CountClusterSettings:
    """DBSCAN of the method `paper`."""

    eps_mm: float = 15.0  #: neighbourhood radius
    #: points within eps that make a core point; None is "auto", a twentieth of the points
    min_samples: int | None = None

    def __post_init__(self) -> None:
        _check_eps(self.eps_mm)
        if self.min_samples is not None:
            check_number("DBSCAN min samples", self.min_samples, 1, 1_000_000, whole=True)


@dataclass(frozen=True)
class FillSettings:
    """How points become a mask again."""

    #: "closing" paints each point's cell and closes gaps; "hull" fills each object's convex hull per slice
    algorithm: FillAlgorithm = "closing"
    closing_mm: float = 2.0  #: radius of the closing; 0 closes nothing

    def __post_init__(self) -> None:
        if self.algorithm not in ("closing", "hull"):
            raise SettingsError(f"fill must be closing or hull, not {_shown(self.algorithm)}")
        check_number("closing radius", self.closing_mm, 0, 20, unit=" mm")


Group = SamplingSettings | Stage2Settings | ClusterSettings | CountClusterSettings | FillSettings

# Settings groups of each method with their initial values. `segmentation.method.register` adds others.
PRESETS: dict[str, dict[str, Group]] = {
    "default": {
        "sampling": SamplingSettings(),
        "stage2": Stage2Settings(),
        "clusters": ClusterSettings(),
        "fill": FillSettings(),
    },
    "paper": {
        "sampling": BandSettings(),
        "clusters": CountClusterSettings(),
        "fill": FillSettings(algorithm="hull", closing_mm=0.0),
    },
}
PRESET_NAMES = tuple(PRESETS)


@dataclass(frozen=True)
class Settings:
    """One complete set of settings of one method.

    Raises:
        SettingsError: for an unknown method, or a group of another method.
    """

    method: str  #: names the method and its networks; see `PRESETS`
    sampling: SamplingSettings  #: which cells or voxels become stage 1's points
    clusters: ClusterSettings | CountClusterSettings  #: DBSCAN
    fill: FillSettings  #: how points become a mask
    stage2: Stage2Settings | None = None  #: which cells become stage 2's points; None for a method without a choice

    def __post_init__(self) -> None:
        start = _start_of(self.method)
        for name in GROUPS:
            if type(getattr(self, name)) is not type(start.get(name)):
                raise SettingsError(f"the {name} settings are not those of the method {self.method}")

    @property
    def network_part(self) -> Hashable:
        """What the networks' output depends on: where it is equal, no network has to run again."""
        return self.method, self.sampling, self.stage2

    def with_network_part_of(self, other: Settings) -> Settings:
        """These clusters and fill with `other`'s network part.

        Raises:
            SettingsError: when the methods differ.
        """
        if self.method != other.method:
            raise SettingsError(f"settings of the method {self.method} do not apply to a result of {other.method}")
        return replace(other, clusters=self.clusters, fill=self.fill)

    def with_(self, /, **groups: Mapping[str, Any]) -> Settings:
        """A copy with some values changed, e.g. `settings.with_(clusters={"eps_mm": 8})`.

        Raises:
            SettingsError: for a name that the method does not have, or a value of a wrong type or out of range.
        """
        return replace(self, **{group: self._changed(group, values) for group, values in groups.items()})

    def _changed(self, group: str, values: object) -> Any:
        known = _start_of(self.method)
        if group not in known:
            raise SettingsError(_not_a_setting(self.method, group))
        if not isinstance(values, Mapping):
            raise SettingsError(f"the settings of {group} must be names and values, not {_shown(values)}")
        for name in values:
            if name not in asdict(known[group]):
                raise SettingsError(_not_a_setting(self.method, group, name))
        return replace(getattr(self, group), **values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; without the groups that the method does not have."""
        groups = {name: getattr(self, name) for name in GROUPS}
        return {"method": self.method} | {name: asdict(group) for name, group in groups.items() if group is not None}

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into equal settings."""
        return json.dumps(self.to_dict(), indent=2)

    @staticmethod
    def from_dict(values: object) -> Settings:
        """The inverse of `to_dict`; missing values take the method's initial value.

        Raises:
            SettingsError: for anything that `to_dict` does not give.
        """
        if not isinstance(values, Mapping):
            raise SettingsError(f"settings must be one JSON object, not {_shown(values)}")
        if "method" not in values:
            if "preset" in values:
                raise SettingsError("these settings are of KidneySeg 0.1, whose settings differ; set them anew")
            raise SettingsError(f"settings must name their method: {' or '.join(PRESETS)}")
        return preset(values["method"]).with_(**{str(k): v for k, v in values.items() if k != "method"})

    @staticmethod
    def from_json(text: str) -> Settings:
        """The inverse of `to_json`; of a mask's whole sidecar it takes the settings. Raises SettingsError."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise SettingsError(f"not valid JSON in line {error.lineno}, column {error.colno}") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
            raise SettingsError("this JSON is no settings file") from error
        if isinstance(values, dict) and "settings" in values:
            values = values["settings"]
        return Settings.from_dict(values)


def preset(name: str) -> Settings:
    """The initial settings of a method.

    `default` was best in validation. `paper` is the published method, corrected (docs/explanation/method.md).

    Raises:
        SettingsError: for an unknown name.
    """
    return Settings(name, **_start_of(name))


def min_samples_of(clusters: ClusterSettings | CountClusterSettings, cell_mm: float) -> int | None:
    """How many cells with an edge of `cell_mm` within eps make a core point, itself included; None is "auto"."""
    if isinstance(clusters, CountClusterSettings):
        return clusters.min_samples
    cells_in_ball = 4 / 3 * math.pi * (clusters.eps_mm / cell_mm) ** 3
    return math.ceil(clusters.core_share * cells_in_ball)


def _start_of(method: object) -> dict[str, Any]:
    """The groups of a method with their initial values."""
    if not isinstance(method, str) or method not in PRESETS:
        raise SettingsError(f"there is no method {_shown(method)}; choose {' or '.join(PRESETS)}")
    return PRESETS[method]


def _not_a_setting(method: str, group: str, name: str | None = None) -> str:
    """The sentence on a group, or a name in it, that the method does not have."""
    start = PRESETS[method]
    known = list(start) if name is None else list(asdict(start[group]))
    others = [other for other, its in PRESETS.items() if group in its and (name is None or name in asdict(its[group]))]
    what = _shown(group) if name is None else f"{_shown(name)} in {group}"
    belongs = f" (the method {' or '.join(others)} has it)" if others else ""
    return f"the method {method} has no setting {what}{belongs}; it has {', '.join(known)}"
