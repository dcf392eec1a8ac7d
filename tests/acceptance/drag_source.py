"""A small window that a test drags a file out of, as out of a file manager: `drag_source.py FILE`.

It prints the action that the target answered with.
"""

from __future__ import annotations

import sys

from PySide6.QtCore import QMimeData, Qt, QTimer, QUrl
from PySide6.QtGui import QDrag, QMouseEvent
from PySide6.QtWidgets import QApplication, QLabel


class Source(QLabel):
    def mousePressEvent(self, _event: QMouseEvent) -> None:
        drag, mime = QDrag(self), QMimeData()
        mime.setUrls([QUrl.fromLocalFile(sys.argv[1])])
        drag.setMimeData(mime)
        actions = Qt.DropAction.MoveAction | Qt.DropAction.CopyAction | Qt.DropAction.LinkAction
        print(drag.exec(actions, Qt.DropAction.MoveAction).name, flush=True)


if __name__ == "__main__":
    application = QApplication([])
    source = Source("drag me")
    source.setWindowFlag(Qt.WindowType.FramelessWindowHint)
    source.setGeometry(10, 10, 80, 40)
    source.show()
    print("ready", flush=True)
    QTimer.singleShot(120_000, application.quit)
    application.exec()
