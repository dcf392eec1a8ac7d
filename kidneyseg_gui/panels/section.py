"""A titled block of the side panel."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget


class Section(QFrame):
    """A heading, with room for a button beside it, over a body."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("section")
        self.heading = QHBoxLayout()
        self.heading.addWidget(QLabel(title, objectName="sectionTitle"))
        self.heading.addStretch(1)
        self.body = QVBoxLayout(spacing=7)
        whole = QVBoxLayout(self, spacing=8)
        whole.setContentsMargins(14, 10, 14, 12)
        whole.addLayout(self.heading)
        whole.addLayout(self.body)
