"""The image of one slice: grey values blended with the overlay, and outlines as lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QRectF
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QTransform

from kidneyseg.arrays import Box
from kidneyseg_gui.case import Case
from kidneyseg_gui.comparing import DIFFERENCE_COLOURS, Shown
from kidneyseg_gui.slice_points import TISSUE_POINT
from kidneyseg_gui.slices import Colour, Plane, blend, blend_heat, grey_image, grey_table, outline

_TISSUE_POINTS: Colour = (72, 190, 176)  # no label's, and unlike the CT's grey
_POINTS_OPACITY = 0.8


class Picture:
    """Makes a slice's QImage at native size, and keeps it until slice, window or overlay change."""

    def __init__(self, case: Case, plane: Plane, *, other: bool = False) -> None:
        """With `other` it is a picture of the mask that the case's one is compared with."""
        self._case, self._plane, self._other = case, plane, other
        self._image = QImage()
        self._pixels: NDArray[np.uint32] | None = None
        self._outlines: dict[int, tuple[NDArray[np.bool_], list[QLineF]]] = {}
        self._outlined: list[int] = []
        self._table: NDArray[np.uint32] | None = None
        self._index = -1
        case.window_changed.connect(self._forget_table)
        for signal in (
            case.volume_changed,
            case.overlay_changed,
            case.display_changed,
            case.scene_changed,
            case.compare_changed,
        ):
            signal.connect(self._forget_picture)
        case.mask_changed.connect(self._on_mask)

    def _forget_table(self) -> None:
        self._table = self._pixels = None

    def _forget_picture(self) -> None:
        self._pixels = None

    def _on_mask(self, box: Box | None) -> None:
        side = None if box is None else box[self._plane.normal]
        if side is None or side.start <= self._index < side.stop:
            self._pixels = None

    def image(self) -> QImage:
        """The current slice as RGB32; columns and rows grow with the voxel index."""
        case = self._case
        index = case.crosshair[self._plane.normal]
        if case.volume is None or (self._pixels is not None and index == self._index):
            return self._image
        self._index = index
        if self._table is None:
            self._table = grey_table(*case.window)
        pixels = grey_image(self._plane.slice_of(case.volume.hu, self._index), self._table)
        self._outlined = []
        if case.overlay.shown:
            self._draw_masks(pixels)
        if case.display.points and not self._other:
            self._draw_points(pixels)
        if case.display.uncertainty and case.scene is not None and case.scene.uncertainty is not None:
            unsure = case.scene.uncertainty.on_slice(
                self._plane.normal, self._index, case.volume.shape, case.volume.spacing_mm
            )
            blend_heat(pixels, unsure.T)
        rows, columns = pixels.shape
        self._image = QImage(pixels.data, columns, rows, columns * 4, QImage.Format.Format_RGB32)
        self._pixels = pixels  # QImage borrows this memory
        return self._image

    def _draw_masks(self, pixels: NDArray[np.uint32]) -> None:
        """Draw the mask, and with another one beside it that or the differences."""
        case, compare = self._case, self._case.compare
        differences = compare is not None and compare.shown == Shown.DIFFERENCE
        other = compare is not None and (self._other or compare.shown == Shown.OTHER)
        mask = compare.labels if compare is not None and other else case.mask
        if mask is not None:
            labels = np.ascontiguousarray(self._plane.slice_of(mask, self._index))
            self._lay_over(pixels, labels, outlined=case.overlay.outlined and not differences)  # they lie at the border
        if compare is not None and differences:
            difference = self._plane.slice_of(compare.comparison.difference, self._index)
            blend(pixels, np.ascontiguousarray(difference), DIFFERENCE_COLOURS, 0.75)

    def _draw_points(self, pixels: NDArray[np.uint32]) -> None:
        """Draw the networks' points, whether or not the mask is hidden."""
        volume, scene, display = self._case.volume, self._case.scene, self._case.display
        points = None if scene is None else scene.points.get(display.cloud_on_slices)
        if volume is not None and points is not None:
            shown = {label: style.colour for label, style in self._case.overlay.labels if style.visible}
            found = np.ascontiguousarray(points.on_slice(self._plane.normal, self._index, volume).T)
            blend(pixels, found, shown | {TISSUE_POINT: _TISSUE_POINTS}, _POINTS_OPACITY)

    def _lay_over(self, pixels: NDArray[np.uint32], labels: NDArray[np.uint8], *, outlined: bool) -> None:
        overlay = self._case.overlay
        shown = {label: style.colour for label, style in overlay.labels if style.visible}
        if overlay.filled and not self._case.display.points:  # the points would not be seen in it
            blend(pixels, labels, shown, overlay.opacity)
        if outlined:
            for label in shown:
                self._outline(label, labels == label)

    def _outline(self, label: int, inside: NDArray[np.bool_]) -> None:
        """Keep the lines around a label. Those of a label that has not changed, as in a stroke, are used again."""
        self._outlined.append(label)
        if label not in self._outlines or not np.array_equal(self._outlines[label][0], inside):
            self._outlines[label] = inside, [QLineF(*piece) for piece in outline(inside).tolist()]

    def draw(self, painter: QPainter, to_widget: QTransform) -> None:
        """Draw the slice, and the labels' outlines equally thin at any zoom."""
        image = self.image()
        painter.setTransform(to_widget)
        painter.drawImage(QRectF(0, 0, image.width(), image.height()), image)
        painter.resetTransform()
        self._draw_outlines(painter, to_widget)

    def _draw_outlines(self, painter: QPainter, to_widget: QTransform) -> None:
        if not self._outlined:
            return
        painter.save()
        painter.setTransform(to_widget)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for label in self._outlined:
            pen = QPen(QColor(*self._case.overlay.style(label).colour), 1.6)
            pen.setCosmetic(True)
            painter.setPen(pen)
            painter.drawLines(self._outlines[label][1])
        painter.restore()
