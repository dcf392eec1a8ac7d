"""The settings of a segmentation, explained for radiologists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QSlider, QSpinBox, QWidget

from kidneyseg.settings import PRESET_NAMES, ClusterSettings, CountClusterSettings, min_samples_of, preset
from kidneyseg_gui.case import Case
from kidneyseg_gui.panels.section import Section
from kidneyseg_gui.widgets import grid, hint, row, tool_button

_Spin = TypeVar("_Spin", QSpinBox, QDoubleSpinBox)

PRESET_TEXTS = {
    "default": ("Default", "Best accuracy. Check CTs without contrast agent with care: kidneys may be missed."),
    "paper": (
        "Paper",
        "The published method: the brightest 10 % of the image in three bands. "
        "For comparison: hardly finds tumours, and is weak where kidneys enhance little.",
    ),
}
CELL_MM = 2.0  # the grid of the bundled stage 2 network, before a result shows the grid
_DEVICES = (("auto", "Automatic"), ("cpu", "Processor"), ("cuda", "Graphics card (CUDA)"))
_FILLS = (("closing", "Closing"), ("hull", "Convex hull"))
_HINTS = {
    "preset": "Which networks are used, and the values that the settings below start from.\n"
    "Another preset needs a new segmentation.",
    "kept": "How much of the image the first network sees: the brightest share, in percent.\n"
    "Lower is faster; too low loses kidneys with little contrast.\nA change needs a new segmentation.",
    "eps": "DBSCAN: points nearer than this belong together.\n"
    "Smaller separates neighbours and removes more stray points; larger joins fragments.\nUpdates the mask at once.",
    "share": "DBSCAN: a point counts when this share of the ball around it, of radius eps, is filled with points;\n"
    "isolated points are removed as outliers. Beside it, the number of points that this means.\n"
    "Updates the mask at once.",
    "samples": "DBSCAN: a point needs this many neighbours to count; isolated points are removed as outliers.\n"
    "Auto takes a twentieth of all points, as the published method does.\nUpdates the mask at once.",
    "fill": "How points become a solid mask.\nClosing follows the points and closes small gaps; "
    "convex hull draws the tightest outer contour on every slice.\nUpdates the mask at once.",
    "closing": "Gaps up to about twice this radius are closed; 0 closes none.\nUpdates the mask at once.",
    "device": "Where the networks run. Automatic takes a CUDA graphics card, if there is one,\n"
    "from the second CT on: starting it takes longer than one CT.\n"
    "A change needs a new segmentation.",
}


class ParametersPanel(Section):
    """Shows and sets the case's settings."""

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__("Parameters", parent)
        self._case = case
        self._make_fields()
        reset = tool_button("reset", "Back to the preset's values")
        reset.clicked.connect(lambda: case.set_settings(preset(case.settings.method)))
        self.heading.addWidget(reset)
        self._lay_out()
        self._connect()
        case.settings_changed.connect(self._show)
        case.result_changed.connect(self._show)
        self._show()

    def offer_cuda(self, available: bool) -> None:
        """Let the user choose the graphics card, or say why not and give up an earlier choice of it."""
        self._set_cuda(available, "" if available else "No CUDA graphics card was found on this computer.")
        if not available and self._case.device == "cuda":
            self._case.set_device("auto")

    def _set_cuda(self, available: bool, reason: str) -> None:
        at = self.device.findData("cuda")
        model = self.device.model()
        assert isinstance(model, QStandardItemModel)  # what a QComboBox makes for itself
        model.item(at).setEnabled(available)
        self.device.setItemData(at, reason, Qt.ItemDataRole.ToolTipRole)

    def _make_fields(self) -> None:
        self.preset = _choice([(name, PRESET_TEXTS.get(name, (name, ""))[0]) for name in PRESET_NAMES])
        self.about = hint()
        self.kept_slider = QSlider(Qt.Orientation.Horizontal)
        self.kept_slider.setRange(1, 100)
        self.kept = _number(QSpinBox(), 1, 100, " %")
        self.eps = _millimetres(0.5, 100)
        self.share = _number(QSpinBox(), 1, 100, " %")
        self.share_points = hint()
        self.samples = _number(QSpinBox(), 1, 1_000_000)
        self.samples.setValue(100)
        self.auto = QCheckBox("Auto")
        self.fill = _choice(_FILLS)
        self.closing = _millimetres(0, 20)
        self.device = _choice(_DEVICES)
        self._set_cuda(False, "Looking for a graphics card…")

    def _lay_out(self) -> None:
        table = grid(spacing=(10, 7))
        table.setColumnStretch(1, 1)
        self._rows: dict[str, list[QWidget]] = {}
        rows: tuple[tuple[str, str, list[QWidget]], ...] = (
            ("preset", "Preset", [self.preset]),
            ("kept", "Kept intensity", [self.kept_slider, self.kept]),
            ("eps", "DBSCAN eps", [self.eps]),
            ("share", "Core share", [self.share, self.share_points]),
            ("samples", "Min samples", [self.samples, self.auto]),
            ("fill", "Fill", [self.fill]),
            ("closing", "Closing radius", [self.closing]),
            ("device", "Device", [self.device]),
        )
        for number, (name, text, fields) in enumerate(rows):
            label = QLabel(text)
            label.setBuddy(fields[-1])
            line = row(spacing=8)
            for field in fields:
                line.addWidget(field, 1 if field is fields[0] else 0)
            self._rows[name] = [label, *fields]
            for widget in self._rows[name]:
                widget.setToolTip(_HINTS[name])
            at = number + (number > 0)
            table.addWidget(label, at, 0)
            table.addLayout(line, at, 1)
        table.addWidget(self.about, 1, 0, 1, 2)
        self.body.addLayout(table)

    def _connect(self) -> None:
        self.preset.activated.connect(lambda: self._case.set_settings(preset(self.preset.currentData())))
        self.kept_slider.valueChanged.connect(self.kept.setValue)
        self.kept.valueChanged.connect(lambda value: self._change(sampling={"kept_percent": float(value)}))
        self.eps.valueChanged.connect(lambda value: self._change(clusters={"eps_mm": value}))
        self.share.valueChanged.connect(lambda value: self._change(clusters={"core_share": value / 100}))
        self.samples.valueChanged.connect(lambda value: self._change(clusters={"min_samples": value}))
        self.auto.toggled.connect(
            lambda auto: self._change(clusters={"min_samples": None if auto else self.samples.value()})
        )
        self.fill.activated.connect(lambda: self._change(fill={"algorithm": self.fill.currentData()}))
        self.closing.valueChanged.connect(lambda value: self._change(fill={"closing_mm": value}))
        self.device.activated.connect(lambda: self._case.set_device(self.device.currentData()))

    def _change(self, **groups: dict[str, object]) -> None:
        self._case.set_settings(self._case.settings.with_(**groups))

    def _show(self) -> None:
        blockers = [QSignalBlocker(field) for fields in self._rows.values() for field in fields]
        settings = self._case.settings
        self.preset.setCurrentIndex(self.preset.findData(settings.method))
        self.about.setText(PRESET_TEXTS.get(settings.method, ("", ""))[1])
        percent = round(settings.sampling.kept_percent)
        self.kept_slider.setValue(percent)
        self.kept.setValue(percent)
        self.eps.setValue(settings.clusters.eps_mm)
        self._show_min_samples(settings.clusters)
        self.fill.setCurrentIndex(self.fill.findData(settings.fill.algorithm))
        self.closing.setValue(settings.fill.closing_mm)
        self.closing.setEnabled(settings.fill.algorithm == "closing")
        self.device.setCurrentIndex(self.device.findData(self._case.device))
        del blockers

    def _show_min_samples(self, clusters: ClusterSettings | CountClusterSettings) -> None:
        result = self._case.result
        known = result is not None and result.settings.method == self._case.settings.method
        needed = min_samples_of(clusters, result.stage2.lattice.step_mm[0] if result is not None and known else CELL_MM)
        counted = isinstance(clusters, CountClusterSettings)
        for name, shown in (("share", not counted), ("samples", counted)):
            for widget in self._rows[name]:
                widget.setVisible(shown)
        if isinstance(clusters, CountClusterSettings):
            self.auto.setChecked(needed is None)
            self.samples.setEnabled(needed is not None)
            if needed is not None:
                self.samples.setValue(needed)
        else:
            self.share.setValue(round(clusters.core_share * 100))
            self.share_points.setText(f"{needed} points")


def _choice(items: Iterable[tuple[str, str]]) -> QComboBox:
    field = QComboBox()
    for value, text in items:
        field.addItem(text, value)
    return field


def _number(field: _Spin, lowest: float, highest: float, suffix: str = "") -> _Spin:
    """Set up a field that takes a typed number only once it is complete."""
    # A QSpinBox takes int and is given int; mypy cannot tell that from the union of both kinds of field.
    field.setRange(lowest, highest)  # type: ignore[arg-type]
    field.setSuffix(suffix)
    field.setKeyboardTracking(False)
    field.setMinimumWidth(84)
    field.lineEdit().setTextMargins(5, 0, 0, 0)
    return field


def _millimetres(lowest: float, highest: float) -> QDoubleSpinBox:
    field = _number(QDoubleSpinBox(), lowest, highest, " mm")
    field.setDecimals(1)
    field.setSingleStep(0.5)
    return field
