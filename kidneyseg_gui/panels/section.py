"""A titled block of the side panel."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QLabel, QWidget

from kidneyseg_gui.widgets import column, named, row


class Section(QFrame):
    """A heading, with a place for a button beside it, over a body."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("section")
        self.heading = row(spacing=6)
        self.heading.addWidget(named(QLabel(title), "sectionTitle"))
        self.heading.addStretch(1)
        self.body = column(spacing=7)
        whole = column(self, spacing=8, margins=(14, 10, 14, 12))
        whole.addLayout(self.heading)
        whole.addLayout(self.body)
