"""Draws the 3-D pane with PyVista, in a canvas. Import it in a thread: that takes a second."""

from __future__ import annotations

import numpy as np
import pyvista
from numpy.typing import NDArray
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget
from vtkmodules.vtkRenderingAnnotation import vtkAnnotatedCubeActor
from vtkmodules.vtkRenderingCore import vtkRenderer

from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg_gui.deck import Sheet
from kidneyseg_gui.scene import Dots, Scene
from kidneyseg_gui.slices import Colour
from kidneyseg_gui.views.annotations import PLANE_COLOURS
from kidneyseg_gui.views.camera import distance_to_fit, outgrown
from kidneyseg_gui.views.canvases import Canvas

# The most points per frame: llvmpipe draws 100,000 in 90 ms, and the window stalls while a frame is drawn.
_MOVING, _AT_REST = 300_000, 1_000_000
_MOVING_SOFTWARE, _AT_REST_SOFTWARE = 50_000, 100_000
_POINT_SIZE = {TISSUE: 2.0, KIDNEY: 4.0, TUMOUR: 5.0, CYST: 5.0}
_WHOLE = ("deck", "sampled")  # what fills the box; the rest is of the kidneys
_FRONT, _SLANTED = (
    (0.0, 1.0, 0.0),
    (0.3, 1.0, 0.62),
)  # where the camera is; the slices would be seen edge-on from the front
_OPACITY = {TISSUE: 0.16, KIDNEY: 1.0, TUMOUR: 1.0, CYST: 1.0}
_VEIL = 0.2  # opacity of kidney points where there is a lesion
_DARKEST = 0.45  # share of the colour that points of the lowest HU get
_SURFACE_OPACITY = {KIDNEY: 0.5, TUMOUR: 1.0, CYST: 0.9}
_NEARER = (-1.0, -60.0)  # of a surface's depth: its slope, and steps of the depth buffer
_ARM_MM = 22.0
_COMPASS = 76  # pixels
_BOX_COLOUR, _TOP, _BOTTOM = "#46525f", "#2a323c", "#0d0f12"
_PLAIN = {"render": False, "reset_camera": False, "show_scalar_bar": False}


class PyVistaCloud:
    """A `CloudBackend`: points and surfaces in a canvas."""

    def __init__(self, canvas: Canvas, *, software: bool) -> None:
        self._canvas, self._software = canvas, software
        self._plotter = canvas.plotter
        self.widget: QWidget = canvas.widget
        self._size: tuple[float, float, float] | None = None
        self._shown: tuple[Scene | None, str] = (None, "")
        self._deck: tuple[Sheet, ...] = ()
        self._fitted_mm = np.full(3, np.inf)  # the size of what the camera was fitted to
        self._dense: list[pyvista.Actor] = []
        self._light: list[pyvista.Actor] = []
        self._plotter.render_window.SetMultiSamples(0 if software else 8)
        self._plotter.set_background(_BOTTOM, top=_TOP)
        self._plotter.add_light(pyvista.Light(light_type="headlight"))
        self._plotter.camera.is_set = True  # or PyVista chooses a view itself at the first frame
        self._box = self._add_lines(pyvista.Box((0, 1, 0, 1, 0, 1)).outline(), QColor(_BOX_COLOUR), 1.0)
        self._marks = [self._add_arm(axis, name) for axis, name in enumerate(("Sagittal", "Coronal", "Axial"))]
        self._compass = self._add_compass()
        self._plotter.renderer.AddObserver("StartEvent", lambda _renderer, _event: self._before_drawing())

    # Box, crosshair and compass

    def _add_lines(self, mesh: pyvista.PolyData, colour: QColor, width: float) -> pyvista.Actor:
        actor: pyvista.Actor = self._plotter.add_mesh(
            mesh, color=colour.name(), line_width=width, lighting=False, **_PLAIN
        )
        actor.visibility = False
        return actor

    def _add_arm(self, axis: int, plane: str) -> pyvista.Actor:
        end = np.eye(3)[axis] * _ARM_MM
        return self._add_lines(pyvista.Line(-end, end), PLANE_COLOURS[plane], 2.0)

    def _add_compass(self) -> vtkRenderer:
        """A cube in the corner with the patient's directions on its faces."""
        cube = vtkAnnotatedCubeActor()
        for face, text in zip(("XPlus", "XMinus", "YPlus", "YMinus", "ZPlus", "ZMinus"), "RLAPSI", strict=True):
            getattr(cube, f"Set{face}FaceText")(text)
            getattr(cube, f"Get{face}FaceProperty")().SetColor(0.92, 0.94, 0.97)
        cube.SetXFaceTextRotation(0)
        cube.SetYFaceTextRotation(0)
        cube.SetZFaceTextRotation(90)
        cube.SetFaceTextScale(0.6)
        cube.GetCubeProperty().SetColor(0.27, 0.33, 0.40)
        cube.SetTextEdgesVisibility(False)
        corner = vtkRenderer()
        corner.InteractiveOff()
        corner.AddActor(cube)
        window = self._plotter.render_window
        corner.SetLayer(window.GetNumberOfLayers())
        window.SetNumberOfLayers(window.GetNumberOfLayers() + 1)
        window.AddRenderer(corner)
        return corner

    def _before_drawing(self) -> None:
        """Turn the compass with the camera; show fewer points while it moves."""
        pixels = _COMPASS * self.widget.devicePixelRatioF()
        width, height = self._plotter.render_window.GetSize()
        self._compass.SetViewport(0, 0, min(pixels / max(width, 1), 1), min(pixels / max(height, 1), 1))
        camera, compass = self._plotter.renderer.GetActiveCamera(), self._compass.GetActiveCamera()
        compass.SetFocalPoint(0, 0, 0)
        compass.SetPosition(*(-4.2 * d for d in camera.GetDirectionOfProjection()))
        compass.SetViewUp(*camera.GetViewUp())
        self._compass.ResetCameraClippingRange()
        for actor in {*self._dense, *self._light}:
            actor.visibility = actor in (self._light if self._canvas.moving else self._dense)
        self._plotter.renderer.ResetCameraClippingRange()

    # CloudBackend

    def set_box(self, size_mm: tuple[float, float, float]) -> None:
        """Draw the volume's box and look at it from the front."""
        self._size = self._box.scale = size_mm
        self._box.visibility = True
        self.reset_camera()

    def show_deck(self, sheets: tuple[Sheet, ...]) -> None:
        """Draw slices where they lie."""
        if sheets is not self._deck:
            self._clear()
            self._deck = sheets
            self._dense = self._light = [self._add_sheet(sheet) for sheet in sheets]
            before, self._shown = self._shown, (None, "deck")
            if before[1] != "deck":
                self.reset_camera()
        self._canvas.redraw()

    def _clear(self) -> None:
        for actor in {*self._dense, *self._light}:
            self._plotter.remove_actor(actor, reset_camera=False, render=False)
        self._dense, self._light, self._deck = [], [], ()

    def _add_sheet(self, sheet: Sheet) -> pyvista.Actor:
        corner, across, up = sheet.origin_mm, sheet.first_row_mm, sheet.first_column_mm
        mesh = pyvista.PolyData(np.array([corner, corner + across, corner + across + up, corner + up]), [4, 0, 1, 2, 3])
        mesh.active_texture_coordinates = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
        texture = pyvista.Texture(np.ascontiguousarray(sheet.pixels[::-1]))  # type: ignore[no-untyped-call]  # PyVista's
        texture.InterpolateOn()
        actor: pyvista.Actor = self._plotter.add_mesh(mesh, texture=texture, lighting=False, **_PLAIN)
        actor.ForceOpaqueOn()  # with holes where the texture is transparent, in any order of the sheets
        return actor

    def show_scene(self, scene: Scene | None, shown: str, colours: dict[int, Colour]) -> None:
        """Draw `shown` of the scene in these colours."""
        self._clear()
        if scene is not None and shown == "surface":
            self._add_surfaces(scene, colours)
        elif scene is not None:
            self._add_points(scene.clouds.get(shown, {}), colours)
        before, self._shown = self._shown, (scene, shown)
        kinds = [(one[1] in _WHOLE, one[1] == "deck") for one in (before, self._shown)]
        other = (scene is None) != (before[0] is None) or kinds[0] != kinds[1]
        low, high = self._bounds()
        if other or (self._dense and outgrown(self._fitted_mm, high - low)):
            self.reset_camera()
        self._canvas.redraw()

    def _add_surfaces(self, scene: Scene, colours: dict[int, Colour]) -> None:
        surfaces = scene.surfaces_of(colours)
        for label in (TUMOUR, CYST, KIDNEY):
            if label in surfaces:
                actor = self._plotter.add_mesh(
                    surfaces[label],
                    color=colours[label],
                    opacity=_SURFACE_OPACITY[label] if len(surfaces) > 1 else 1.0,
                    specular=0.25,
                    specular_power=18,
                    ambient=0.12,
                    culling="back",  # one layer of a translucent kidney over the tumour, whatever the order
                    **_PLAIN,
                )
                actor.prop.interpolation = "Gouraud"  # by the normals of the surface
                if label != KIDNEY:
                    # Where both surfaces coincide, the kidney's would show through in stripes.
                    actor.mapper.SetResolveCoincidentTopologyToPolygonOffset()
                    actor.mapper.SetRelativeCoincidentTopologyPolygonOffsetParameters(*_NEARER)
                self._dense.append(actor)
                self._light.append(actor)

    def _add_points(self, cloud: dict[int, Dots], colours: dict[int, Colour]) -> None:
        veiled = any(label in cloud and label in colours for label in (TUMOUR, CYST))
        at_rest, moving = (_AT_REST_SOFTWARE, _MOVING_SOFTWARE) if self._software else (_AT_REST, _MOVING)
        for actors, left in ((self._dense, at_rest), (self._light, moving)):
            for label in (TUMOUR, CYST, KIDNEY, TISSUE):  # tissue is thinned out before kidneys and lesions are
                if label in cloud and label in colours and left:
                    dots = cloud[label].first(left)
                    left -= len(dots)  # noqa: PLW2901 - the budget is used up label by label
                    actors.append(self._add_dots(dots, label, colours[label], veiled=veiled))

    def _add_dots(self, dots: Dots, label: int, colour: Colour, *, veiled: bool) -> pyvista.Actor:
        shade = _DARKEST + (1 - _DARKEST) * dots.brightness[:, None]
        points = pyvista.PolyData(dots.points)
        points.point_data["colour"] = (shade * np.array(colour, np.float32)).astype(np.uint8)
        actor: pyvista.Actor = self._plotter.add_mesh(
            points,
            scalars="colour",
            rgb=True,
            point_size=_POINT_SIZE[label],
            opacity=_VEIL if label == KIDNEY and veiled else _OPACITY[label],
            lighting=False,
            **_PLAIN,
        )
        return actor

    def set_crosshair(self, at_mm: tuple[float, float, float] | None) -> None:
        """Move the crosshair."""
        for mark in self._marks:
            mark.visibility = at_mm is not None
            if at_mm is not None:
                mark.position = at_mm
        self._canvas.redraw()

    def reset_camera(self) -> None:
        """Look from the front at the result, from above at a deck, or at the whole box where there is neither."""
        if self._dense or self._size is not None:
            self._look_at(*self._bounds())
        self._canvas.redraw()

    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The lowest and the highest corner of the result, or of the whole box where there is none."""
        found = np.array([actor.GetBounds() for actor in self._dense])
        if len(found):
            return found[:, ::2].min(axis=0), found[:, 1::2].max(axis=0)
        return np.zeros(3), np.array(self._size or (0.0, 0.0, 0.0))

    def _look_at(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
        """Look at a box, so near that it just fits into the view."""
        camera = self._plotter.renderer.GetActiveCamera()
        towards = _SLANTED if self._deck else _FRONT
        self._fitted_mm, centre = high - low, (low + high) / 2
        aspect = self.widget.width() / max(self.widget.height(), 1)
        distance = distance_to_fit(self._fitted_mm, camera.GetViewAngle(), aspect, towards)
        camera.SetFocalPoint(*centre)
        camera.SetPosition(*(centre + distance * np.array(towards) / np.linalg.norm(towards)))
        camera.SetViewUp(0, 0, 1)

    def close(self) -> None:
        """Release the graphics."""
        self._plotter.renderer.RemoveAllObservers()
        self._canvas.finish()
