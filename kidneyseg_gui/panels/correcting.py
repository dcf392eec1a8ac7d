"""The tools that correct the mask by hand, and their options."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QSignalBlocker, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QComboBox, QLabel, QSlider, QSpinBox, QToolButton, QWidget

from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg_gui.case import Case
from kidneyseg_gui.panels.section import Section
from kidneyseg_gui.tools import LARGEST_MM, NAMES, Tool
from kidneyseg_gui.widgets import hint, named, row, tool_button


@dataclass(frozen=True)
class ToolText:
    """A tool's icon is named like it.

    Attributes:
        name: in menus.
        key: that chooses it.
        hint: what the left button does with it.
    """

    name: str
    key: str
    hint: str


TOOLS: dict[Tool, ToolText] = {
    Tool.POINTER: ToolText("Pointer", "V", "Click moves the crosshair, a drag sets window and level."),
    Tool.CLICK: ToolText("Click to fix", "K", "Click on what is missed or wrong; further clicks refine it."),
    Tool.BRUSH: ToolText("Brush", "B", "Drag to paint. Ctrl + wheel, or [ and ], change the size."),
    Tool.ERASER: ToolText("Eraser", "E", "Drag to erase. Ctrl + wheel, or [ and ], change the size."),
    Tool.LASSO: ToolText("Lasso", "L", "Drag around an area to fill it, or click its corners and double-click."),
    Tool.THRESHOLD: ToolText("Threshold ball", "T", "Click to label the HU range inside the ball."),
    Tool.PIECE: ToolText("Piece", "P", "Click a connected piece to give it the label; Nothing deletes it."),
}
# What may be painted over.
_OVER: tuple[tuple[str, frozenset[int] | None], ...] = (
    ("everything", None),
    ("unlabelled voxels", frozenset({TISSUE})),
    ("kidney", frozenset({KIDNEY})),
    ("tumour", frozenset({TUMOUR})),
    ("cyst", frozenset({CYST})),
    ("any label", frozenset({KIDNEY, TUMOUR, CYST})),
)
_LABELS = (TUMOUR, KIDNEY, CYST, TISSUE)


class CorrectingPanel(Section):
    """Chooses the tool, its label and its options."""

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__("Correct", parent)
        self._case = case
        self.tools: dict[Tool, QToolButton] = {}
        self.labels: dict[int, QToolButton] = {}
        self._make_tools()
        self._make_labels()
        self._make_options()
        case.tool_changed.connect(self._show)
        case.overlay_changed.connect(self._show)
        self._show()

    def _make_tools(self) -> None:
        group = QButtonGroup(self)
        line = row(spacing=2)
        for tool, text in TOOLS.items():
            button = tool_button(tool.value, f"{text.name} ({text.key})\n{text.hint}", pixels=20)
            button.setCheckable(True)
            button.clicked.connect(lambda _checked=False, tool=tool: self._case.set_tool(tool=tool))
            group.addButton(button)
            line.addWidget(button)
            self.tools[tool] = button
        line.addStretch(1)
        self.body.addLayout(line)
        self.hint = hint()
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.hint.setMinimumHeight(2 * self.hint.fontMetrics().lineSpacing())  # so that nothing moves
        self.body.addWidget(self.hint)

    def _make_labels(self) -> None:
        self._label_row = QWidget()
        group = QButtonGroup(self)
        line = row(self._label_row, spacing=0)
        for label in _LABELS:
            button = named(QToolButton(), "segment")
            button.setText(NAMES[label])
            button.setToolTip(f"Label what you mark as {NAMES[label].lower()} (Shift + {label})")
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setIconSize(QSize(10, 10))
            button.setCheckable(True)
            button.clicked.connect(lambda _checked=False, label=label: self._case.set_tool(label=label))
            group.addButton(button)
            line.addWidget(button)
            self.labels[label] = button
        line.addStretch(1)
        self.body.addWidget(self._label_row)

    def _make_options(self) -> None:
        self.radius = QSlider(Qt.Orientation.Horizontal)
        self.radius.setRange(1, round(LARGEST_MM * 2))
        self.radius.valueChanged.connect(lambda value: self._case.set_tool(radius_mm=value / 2))
        self._millimetres = named(QLabel(), "hint")
        self.ball = QCheckBox("Ball")
        self.ball.setToolTip("Paint a ball through the neighbouring slices, too")
        self.ball.toggled.connect(lambda on: self._case.set_tool(ball=on))
        self._sizes = QWidget()
        line = row(self._sizes, spacing=8)
        line.addWidget(QLabel("Radius"))
        line.addWidget(self.radius, 1)
        line.addWidget(self._millimetres)
        line.addWidget(self.ball)
        self.body.addWidget(self._sizes)
        self.over = QComboBox()
        for text, over in _OVER:
            self.over.addItem(text, over)
        self.over.activated.connect(lambda index: self._case.set_tool(over=_OVER[index][1]))
        self.ranged = QCheckBox("Only")
        self.ranged.setToolTip("Paint only voxels whose HU lie in this range")
        self.low, self.high = QSpinBox(), QSpinBox()
        for box, value in ((self.low, 0), (self.high, 200)):
            box.setRange(-1024, 3071)
            box.setValue(value)
            box.valueChanged.connect(self._set_range)
        self.ranged.toggled.connect(self._set_range)
        self._bounds = QWidget()
        line = row(self._bounds, spacing=6)
        widgets: tuple[QWidget, ...] = (self.ranged, self.low, QLabel("to"), self.high, QLabel("HU"))
        for widget in widgets:
            line.addWidget(widget)
        line.addStretch(1)
        self._overs = QWidget()
        line = row(self._overs, spacing=8)
        line.addWidget(QLabel("Paint over"))
        line.addWidget(self.over, 1)
        self.body.addWidget(self._overs)
        self.body.addWidget(self._bounds)

    def _set_range(self) -> None:
        low, high = sorted((self.low.value(), self.high.value()))
        self._case.set_tool(hu_range=(low, high) if self.ranged.isChecked() else None)

    def _show(self) -> None:
        tool = self._case.tool
        fields = (self.radius, self.ball, self.over, self.ranged, self.low, self.high)
        blockers = [QSignalBlocker(field) for field in fields]
        self.tools[tool.tool].setChecked(True)
        self.labels[tool.label].setChecked(True)
        self.hint.setText(TOOLS[tool.tool].hint)
        self.radius.setValue(round(tool.radius_mm * 2))
        self._millimetres.setText(f"{tool.radius_mm:g} mm")
        self.ball.setChecked(tool.ball)
        self.over.setCurrentIndex([over for _text, over in _OVER].index(tool.over))
        self.ranged.setChecked(tool.hu_range is not None)
        if tool.hu_range is not None:
            self.low.setValue(tool.hu_range[0])
            self.high.setValue(tool.hu_range[1])
        del blockers
        bounded = tool.tool in (Tool.BRUSH, Tool.ERASER, Tool.LASSO, Tool.THRESHOLD)
        self._label_row.setVisible(tool.tool not in (Tool.POINTER, Tool.ERASER))
        self._sizes.setVisible(tool.sized)
        self.ball.setVisible(tool.tool != Tool.THRESHOLD)
        self._overs.setVisible(bounded)
        self._bounds.setVisible(bounded)
        for label in (TUMOUR, KIDNEY, CYST):
            pixmap = QPixmap(10, 10)
            pixmap.fill(QColor(*self._case.overlay.style(label).colour))
            self.labels[label].setIcon(QIcon(pixmap))
