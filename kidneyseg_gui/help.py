"""The list of shortcuts, the about box and the log folder."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QIcon
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFrame, QLabel, QLayout, QScrollArea, QWidget

from kidneyseg.version import __version__
from kidneyseg_gui.logs import log_folder
from kidneyseg_gui.panels.correcting import TOOLS
from kidneyseg_gui.slices import WINDOW_PRESETS
from kidneyseg_gui.theme import icon
from kidneyseg_gui.tools import NAMES
from kidneyseg_gui.views.cloud_view import SHOWN
from kidneyseg_gui.widgets import column, grid, named, row

_SHARE_OF_SCREEN, _BELOW = 0.9, 100  # pixels for the button, the margins and the window's frame
# Columns of blocks: title to keys to what they do.
_SHORTCUTS: tuple[dict[str, dict[str, str]], ...] = (
    {
        "Mouse over a slice": {
            "Click": "Move the crosshair there",
            "Left drag": "Window (sideways) and level (up, down)",
            "Shift + left drag": "Drag the crosshair",
            "Middle drag": "Pan",
            "Right drag, Ctrl + wheel": "Zoom",
            "Wheel": "Slices",
            "Double-click": "Fill the window with this view, and back",
        },
        "Keys over a slice": {
            "Arrow keys": "One slice",
            "Page Up, Page Down": "Ten slices",
            "Home, End": "First, last slice",
            "Space": "Hide or show the mask",
        },
        "3D view": {f"Ctrl + {number}": text for number, (_name, text, _hint) in enumerate(SHOWN, start=1)},
    },
    {
        "Everywhere": {
            "Ctrl + O": "Open a CT (or drop one on the window)",
            "Ctrl + D": "Open a folder with a DICOM study",
            "Ctrl + Return, F5": "Segment",
            "Esc": "Cancel",
            "Ctrl + S": "Export the mask",
            "Ctrl + Shift + O, S": "Load, save settings",
            "O": "Hide or show the mask",
            "F": "Filled, outlined or both",
            "N": "Points of the 3D view on the slices",
            "X": "Crosshair",
            "R": "Reset the views",
            "Alt + 1 … 5": "Four views, axial, coronal, sagittal, 3D",
            "F1, ?": "This list",
        },
        "Window and level": {
            **{str(n): f"{name} {width} / {level}" for n, (name, width, level) in enumerate(WINDOW_PRESETS, start=1)},
            "0": "The CT's own, where its DICOM states one",
        },
    },
    {
        "Correcting": {
            "Ctrl + Z": "Undo",
            "Ctrl + Shift + Z, Ctrl + Y": "Redo",
            **{text.key: text.name for text in TOOLS.values()},
            "[, ]": "Smaller, larger",
            "Ctrl + wheel": "Size of the tool",
            "Enter": "Close the lasso's polygon",
            **{f"Shift + {label}": f"Mark as {name.lower()}" for label, name in sorted(NAMES.items())},
            "Del": "Delete the piece under the mouse",
            "Right click": "Menu of the piece under the mouse",
            "Shift + left button": "Move the crosshair, whatever the tool",
            "C": "Where the networks are unsure",
            "Ctrl + M": "Open a mask over the CT",
            "D": "Compared masks: this, the other, the differences",
            "W": "Wipe between compared masks; drag the line",
        },
    },
)


def show_shortcuts(parent: QWidget) -> None:
    """Open the list of shortcuts."""
    columns = grid(spacing=(36, 18))
    for number, titles in enumerate(_SHORTCUTS):
        blocks = column(spacing=18)
        for title, rows in titles.items():
            blocks.addWidget(_block(title, rows))
        blocks.addStretch(1)
        columns.addLayout(blocks, 0, number)
    _show(parent, "Shortcuts", columns)


def _block(title: str, rows: dict[str, str]) -> QWidget:
    block = QWidget()
    table = grid(block, spacing=(16, 5))
    table.setColumnStretch(1, 1)
    table.addWidget(named(QLabel(title), "sectionTitle"), 0, 0, 1, 2)
    for number, (keys, what) in enumerate(rows.items(), start=1):
        table.addWidget(named(QLabel(keys), "keys"), number, 0, Qt.AlignmentFlag.AlignLeft)
        table.addWidget(QLabel(what), number, 1)
    return block


def show_about(parent: QWidget) -> None:
    """Open the about box."""
    picture = QLabel(pixmap=icon("kidneyseg").pixmap(QSize(72, 72)), alignment=Qt.AlignmentFlag.AlignTop)
    words = QLabel(
        f"<h3>KidneySeg {__version__}</h3>"
        "<p>Outlines kidneys and kidney tumours on CT by submanifold sparse convolution on point clouds.</p>"
        "<p><b>Research use only — not a medical device.</b><br>"
        "Do not base a diagnosis or a treatment on it.</p>"
        "<p>Nothing leaves this computer: the program does not use the network.<br>"
        f"The log is kept in {log_folder()}.</p>",
        wordWrap=True,
        textInteractionFlags=Qt.TextInteractionFlag.TextSelectableByMouse,
    )
    words.setMinimumWidth(420)
    line = row(spacing=20)
    line.addWidget(picture)
    line.addWidget(words)
    _show(parent, "About KidneySeg", line)


def _show(parent: QWidget, title: str, content: QLayout) -> None:
    """Open a dialog with a Close button under its content, which scrolls on a small screen."""
    inside = QWidget()
    inside.setLayout(content)
    scroll = QScrollArea(widgetResizable=True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setWidget(inside)
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.button(QDialogButtonBox.StandardButton.Close).setIcon(QIcon())  # the style's own is black on black
    buttons.rejected.connect(dialog.reject)
    whole = column(dialog, spacing=14, margins=(22, 18, 22, 16))
    whole.addWidget(scroll)
    whole.addWidget(buttons)
    room, wanted = parent.screen().availableSize() * _SHARE_OF_SCREEN, inside.sizeHint()
    scroll.setMinimumSize(min(wanted.width() + 12, room.width()), min(wanted.height(), room.height() - _BELOW))
    dialog.open()


def open_log_folder() -> None:
    """Show the log's folder in the file manager."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_folder())))
