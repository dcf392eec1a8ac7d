"""The open case: the only state of the window. Views listen to its signals and change it through its methods."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from kidneyseg.settings import Settings, preset
from kidneyseg_gui.comparing import Compare
from kidneyseg_gui.display import Display, Overlay
from kidneyseg_gui.edits import Edits, Origin
from kidneyseg_gui.slices import Voxel
from kidneyseg_gui.tools import LARGEST_MM, SMALLEST_MM, ToolOptions

if TYPE_CHECKING:  # these import what the first paint does not wait for
    from kidneyseg.editing.change import Change, Voxels
    from kidneyseg.findings import Findings
    from kidneyseg.imaging.volume import Volume
    from kidneyseg.segmentation.export import FileStamp
    from kidneyseg.segmentation.provenance import Provenance
    from kidneyseg_gui.protocols import Result
    from kidneyseg_gui.scene import Scene

Compute = Callable[["Volume", NDArray[np.uint8]], "Voxels"]
Finish = Callable[[str, "Voxels"], bool]


class Case(QObject):
    """One CT with its mask, and how both are being looked at.

    Signals:
        mask_changed: the box that changed, or None for all of the mask.
        result_changed: other labels lie below the hand-made ones.
        findings_changed: the mask was measured, or there is none.
        edit_requested: name of an edit, what computes it in a working thread, and what makes a step of it.
        click_requested: voxel and label of a click to fix.
        The others say what changed by their names.
    """

    volume_changed = Signal()
    mask_changed = Signal(object)
    result_changed = Signal()
    findings_changed = Signal()
    scene_changed = Signal()
    crosshair_changed = Signal()
    window_changed = Signal()
    overlay_changed = Signal()
    display_changed = Signal()
    settings_changed = Signal()
    dirty_changed = Signal()
    tool_changed = Signal()
    compare_changed = Signal()
    edit_requested = Signal(str, object, object)
    click_requested = Signal(object, int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.volume: Volume | None = None
        self.findings: Findings | None = None
        self.scene: Scene | None = None
        self.crosshair: Voxel = (0, 0, 0)
        self.window: tuple[float, float] = (350.0, 40.0)
        self.overlay = Overlay()
        self.display = Display()
        self.settings: Settings = preset("default")
        self.device = "auto"
        self.tool = ToolOptions()
        self.compare: Compare | None = None
        self.saved: FileStamp | None = None  # the file that the mask was saved to or opened from
        self.pointed: Voxel | None = None  # under the mouse
        self.edits = Edits(self)
        self.edits.changed.connect(self.mask_changed)
        self.edits.origin_changed.connect(self._on_origin)
        self.edits.steps_changed.connect(self.dirty_changed)

    @property
    def result(self) -> Result | None:
        """The networks' result below the hand-made voxels; its own mask is empty, see `mask`."""
        return self.edits.origin.result

    @property
    def device_of_result(self) -> str:
        """The choice that the result was made with."""
        return self.edits.origin.device

    @property
    def mask(self) -> NDArray[np.uint8] | None:
        """The labels (X, Y, Z) to draw and export, or None before a segmentation or an edit."""
        mask = self.edits.mask
        if mask is None or not (mask.version or any(mask.count.values()) or self.result is not None):
            return None
        return mask.labels

    @property
    def dirty(self) -> bool:
        """Whether the mask has changed since it was saved."""
        mask = self.edits.mask  # one that was emptied by hand is work, too
        something = mask is not None and (any(mask.count.values()) or any(mask.by_hand.values()))
        return something and not self.edits.stack.isClean()

    def open(self, volume: Volume) -> None:
        """Show another CT, without a mask. Window, overlay and display stay; what was hidden is shown."""
        self.volume, self.findings, self.scene, self.saved = volume, None, None, None
        self.crosshair = _middle(volume)
        self.set_overlay(self.overlay.all_shown())
        self.edits.start(volume.shape)
        self.set_compare(None)
        changed = (self.volume_changed, self.findings_changed, self.scene_changed)
        for signal in (*changed, self.crosshair_changed, self.dirty_changed):
            signal.emit()

    def set_result(
        self,
        result: Result,
        device: str,
        change: Change | None = None,
        provenance: Provenance | None = None,
        name: str = "Segment",
    ) -> None:
        """Lay a segmentation of the open volume under what was made by hand.

        Args:
            result: of the networks.
            device: the choice it was made with.
            change: `EditedMask.replaced` for the result's mask and the present state, where that is known already.
            provenance: of the result.
            name: of the step on the undo stack.
        """
        if self.edits.mask is not None:
            known = self.edits.mask.replaced(result.mask) if change is None else change  # an empty change is false
            self.set_origin(name, Origin(result, device, provenance, result.settings), known)

    def set_origin(self, name: str, origin: Origin, change: Change) -> None:
        """Lay new labels under what was made by hand, as a step named `name` that can be undone."""
        result = origin.result
        same = self.result is not None and result is not None and self.result.settings == result.settings
        if len(change) or not same:
            self.edits.push(name, change, origin)
        else:
            self.edits.set_origin(origin, again=False)
        if result is not None and not self.edits.by_hand:
            self.set_findings(result.findings)

    def set_findings(self, findings: Findings | None) -> None:
        """Show what was measured on the mask."""
        self.findings = findings
        self.findings_changed.emit()

    def set_scene(self, scene: Scene) -> None:
        """Show the 3-D objects of the mask. The first ones of a CT move the crosshair, unless the user has."""
        first, self.scene = self.scene is None, scene
        self.scene_changed.emit()
        if first and scene.focus is not None and self.volume is not None and self.crosshair == _middle(self.volume):
            self.set_crosshair(scene.focus)

    def set_compare(self, compare: Compare | None) -> None:
        """Show another mask of the CT beside this one; None ends that."""
        if compare is not self.compare:
            self.compare = compare
            self.compare_changed.emit()

    def show_next_compared(self, *, wipe: bool = False) -> None:
        """Show this mask, the other one, or the differences, in turn; or the wipe, and then the differences again."""
        if self.compare is not None:
            shown = self.compare.wiped if wipe else self.compare.following
            self.set_compare(replace(self.compare, shown=shown))

    def mark_saved(self) -> None:
        """Remember that the mask was saved as it is."""
        self.edits.stack.setClean()

    def set_saved(self, stamp: FileStamp | None, *, clean: bool) -> None:
        """Remember the file that the mask was saved to or opened from; with `clean` it holds the mask as it is."""
        self.saved = stamp
        if clean:
            self.mark_saved()
        self.dirty_changed.emit()

    def set_tool(self, **changes: Any) -> None:
        """Choose a tool for the mask or change its options, e.g. `set_tool(radius_mm=6.0)`."""
        tool = replace(self.tool, **changes)
        if tool != self.tool:
            self.tool = tool
            self.tool_changed.emit()

    def resize_tool(self, factor: float) -> None:
        """Make the tool larger or smaller, within its bounds."""
        self.set_tool(radius_mm=min(max(round(self.tool.radius_mm * factor, 1), SMALLEST_MM), LARGEST_MM))

    def request_edit(self, name: str, compute: Compute, finish: Finish | None = None) -> None:
        """Edit the mask by a function of the CT and its labels, which runs in a working thread.

        Args:
            name: of the step.
            compute: gives the Voxels that change. The labels are a copy, which it may change. Where the mask is edited
                meanwhile, it is called again.
            finish: makes a step of them, in the window's thread; `Edits.paint` if None.
        """
        if self.volume is not None:
            self.edit_requested.emit(name, compute, finish or self.edits.paint)

    @property
    def step_mm(self) -> float:
        """By how much a label is grown, shrunk or smoothed: 1 mm, or a voxel of the slice where that is larger."""
        return 1.0 if self.volume is None else max(1.0, math.ceil(10 * sorted(self.volume.spacing_mm)[1]) / 10)

    def request_click(self, voxel: Voxel, label: int) -> None:
        """Fix the mask around a voxel, where `label` is right."""
        if self.volume is not None:
            self.click_requested.emit(voxel, label)

    def _on_origin(self, again: bool) -> None:
        settings = self.edits.origin.settings
        if again and settings is not None:
            self.set_settings(settings)  # the panel shows what made the mask
        self.result_changed.emit()

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


def _middle(volume: Volume) -> Voxel:
    return volume.shape[0] // 2, volume.shape[1] // 2, volume.shape[2] // 2
