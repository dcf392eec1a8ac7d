"""Everything a user can set about a segmentation, as frozen, self-validating values that round-trip to JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from kidneyseg.errors import SettingsError

Region = Literal["body", "volume"]
FillMethod = Literal["closing", "hull"]


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise SettingsError(message)


@dataclass(frozen=True)
class SamplingSettings:
    """Which cells become points for stage 1.

    Attributes:
        kept_percent: the brightest share of `region` that is kept, in percent.
        region: "body" counts percent inside the patient (air and table out, lungs filled); "volume" in the whole box.
        bands: the kept share is split into this many intensity bands that run one after the other.
        grid_mm: edge of the cubic cells; None takes the voxels themselves, on the paper's grid.
    """

    kept_percent: float = 65.0
    region: Region = "body"
    bands: int = 1
    grid_mm: float | None = 5.0

    def __post_init__(self) -> None:
        _require(0 < self.kept_percent <= 100, f"kept intensity must be in (0, 100] %, not {self.kept_percent}")
        _require(self.region in ("body", "volume"), f"region must be body or volume, not {self.region!r}")
        _require(1 <= self.bands <= 20, f"intensity bands must be 1 to 20, not {self.bands}")
        _require(
            self.grid_mm is None or 1.0 <= self.grid_mm <= 10.0, f"stage 1 grid must be 1 to 10 mm, not {self.grid_mm}"
        )


@dataclass(frozen=True)
class RefineSettings:
    """Which cells stage 2 sees.

    Attributes:
        grid_mm: edge of the cubic cells; None means stage 1's own kidney points, as in the paper.
        margin_mm: how far around stage 1's find cells are taken.
        below_stage1_hu: stage 2's lower intensity bound lies this much under stage 1's.
    """

    grid_mm: float | None = 2.0
    margin_mm: float = 10.0
    below_stage1_hu: float = 100.0

    def __post_init__(self) -> None:
        _require(
            self.grid_mm is None or 0.5 <= self.grid_mm <= 5.0, f"stage 2 grid must be 0.5 to 5 mm, not {self.grid_mm}"
        )
        _require(0 <= self.margin_mm <= 50, f"stage 2 margin must be 0 to 50 mm, not {self.margin_mm}")
        _require(
            0 <= self.below_stage1_hu <= 500, f"stage 2 bound must be 0 to 500 HU lower, not {self.below_stage1_hu}"
        )


@dataclass(frozen=True)
class ClusterSettings:
    """DBSCAN over the kidney and tumour points: drops outliers and separates the objects.

    Attributes:
        eps_mm: neighbourhood radius.
        min_samples: points (cells) within eps that make a core point; None is "auto", a twentieth of the points.
    """

    eps_mm: float = 5.0
    min_samples: int | None = 33

    def __post_init__(self) -> None:
        _require(0.5 <= self.eps_mm <= 100, f"DBSCAN eps must be 0.5 to 100 mm, not {self.eps_mm}")
        _require(
            self.min_samples is None or 1 <= self.min_samples <= 1_000_000,
            f"DBSCAN min samples must be auto or 1 to 1000000, not {self.min_samples}",
        )


@dataclass(frozen=True)
class FillSettings:
    """How points become a mask again.

    Attributes:
        method: "closing" paints each point's cell and closes gaps; "hull" fills each cluster's convex hull per slice.
        closing_mm: radius of the closing; 0 leaves the cells as they are.
    """

    method: FillMethod = "closing"
    closing_mm: float = 2.0

    def __post_init__(self) -> None:
        _require(self.method in ("closing", "hull"), f"fill must be closing or hull, not {self.method!r}")
        _require(0 <= self.closing_mm <= 20, f"closing radius must be 0 to 20 mm, not {self.closing_mm}")


_ROOMS = {"sampling": SamplingSettings, "refine": RefineSettings, "clusters": ClusterSettings, "fill": FillSettings}


@dataclass(frozen=True)
class Settings:
    """One complete set of settings. `preset` names the networks and where the values started from."""

    preset: str = "default"
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    refine: RefineSettings = field(default_factory=RefineSettings)
    clusters: ClusterSettings = field(default_factory=ClusterSettings)
    fill: FillSettings = field(default_factory=FillSettings)

    def __post_init__(self) -> None:
        _require(
            self.preset in PRESET_NAMES, f"there is no preset {self.preset!r}; there are: {', '.join(PRESET_NAMES)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into equal settings."""
        return json.dumps(self.to_dict(), indent=2)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Settings:
        """The inverse of `to_dict`. Raises SettingsError for unknown names or values out of range."""
        rooms = {
            "sampling": SamplingSettings,
            "refine": RefineSettings,
            "clusters": ClusterSettings,
            "fill": FillSettings,
        }
        try:
            made = {name: kind(**values[name]) for name, kind in rooms.items() if name in values}
            return Settings(**{**values, **made})
        except TypeError as error:
            raise SettingsError(f"these settings do not fit this version: {error}") from error

    @staticmethod
    def from_json(text: str) -> Settings:
        """The inverse of `to_json`. Raises SettingsError for text that is no settings file."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise SettingsError(f"not a settings file: {error}") from error
        if not isinstance(values, dict):
            raise SettingsError("not a settings file: it should hold one JSON object")
        return Settings.from_dict(values)

    def with_(self, **rooms: dict[str, Any]) -> Settings:
        """A copy with some values changed, e.g. `settings.with_(clusters={"eps_mm": 8})`."""
        return replace(self, **{name: replace(getattr(self, name), **changes) for name, changes in rooms.items()})


PRESET_NAMES = ("default", "paper")


def preset(name: str) -> Settings:
    """The settings a preset starts from. Raises SettingsError for an unknown name.

    `default` is what validated best. `paper` is the published method, corrected (docs/explanation/method.md).
    """
    if name == "paper":
        return Settings(
            preset="paper",
            sampling=SamplingSettings(kept_percent=10.0, region="volume", bands=3, grid_mm=None),
            refine=RefineSettings(grid_mm=None, margin_mm=0.0, below_stage1_hu=0.0),
            clusters=ClusterSettings(eps_mm=15.0, min_samples=None),
            fill=FillSettings(method="hull", closing_mm=0.0),
        )
    return Settings(preset=name)
