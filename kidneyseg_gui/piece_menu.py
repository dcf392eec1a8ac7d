"""What can be done in one click with the connected piece at a voxel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QMenu, QWidget

from kidneyseg import editing
from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg_gui.case import Case, Compute
from kidneyseg_gui.slices import Voxel
from kidneyseg_gui.tools import NAMES, Tool


def show_piece_menu(case: Case, voxel: Voxel | None, at: QPoint, parent: QWidget) -> QMenu | None:
    """Open the menu of the piece at a voxel, or of what may be missing there. Returns it; None outside the CT."""
    if voxel is None or case.edits.mask is None:
        return None
    menu = QMenu(parent)
    for text, do in _entries(case, voxel):
        if text:
            menu.addAction(text).triggered.connect(lambda _checked=False, do=do: do())
        else:
            menu.addSeparator()
    menu.aboutToHide.connect(menu.deleteLater)
    menu.popup(at)
    return menu


def delete_piece(case: Case, voxel: Voxel | None) -> None:
    """Delete the connected piece at a voxel, if one is shown there."""
    mask = case.edits.mask
    if voxel is not None and mask is not None and int(mask.labels[voxel]) in case.overlay.drawn:
        name = NAMES[int(mask.labels[voxel])].lower()
        case.request_edit(f"Delete {name}", partial(editing.relabel_piece, voxel=voxel, label=TISSUE))


def _entries(case: Case, voxel: Voxel) -> list[tuple[str, Callable[[], object]]]:
    """Text and function of each entry; no text is a line."""
    mask = case.edits.mask
    label = TISSUE if mask is None else int(mask.labels[voxel])
    line = ("", lambda: None)
    if label == TISSUE:
        return [
            (f"There is {'an' if name[0] in 'aeiou' else 'a'} {name} here", partial(_click, case, voxel, chosen))
            for chosen, name in ((TUMOUR, "unmarked tumour"), (KIDNEY, "unmarked kidney"), (CYST, "unmarked cyst"))
        ]
    name, mm = NAMES[label].lower(), case.step_mm

    def edit(text: str, compute: Compute) -> tuple[str, Callable[[], object]]:
        return text, partial(case.request_edit, text, compute)

    return [
        edit(f"Delete this {name}", partial(editing.relabel_piece, voxel=voxel, label=TISSUE)),
        edit(f"Keep only this {name}", partial(editing.keep_only_piece, voxel=voxel)),
        *(
            edit(f"Make it {NAMES[other].lower()}", partial(editing.relabel_piece, voxel=voxel, label=other))
            for other in (KIDNEY, TUMOUR, CYST)
            if other != label
        ),
        line,
        edit("Fill its holes", partial(editing.fill_holes, label=label, where=voxel)),
        edit("Smooth it", partial(editing.smooth, label=label, mm=mm, voxel=voxel)),
        edit(f"Grow it by {mm:g} mm", partial(editing.grow, label=label, mm=mm, voxel=voxel)),
        edit(f"Shrink it by {mm:g} mm", partial(editing.grow, label=label, mm=-mm, voxel=voxel)),
        line,
        (f"This is not {name} (click to fix)", partial(_click, case, voxel, KIDNEY if label != KIDNEY else TISSUE)),
    ]


def _click(case: Case, voxel: Voxel, label: int) -> None:
    case.set_tool(tool=Tool.CLICK, label=label)
    case.request_click(voxel, label)
