"""The findings: kidney volumes, and tumours and cysts with side, volume and longest diameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStackedWidget, QTableWidget, QTableWidgetItem, QWidget

from kidneyseg_gui.case import Case
from kidneyseg_gui.panels.section import Section
from kidneyseg_gui.slices import Voxel
from kidneyseg_gui.widgets import hint, tool_button, volume_text

if TYPE_CHECKING:
    from kidneyseg.findings import Confidence, CystFinding, TumourFinding

_COLUMNS = {
    "": "",
    "Side": "",
    "mL": "Volume",
    "mm": "Longest diameter",
    "Sure": "How sure it is that this is a tumour; ? where it is doubtful",
}
_ROW_PIXELS, _ROWS = 26, 4  # two kidneys and two tumours; more rows scroll
_DOUBTFUL = 0.5  # a tumour of lower probability is marked
_DOUBTFUL_COLOUR = QColor("#e0b45c")


class _Row(NamedTuple):
    """Texts of the columns, where a click goes, and the confidence in a tumour."""

    texts: tuple[str, str, str, str, str]
    centre: Voxel
    confidence: Confidence | None = None


class FindingsPanel(Section):
    """A table of the findings. A click on a row moves the crosshair there, a right click opens the menu of its piece.

    Signals:
        menu_requested: the voxel of a row, and where on the screen.
    """

    menu_requested = Signal(object, object)

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__("Findings", parent)
        self._case = case
        self.copy = tool_button("copy", "Copy the table, for a report or a spreadsheet")
        self.copy.clicked.connect(self.copy_table)
        self.heading.addWidget(self.copy)
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(_ROW_PIXELS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setShowGrid(False)
        self.table.horizontalHeader().setHighlightSections(False)
        for column, (title, meaning) in enumerate(_COLUMNS.items()):
            item = QTableWidgetItem(title)
            item.setToolTip(meaning)
            item.setTextAlignment(_alignment(column))
            self.table.setHorizontalHeaderItem(column, item)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.table.itemClicked.connect(self._on_click)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._on_menu)
        self.empty = hint()
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.table)
        self._pages.addWidget(self.empty)
        # Always as high as most tables, so that a result does not move the fields below under the mouse.
        header = self.table.horizontalHeader().sizeHint().height()
        self._pages.setFixedHeight(header + _ROW_PIXELS * _ROWS + 4)
        self.body.addWidget(self._pages)
        case.findings_changed.connect(self._show)
        case.result_changed.connect(self._show)
        self._show()

    def copy_table(self) -> None:
        """Copy the table to the clipboard as tab-separated text."""
        QGuiApplication.clipboard().setText("\n".join("\t".join(row.texts) for row in self._rows()))

    def _rows(self) -> list[_Row]:
        findings = self._case.findings
        if findings is None:
            return []
        rows = [_Row(("Kidney", _side(one.side), volume_text(one.ml), "", ""), one.centre) for one in findings.kidneys]
        rows += [_lesion("Tumour", one, one.confidence) for one in findings.tumours]
        rows += [_lesion("Cyst", one) for one in findings.cysts]
        return rows

    def _show(self) -> None:
        rows = self._rows()
        self.table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, (title, text) in enumerate(zip(_COLUMNS, row.texts, strict=True)):
                item = QTableWidgetItem(text.removesuffix(f" {title}"))
                item.setData(Qt.ItemDataRole.UserRole, row.centre)
                item.setTextAlignment(_alignment(column))
                item.setToolTip("Click to go there" + _explained(row.confidence))
                if row.confidence is not None and row.confidence.probability < _DOUBTFUL:
                    item.setForeground(_DOUBTFUL_COLOUR)
                self.table.setItem(number, column, item)
        self._pages.setCurrentWidget(self.table if rows else self.empty)
        self.copy.setEnabled(bool(rows))
        if self._case.mask is None:
            self.empty.setText("Nothing segmented yet.")
        else:
            measured = self._case.findings is not None
            self.empty.setText("The mask holds no kidney." if measured else "Measuring the mask…")

    def _on_click(self, item: QTableWidgetItem) -> None:
        centre = item.data(Qt.ItemDataRole.UserRole)
        if centre is not None:
            self._case.set_crosshair(centre)

    def _on_menu(self, at: QPoint) -> None:
        item = self.table.itemAt(at)
        if item is not None and item.data(Qt.ItemDataRole.UserRole) is not None:
            self._on_click(item)
            self.menu_requested.emit(item.data(Qt.ItemDataRole.UserRole), self.table.viewport().mapToGlobal(at))


def _alignment(column: int) -> Qt.AlignmentFlag:
    """Words to the left, numbers to the right."""
    side = Qt.AlignmentFlag.AlignLeft if column < 2 else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter


def _lesion(name: str, one: TumourFinding | CystFinding, confidence: Confidence | None = None) -> _Row:
    texts = (name, _side(one.side), volume_text(one.ml), f"{one.longest_mm:.0f} mm", _sure(confidence))
    return _Row(texts, one.centre, confidence)


def _sure(confidence: Confidence | None) -> str:
    """How sure it is, in whole percent; marked where it is doubtful."""
    if confidence is None:
        return ""
    return f"{100 * confidence.probability:.0f} %" + "?" * (confidence.probability < _DOUBTFUL)


def _explained(confidence: Confidence | None) -> str:
    """The confidence as further lines of a tooltip."""
    if confidence is None:
        return ""
    doubtful = "\nDoubtful: look at it before you count it." * (confidence.probability < _DOUBTFUL)
    return (
        f"\n{100 * confidence.probability:.0f} % sure that this is a tumour. "
        f"Expected agreement of its outline with the true one (Dice): {confidence.dice:.2f}.{doubtful}"
    )


def _side(side: str | None) -> str:
    return "Unknown" if side is None else side.capitalize()
