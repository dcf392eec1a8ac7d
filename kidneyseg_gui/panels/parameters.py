"""What a segmentation is made with, explained in a radiologist's words."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QSpinBox,
    QToolButton,
    QWidget,
)

from kidneyseg.settings import PRESET_NAMES, CountClusterSettings, Settings, min_samples_of, preset
from kidneyseg_gui.case import Case
from kidneyseg_gui.panels.section import Section
from kidneyseg_gui.theme import icon

PRESET_TEXTS = {
    "default": ("Default", "Best accuracy. Check CTs without contrast agent with care: kidneys may be missed."),
    "paper": (
        "Paper",
        "The published method: the brightest 10 % of the image in three bands. "
        "For comparison; weak where kidneys enhance little.",
    ),
}
_CELL_MM = 2.0  # of the default method's stage 2
_DEVICES = (("auto", "Automatic"), ("cpu", "Processor"), ("cuda", "Graphics card (CUDA)"))
_FILLS = (("closing", "Closing"), ("hull", "Convex hull"))
_HINTS = {
    "preset": "Which networks are used, and the values the settings below start from.",
    "kept": "How much of the patient the first network looks at: the brightest share, in percent.\n"
    "Lower is faster; too low loses kidneys with little contrast.\nA change needs a new segmentation.",
    "eps": "DBSCAN: points nearer than this belong together.\n"
    "Smaller separates neighbours and drops more stray points; larger joins fragments.\nUpdates the mask at once.",
    "samples": "DBSCAN: a point needs this many neighbours to count; lone points are dropped as outliers.\n"
    "Auto takes a twentieth of all points, as the published method does.\nUpdates the mask at once.",
    "fill": "How points become a solid mask.\nClosing follows the points and closes small gaps; "
    "convex hull draws the tightest outer contour on every slice.\nUpdates the mask at once.",
    "closing": "Gaps up to about twice this radius are closed; 0 leaves the points as they are.\n"
    "Updates the mask at once.",
    "device": "Where the networks run. Automatic takes a CUDA graphics card when there is one.\n"
    "A change needs a new segmentation.",
}


class ParametersPanel(Section):
    """Shows the case's settings and writes every change back to it."""

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__("Parameters", parent)
        self._case = case
        self._make_fields()
        reset = QToolButton(objectName="paneButton", icon=icon("reset"), autoRaise=True)
        reset.setToolTip("Back to the preset's values")
        reset.clicked.connect(lambda: case.set_settings(preset(case.settings.method)))
        self.heading.addWidget(reset)
        self._lay_out()
        self._connect()
        case.settings_changed.connect(self._show)
        self._show()

    def _make_fields(self) -> None:
        self.preset = QComboBox()
        for name in PRESET_NAMES:
            self.preset.addItem(PRESET_TEXTS.get(name, (name, ""))[0], name)
        self.about = QLabel(objectName="hint", wordWrap=True)
        self.kept_slider = QSlider(Qt.Orientation.Horizontal, minimum=1, maximum=100)
        self.kept = QSpinBox(minimum=1, maximum=100, suffix=" %", keyboardTracking=False)
        self.eps = QDoubleSpinBox(
            minimum=0.5, maximum=100, singleStep=0.5, decimals=1, suffix=" mm", keyboardTracking=False
        )
        self.samples = QSpinBox(minimum=1, maximum=1_000_000, keyboardTracking=False)
        self.auto = QCheckBox("Auto")
        self.fill = QComboBox()
        for value, text in _FILLS:
            self.fill.addItem(text, value)
        self.closing = QDoubleSpinBox(
            minimum=0, maximum=20, singleStep=0.5, decimals=1, suffix=" mm", keyboardTracking=False
        )
        self.device = QComboBox()
        for value, text in _DEVICES:
            self.device.addItem(text, value)
        for field in (self.kept, self.eps, self.samples, self.closing):
            field.setMinimumWidth(84)
            field.lineEdit().setTextMargins(5, 0, 0, 0)

    def _lay_out(self) -> None:
        grid = QGridLayout(horizontalSpacing=10, verticalSpacing=7)
        grid.setColumnStretch(1, 1)
        rows = (
            ("preset", "Preset", [self.preset]),
            ("kept", "Kept intensity", [self.kept_slider, self.kept]),
            ("eps", "DBSCAN eps", [self.eps]),
            ("samples", "Min samples", [self.samples, self.auto]),
            ("fill", "Fill", [self.fill]),
            ("closing", "Closing radius", [self.closing]),
            ("device", "Device", [self.device]),
        )
        for row, (name, text, fields) in enumerate(rows):
            label = QLabel(text)
            label.setBuddy(fields[-1])
            line = QHBoxLayout(spacing=8)
            for number, field in enumerate(fields):
                line.addWidget(field, 1 if number == 0 else 0)
            for widget in (label, *fields):
                widget.setToolTip(_HINTS[name])
            at = row + (row > 0)
            grid.addWidget(label, at, 0)
            grid.addLayout(line, at, 1)
        grid.addWidget(self.about, 1, 0, 1, 2)
        self.body.addLayout(grid)

    def _connect(self) -> None:
        self.preset.activated.connect(lambda: self._case.set_settings(preset(self.preset.currentData())))
        self.kept_slider.valueChanged.connect(self.kept.setValue)
        self.kept.valueChanged.connect(lambda value: self._change(sampling={"kept_percent": float(value)}))
        self.eps.valueChanged.connect(lambda value: self._change(clusters={"eps_mm": value}))
        self.samples.valueChanged.connect(lambda value: self._change(clusters={"min_samples": value}))
        self.auto.toggled.connect(self._on_auto)
        self.fill.activated.connect(lambda: self._change(fill={"algorithm": self.fill.currentData()}))
        self.closing.valueChanged.connect(lambda value: self._change(fill={"closing_mm": value}))
        self.device.activated.connect(lambda: self._case.set_device(self.device.currentData()))

    def _on_auto(self, auto: bool) -> None:
        self._change(clusters={"min_samples": None if auto else self.samples.value()})

    def _change(self, **rooms: dict[str, object]) -> None:
        self._case.set_settings(self._case.settings.with_(**rooms))

    def _show(self) -> None:
        fields = (self.preset, self.kept_slider, self.kept, self.eps, self.samples, self.auto, self.fill, self.closing)
        blockers = [QSignalBlocker(field) for field in (*fields, self.device)]
        settings: Settings = self._case.settings
        self.preset.setCurrentIndex(self.preset.findData(settings.method))
        self.about.setText(PRESET_TEXTS.get(settings.method, ("", ""))[1])
        percent = round(settings.sampling.kept_percent)
        self.kept_slider.setValue(percent)
        self.kept.setValue(percent)
        self.eps.setValue(settings.clusters.eps_mm)
        counts = isinstance(settings.clusters, CountClusterSettings)
        needed = min_samples_of(settings.clusters, _CELL_MM)
        self.auto.setEnabled(counts)
        self.auto.setChecked(needed is None)
        self.samples.setEnabled(counts and needed is not None)
        if needed is not None:
            self.samples.setValue(needed)
        self.fill.setCurrentIndex(self.fill.findData(settings.fill.algorithm))
        self.closing.setValue(settings.fill.closing_mm)
        self.closing.setEnabled(settings.fill.algorithm == "closing")
        self.device.setCurrentIndex(self.device.findData(self._case.device))
        del blockers
