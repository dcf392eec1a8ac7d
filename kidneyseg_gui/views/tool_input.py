"""Turns the mouse over a slice into edits of the mask, by the tool in use."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence, QMouseEvent, QPainter, QPen, QPolygonF, QTransform

from kidneyseg import editing
from kidneyseg.editing import brush, lasso
from kidneyseg_gui.case import Case
from kidneyseg_gui.slices import Plane, Voxel
from kidneyseg_gui.tools import NAMES, STROKES, Tool

_HALO = QColor(0, 0, 0, 170)
_CORNER = 2.5  # pixels
_MOST_IN_CLICK = 3  # positions of the mouse; more are a drag


class ToolInput:
    """The edits of one plane. Positions are slice coordinates (column, row): pixel i covers i...i+1."""

    def __init__(self, case: Case, plane: Plane) -> None:
        self._case, self._plane = case, plane
        self._path: list[QPointF] = []
        self._corners: list[QPointF] = []  # of a polygon that is clicked with the lasso
        self._stroke = brush.Stroke()
        self._slice = 0  # that path and corners lie on
        self._tool = case.tool.tool

    @property
    def active(self) -> bool:
        """Whether the left button edits the mask."""
        return self._case.tool.tool != Tool.POINTER and self._case.volume is not None

    @property
    def drawing(self) -> bool:
        """Whether a gesture has begun and not ended."""
        return bool(self._path)

    def begins_with(self, event: QMouseEvent) -> bool:
        """Whether this press begins an edit; with Shift the left button moves the crosshair, whatever the tool."""
        shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        return self.active and event.button() == Qt.MouseButton.LeftButton and not shift

    def press(self, at: QPointF) -> None:
        """Begin a gesture."""
        if not self._on_slice:
            self._corners, self._slice = [], self._index
        self._path, self._stroke = [at], brush.Stroke()
        overlay, label = self._case.overlay, self._case.tool.painted_label
        self._case.set_overlay(replace(overlay, shown=True).with_label(label, visible=True))  # nobody paints unseen
        if self._case.tool.tool in STROKES:
            self._paint([at])

    def move(self, at: QPointF) -> None:
        """Go on with it."""
        last = self._path[-1]
        self._path.append(at)
        if self._case.tool.tool in STROKES:
            self._paint([last, at])

    def release(self) -> None:
        """End it, as one step that can be undone. A lasso is given up where another slice is shown by now."""
        path, self._path = self._path, []
        tool, case = self._case.tool, self._case
        if tool.tool in STROKES:
            case.edits.finish_stroke("Erase" if tool.tool == Tool.ERASER else f"Paint {NAMES[tool.label].lower()}")
        elif tool.tool == Tool.LASSO:
            if len(path) > _MOST_IN_CLICK:
                self._corners = []
                if self._on_slice:
                    self._fill(path)
            elif self._on_slice:
                self._corners.append(path[-1])
        elif (voxel := self._voxel(path[-1])) is not None:
            self._click(voxel)

    def close_polygon(self) -> None:
        """Fill the polygon whose corners were clicked, if its slice is shown."""
        if not self._on_slice:
            return
        corners, self._corners = self._corners, []
        if len(corners) > 2:
            self._fill(corners)

    def takes_back(self, event: QKeyEvent) -> bool:
        """Whether a key takes the last corner of a polygon back, and not the last edit."""
        return event.matches(QKeySequence.StandardKey.Undo) and bool(self._corners) and self._on_slice

    def key(self, event: QKeyEvent) -> bool:
        """Close a polygon, take its last corner back, or give the gesture up. Returns whether the key did that."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.close_polygon()
            return True
        if self.takes_back(event):
            self._corners.pop()
            return True
        return event.key() == Qt.Key.Key_Escape and self.cancel()

    def cancel(self) -> bool:
        """Give the gesture up; a stroke keeps what it has painted. Returns whether there was one."""
        had = bool(self._corners or self._path)
        self._corners = []
        if self._path:
            self._path = []
            self._case.edits.finish_stroke()
        return had

    def take_options(self) -> bool:
        """Follow the case's tool: another one ends the gesture, another size or label does not.

        Returns:
            whether a gesture was ended.
        """
        before, self._tool = self._tool, self._case.tool.tool
        return before != self._tool and self.cancel()

    @property
    def _index(self) -> int:
        return self._case.crosshair[self._plane.normal]

    @property
    def _on_slice(self) -> bool:
        """Whether the slice that the gesture began on is shown."""
        return self._index == self._slice

    def draw(self, painter: QPainter, to_widget: QTransform, pointer: QPointF | None, pixels_per_mm: float) -> None:
        """Draw the tool's outline: a circle of its size at the pointer, and the lasso's path."""
        tool = self._case.tool
        colour = QColor(*self._case.overlay.style(tool.label).colour) if tool.painted_label else QColor(235, 235, 235)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(_HALO, 3.0), QPen(colour, 1.4)):
            painter.setPen(pen)
            if tool.tool == Tool.LASSO and self._on_slice:
                self._draw_lasso(painter, to_widget, pointer)
            elif tool.sized and pointer is not None:
                radius = tool.radius_mm * pixels_per_mm
                painter.drawEllipse(pointer, radius, radius)

    def _draw_lasso(self, painter: QPainter, to_widget: QTransform, pointer: QPointF | None) -> None:
        corners = to_widget.map(QPolygonF(self._corners)).toList()
        path = to_widget.map(QPolygonF(self._path)).toList()
        if corners and not path and pointer is not None:
            path = [pointer]  # where the next corner would be
        painter.drawPolyline([*corners, *path])
        for corner in corners:
            painter.drawEllipse(corner, _CORNER, _CORNER)

    def _paint(self, path: list[QPointF]) -> None:
        case, tool = self._case, self._case.tool
        if case.volume is None or case.edits.mask is None:
            return
        how = brush.Brush(
            tool.painted_label,
            tool.radius_mm,
            None if tool.ball else self._plane.normal,
            tool.hu_range,
            self._over,
        )
        points = np.array([self._coordinates(at) for at in path])
        case.edits.stroke(self._stroke.part(case.volume, case.edits.mask, how, points))

    def _fill(self, path: list[QPointF]) -> None:
        case, tool = self._case, self._case.tool
        if case.volume is None or case.edits.mask is None:
            return
        outline = np.array([(at.x() - 0.5, at.y() - 0.5) for at in path])
        if self._plane.column > self._plane.row:
            outline = outline[:, ::-1]
        voxels = lasso.fill_polygon(
            case.volume,
            case.edits.mask.labels,
            self._plane.normal,
            self._slice,
            outline,
            tool.label,
            over=self._over,
            hu_range=tool.hu_range,
        )
        case.edits.paint(f"Fill with {NAMES[tool.label].lower()}", voxels)

    def _click(self, voxel: Voxel) -> None:
        case, tool = self._case, self._case.tool
        if tool.tool == Tool.PIECE:
            name = f"Piece to {NAMES[tool.label].lower()}" if tool.label else "Delete piece"
            case.request_edit(name, partial(editing.relabel_piece, voxel=voxel, label=tool.label))
        elif tool.tool == Tool.THRESHOLD:
            ball = partial(brush.threshold_ball, centre=voxel, radius_mm=tool.radius_mm, label=tool.label)
            hu_range = tool.hu_range or self._window_range()
            case.request_edit(
                f"Threshold to {NAMES[tool.label].lower()}", partial(ball, hu_range=hu_range, over=self._over)
            )
        elif tool.tool == Tool.CLICK:
            case.request_click(voxel, tool.label)

    @property
    def _over(self) -> frozenset[int] | None:
        """The labels that may be painted over. What is hidden is not erased."""
        tool, drawn = self._case.tool, self._case.overlay.drawn
        if tool.painted_label:
            return tool.over
        return drawn if tool.over is None else drawn & tool.over

    def _window_range(self) -> tuple[int, int]:
        """The window, as a range of HU."""
        width, level = self._case.window
        return round(level - width / 2), round(level + width / 2)

    def _coordinates(self, at: QPointF) -> NDArray[np.float64]:
        """Voxel coordinates of a position; a voxel's centre has its index."""
        found = np.array(self._case.crosshair, float)
        found[self._plane.column], found[self._plane.row] = at.x() - 0.5, at.y() - 0.5
        return found

    def _voxel(self, at: QPointF) -> Voxel | None:
        """The voxel at a position, None outside the CT."""
        volume = self._case.volume
        x, y, z = np.rint(self._coordinates(at)).astype(int).tolist()
        if volume is None or not all(0 <= v < n for v, n in zip((x, y, z), volume.shape, strict=True)):
            return None
        return x, y, z
