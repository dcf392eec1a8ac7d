"""What was last written of the mask, to be dragged into other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QMimeData, QPointF, QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QDrag, QMouseEvent
from PySide6.QtWidgets import QApplication, QToolButton

from kidneyseg_gui.case import Case
from kidneyseg_gui.theme import icon
from kidneyseg_gui.widgets import named, shortened

_CURRENT = "Drag it into another program; a click shows it in its folder."
_STALE = "The mask has changed since this was written. Save it again (Ctrl+S) to drag it."


class WrittenFiles(QToolButton):
    """Names the files that hold the open mask; drags them, or shows them in their folder.

    It is hidden while nothing was written, and can be used as long as the files hold the mask as it is.
    """

    def __init__(self, case: Case) -> None:
        super().__init__()
        named(self, "writtenFiles")
        self._case = case
        self._paths: tuple[Path, ...] = ()
        self._version = -1
        self._pressed: QPointF | None = None
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIcon(icon("file"))
        self.setIconSize(QSize(12, 12))
        self.clicked.connect(self._show_in_folder)
        case.volume_changed.connect(lambda: self.offer((), -1))
        case.mask_changed.connect(lambda _change: self._refresh())
        case.dirty_changed.connect(self._refresh)
        self._refresh()

    def offer(self, paths: Sequence[Path], version: int) -> None:
        """Name files, the first of them, that hold this version of the mask; none hides the button."""
        self._paths, self._version = tuple(path.absolute() for path in paths), version
        self._refresh()

    def mime_data(self) -> QMimeData:
        """What a drag carries: those of the files that are still there."""
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in self._paths if path.exists()])
        return data

    def _refresh(self) -> None:
        mask = self._case.edits.mask
        self.setVisible(bool(self._paths))
        if not self._paths:
            return
        more = f" and {len(self._paths) - 1} more" if len(self._paths) > 1 else ""
        self.setText(shortened(self._paths[0].name) + more)
        current = mask is not None and mask.version == self._version
        self.setEnabled(current)
        self.setToolTip("\n".join((*map(str, self._paths), _CURRENT if current else _STALE)))
        self.setCursor(Qt.CursorShape.OpenHandCursor if current else Qt.CursorShape.ArrowCursor)

    def _show_in_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._paths[0].parent)))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a click or a drag."""
        self._pressed = event.position() if event.button() == Qt.MouseButton.LeftButton else None
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the files; other programs copy them."""
        if self._pressed is None:  # pressed with another button, or dragged already: a drag is no click
            return
        if (event.position() - self._pressed).manhattanLength() < QApplication.startDragDistance():
            super().mouseMoveEvent(event)
            return
        self._pressed = None
        self.setDown(False)
        data = self.mime_data()
        if data.urls():
            drag = QDrag(self)
            drag.setMimeData(data)
            drag.setPixmap(self.grab())
            drag.exec(Qt.DropAction.CopyAction)
