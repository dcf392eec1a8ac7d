"""The dialog that lists the CT series of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, QSizeF, Qt
from PySide6.QtGui import QIcon, QImage, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from kidneyseg_gui.outcomes import FoundStudy
from kidneyseg_gui.widgets import column, hint, named

if TYPE_CHECKING:
    from kidneyseg.imaging.dicom.series import Series

_COLUMNS = ("Series", "Description", "Slices", "Spacing", "Phase")
_PICTURE = 88
_PHASES = {
    "noncontrast": "without contrast",
    "arterial": "arterial",
    "portal": "portal venous",
    "nephrographic": "nephrographic",
    "excretory": "excretory",
}


class SeriesPicker(QDialog):
    """Lists the series with a picture each; the proposed one is chosen at first. Enter or a double click opens it."""

    def __init__(self, found: FoundStudy, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Choose a CT series")
        self._series = found.study.series
        whole = column(self, spacing=10, margins=(16, 14, 16, 14))
        whole.addWidget(QLabel(f"The study has {len(self._series)} CT series:"))
        self.table = _Table(found)
        self.table.cellDoubleClicked.connect(lambda *_: self.accept())
        whole.addWidget(self.table, 1)
        if found.study.left:
            whole.addWidget(hint(f"Not listed: {', '.join(found.study.left)}."))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        buttons.button(QDialogButtonBox.StandardButton.Open).setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        whole.addWidget(buttons)
        self.resize(820, min(190 + len(self._series) * (_PICTURE + 8), 640))
        self.table.setFocus()

    @property
    def chosen(self) -> str | None:
        """The id of the series that is selected."""
        row = self.table.currentRow()
        return self._series[row].id if 0 <= row < len(self._series) else None


class _Table(QTableWidget):
    def __init__(self, found: FoundStudy) -> None:
        series = found.study.series
        super().__init__(len(series), len(_COLUMNS))
        named(self, "series")
        self.setAccessibleName("CT series")
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_PICTURE + 8)
        self.setIconSize(QSize(_PICTURE, _PICTURE))
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        for row, one in enumerate(series):
            proposed = one is found.study.proposed
            for place, text in enumerate(_texts(one, proposed=proposed)):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if place == 0 and (picture := found.previews.get(one.id)) is not None:
                    item.setIcon(_icon(picture, one))
                self.setItem(row, place, item)
            if proposed:
                self.setCurrentCell(row, 0)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)


def _texts(one: Series, *, proposed: bool) -> tuple[str, str, str, str, str]:
    spacing = "unknown" if one.spacing_mm is None else " × ".join(f"{size:.2f}" for size in one.spacing_mm) + " mm"
    kinds = [*(["derived"] if one.derived else []), *([] if one.axial else ["not axial"])]
    about = " — ".join([one.description or "No description", *kinds, *(["proposed"] if proposed else [])])
    phase = "" if one.phase is None else _PHASES[one.phase]
    return one.id, about, f"{len(one.slices):,}", spacing, phase


def _icon(greys: NDArray[np.uint8], one: Series) -> QIcon:
    rows, columns = greys.shape
    image = QImage(np.ascontiguousarray(greys).data, columns, rows, columns, QImage.Format.Format_Grayscale8)
    across, down = (1.0, 1.0) if one.spacing_mm is None else one.spacing_mm[:2]
    size = QSizeF(columns * across, rows * down).scaled(_PICTURE, _PICTURE, Qt.AspectRatioMode.KeepAspectRatio)
    smooth = Qt.TransformationMode.SmoothTransformation
    shown = image.scaled(size.toSize().expandedTo(QSize(1, 1)), Qt.AspectRatioMode.IgnoreAspectRatio, smooth)
    return QIcon(QPixmap.fromImage(shown))
