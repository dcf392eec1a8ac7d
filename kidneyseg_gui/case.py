"""The open case: the only state of the window. Views listen to its signals and change it through its methods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from kidneyseg.points.cloud import KIDNEY, TUMOUR
from kidneyseg.settings import Settings, preset
from kidneyseg_gui.slices import Voxel

if TYPE_CHECKING:  # these import what the first paint does not wait for
    from kidneyseg.imaging.volume import Volume
    from kidneyseg_gui.protocols import Result
    from kidneyseg_gui.scene import Scene

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class LabelStyle:
    """How one label of the mask is drawn."""

    name: str
    colour: Colour
    visible: bool = True


@dataclass(frozen=True)
class Overlay:
    """How the mask is drawn over the slices and in 3-D. `opacity` is 0...1 of the fill."""

    shown: bool = True
    opacity: float = 0.4
    outlined: bool = True
    filled: bool = True
    labels: tuple[tuple[int, LabelStyle], ...] = (
        (KIDNEY, LabelStyle("Kidney", (226, 104, 76))),
        (TUMOUR, LabelStyle("Tumour", (255, 214, 64))),
    )

    def style(self, label: int) -> LabelStyle:
        """The style of one label."""
        return dict(self.labels)[label]

    def with_label(self, label: int, **changes: Any) -> Overlay:
        """A copy with one label's style changed, e.g. `with_label(KIDNEY, visible=False)`."""
        return replace(self, labels=tuple((k, replace(v, **changes) if k == label else v) for k, v in self.labels))

    def all_shown(self) -> Overlay:
        """A copy in which nothing is hidden."""
        return replace(self, shown=True, labels=tuple((k, replace(v, visible=True)) for k, v in self.labels))


@dataclass(frozen=True)
class Display:
    """How the views are arranged. `maximised` names the pane that fills the window, "" for all four.

    `cloud` is what the 3-D pane shows: "sampled", "kidney", "objects" or "surface".
    """

    radiological: bool = True
    crosshair: bool = True
    cloud: str = "surface"
    maximised: str = ""


class Case(QObject):
    """One CT with its result and how it is being looked at."""

    volume_changed = Signal()
    result_changed = Signal()
    scene_changed = Signal()
    crosshair_changed = Signal()
    window_changed = Signal()
    overlay_changed = Signal()
    display_changed = Signal()
    settings_changed = Signal()
    dirty_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.volume: Volume | None = None
        self.result: Result | None = None
        self.scene: Scene | None = None
        self.crosshair: Voxel = (0, 0, 0)
        self.window: tuple[float, float] = (350.0, 40.0)
        self.overlay = Overlay()
        self.display = Display()
        self.settings: Settings = preset("default")
        self.device = "auto"
        self.dirty = False
        self.device_of_result = ""

    @property
    def mask(self) -> NDArray[np.uint8] | None:
        """The labels (X, Y, Z) to draw and export, or None before a segmentation."""
        return None if self.result is None else self.result.mask

    def open(self, volume: Volume) -> None:
        """Show another CT and drop the old one's result. Window, overlay and display stay; what was hidden is shown."""
        self.volume = volume
        self.result, self.scene, self.dirty, self.device_of_result = None, None, False, ""
        self.crosshair = _middle(volume)
        self.set_overlay(self.overlay.all_shown())
        changed = (self.volume_changed, self.result_changed, self.scene_changed)
        for signal in (*changed, self.crosshair_changed, self.dirty_changed):
            signal.emit()

    def set_result(self, result: Result, device: str) -> None:
        """Show a segmentation of the open volume; `device` is the choice it was made with.

        It is unsaved unless its mask is empty. The same result once more stays as saved or unsaved as it was.
        """
        if self.result is None or not _same(self.result, result):
            self.dirty = bool(result.mask.any())
        self.result, self.device_of_result = result, device
        self.result_changed.emit()
        self.dirty_changed.emit()

    def set_scene(self, scene: Scene) -> None:
        """Show the 3-D objects of the result. The first ones of a CT move the crosshair, unless the user has."""
        first, self.scene = self.scene is None, scene
        self.scene_changed.emit()
        if first and scene.focus is not None and self.volume is not None and self.crosshair == _middle(self.volume):
            self.set_crosshair(scene.focus)

    def mark_saved(self) -> None:
        """Remember that the result was exported."""
        self.dirty = False
        self.dirty_changed.emit()

    def set_crosshair(self, voxel: Voxel) -> None:
        """Move the crosshair, clamped into the volume."""
        if self.volume is None:
            return
        inside = [min(max(int(v), 0), n - 1) for v, n in zip(voxel, self.volume.shape, strict=True)]
        moved = (inside[0], inside[1], inside[2])
        if moved != self.crosshair:
            self.crosshair = moved
            self.crosshair_changed.emit()

    def step(self, axis: int, by: int) -> None:
        """Move the crosshair `by` slices along a voxel axis."""
        voxel = list(self.crosshair)
        voxel[axis] += by
        self.set_crosshair((voxel[0], voxel[1], voxel[2]))

    def set_window(self, width: float, level: float) -> None:
        """Set window width and level in HU."""
        changed = (float(min(max(width, 1.0), 8000.0)), float(min(max(level, -2000.0), 6000.0)))
        if changed != self.window:
            self.window = changed
            self.window_changed.emit()

    def set_overlay(self, overlay: Overlay) -> None:
        """Change how the mask is drawn."""
        if overlay != self.overlay:
            self.overlay = overlay
            self.overlay_changed.emit()

    def toggle_overlay(self) -> None:
        """Hide or show the mask."""
        self.set_overlay(replace(self.overlay, shown=not self.overlay.shown))

    def set_display(self, **changes: Any) -> None:
        """Change how the views are arranged, e.g. `set_display(radiological=False)`."""
        display = replace(self.display, **changes)
        if display != self.display:
            self.display = display
            self.display_changed.emit()

    def set_settings(self, settings: Settings) -> None:
        """Change what the next segmentation, or the next quick update of this one, is made with."""
        if settings != self.settings:
            self.settings = settings
            self.settings_changed.emit()

    def set_device(self, device: str) -> None:
        """Choose "auto", "cpu" or "cuda" for the next segmentation."""
        if device != self.device:
            self.device = device
            self.settings_changed.emit()

    @property
    def needs_network(self) -> bool:
        """Whether the settings have changed in a way that needs the networks again."""
        if self.result is None:
            return False
        changed = self.settings.network_part != self.result.settings.network_part
        return changed or self.device != self.device_of_result

    @property
    def quick_update(self) -> Settings | None:
        """Settings that bring the result's clusters and fill up to date without a network; None if nothing is to do.

        What the networks depend on stays as the result has it. A result of another method than the one that is set
        stays as it is: only the Segment button replaces it.
        """
        if self.result is None or self.settings.method != self.result.settings.method:
            return None
        wanted = self.settings.with_network_part_of(self.result.settings)
        return None if wanted == self.result.settings else wanted


def _same(one: Result, other: Result) -> bool:
    """Whether two results of one CT would be exported alike."""
    return one.settings == other.settings and (one.mask is other.mask or np.array_equal(one.mask, other.mask))


def _middle(volume: Volume) -> Voxel:
    x, y, z = volume.shape
    return x // 2, y // 2, z // 2
