"""The 3-D pane's backend on VTK (pyvistaqt). Import it in a thread: it takes seconds."""

from __future__ import annotations

import numpy as np
import pyvista as pv
from kidneyseg.points.cloud import KIDNEY, TISSUE, TUMOUR
from numpy.typing import NDArray
from PySide6.QtGui import QOffscreenSurface, QOpenGLContext
from PySide6.QtWidgets import QWidget
from pyvistaqt import QtInteractor
from vtkmodules.vtkRenderingAnnotation import vtkAnnotatedCubeActor

from kidneyseg_gui.case import Colour
from kidneyseg_gui.scene import Scene

# Points per frame. llvmpipe draws 100 000 in some 90 ms, and a frame that takes longer is a window that stalls.
_MOVING, _AT_REST = 300_000, 1_000_000
_MOVING_SOFTWARE, _AT_REST_SOFTWARE = 50_000, 100_000
_POINT_SIZE = {TISSUE: 2.0, KIDNEY: 4.0, TUMOUR: 5.0}
_OPACITY = {TISSUE: 0.16, KIDNEY: 1.0, TUMOUR: 1.0}
_SURFACE_OPACITY = {KIDNEY: 0.45, TUMOUR: 1.0}
_LINES = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_LINE_COLOURS = ("#e8c854", "#6ec46c", "#e25c54")
_GL_RENDERER = 0x1F01
_SOFTWARE = ("llvmpipe", "softpipe", "swr")


class _Interactor(QtInteractor):
    """Draws once per frame. pyvistaqt draws on every wish for a new frame, and again when Qt paints it."""

    def __init__(self, parent: QWidget | None, samples: int) -> None:
        self._painting = False
        super().__init__(parent, auto_update=False, multi_samples=samples)
        self.setAcceptDrops(False)  # the window takes files, not pyvista's readers
        interactor = self.render_window.GetInteractor()
        interactor.EnableRenderOff()
        interactor.AddObserver("RenderEvent", lambda _interactor, _event: None if self._painting else self.update())

    def paintGL(self) -> None:
        """Draw the scene into Qt's frame."""
        interactor = self.render_window.GetInteractor()
        self._painting = True
        interactor.EnableRenderOn()
        super().paintGL()
        interactor.EnableRenderOff()
        self._painting = False


class VtkCloud:
    """Points and surfaces in a pyvistaqt interactor; see `CloudBackend`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        software = any(name in _renderer() for name in _SOFTWARE)
        self._at_rest = _AT_REST_SOFTWARE if software else _AT_REST
        self._moving = _MOVING_SOFTWARE if software else _MOVING
        self.widget = self._plotter = _Interactor(parent, samples=1 if software else 4)
        self._plotter.set_background("#0c0e11", top="#232a33")
        self._plotter.enable_trackball_style()
        self._size: tuple[float, float, float] | None = None
        self._drawn: tuple[Scene | None, str] = (None, "")
        self._marks = [self._line(axis, colour) for axis, colour in zip(_LINES, _LINE_COLOURS, strict=True)]
        self._dense: list[pv.Actor] = []
        self._light: list[pv.Actor] = []
        self._add_orientation_cube()
        for event, moving in (("StartInteractionEvent", True), ("EndInteractionEvent", False)):
            self._plotter.iren.interactor.GetInteractorStyle().AddObserver(
                event, lambda _style, _event, moving=moving: self._swap(moving)
            )

    def _line(self, axis: tuple[int, int, int], colour: str) -> pv.Actor:
        direction = np.array(axis) * 22.0
        line = pv.Line(-direction, direction)
        actor = self._plotter.add_mesh(
            line, color=colour, line_width=2, lighting=False, reset_camera=False, render=False
        )
        actor.SetVisibility(False)
        actor.SetPickable(False)
        return actor

    def _add_orientation_cube(self) -> None:
        cube = vtkAnnotatedCubeActor()
        for set_face, text in zip(
            (cube.SetXPlusFaceText, cube.SetXMinusFaceText, cube.SetYPlusFaceText,
             cube.SetYMinusFaceText, cube.SetZPlusFaceText, cube.SetZMinusFaceText),
            "RLAPSI", strict=True,
        ):  # fmt: skip
            set_face(text)
        cube.GetCubeProperty().SetColor(0.22, 0.27, 0.33)
        cube.GetTextEdgesProperty().SetColor(0.85, 0.88, 0.92)
        cube.SetFaceTextScale(0.6)
        for faces in (cube.GetXPlusFaceProperty, cube.GetXMinusFaceProperty, cube.GetYPlusFaceProperty,
                      cube.GetYMinusFaceProperty, cube.GetZPlusFaceProperty, cube.GetZMinusFaceProperty):  # fmt: skip
            faces().SetColor(0.9, 0.93, 0.96)
        # Turned so that every letter stands upright when the patient does.
        cube.SetXFaceTextRotation(90)
        cube.SetYFaceTextRotation(0)
        cube.SetZFaceTextRotation(0)
        self._plotter.add_orientation_widget(cube, interactive=False, viewport=(0.0, 0.0, 0.18, 0.18))

    def set_box(self, size_mm: tuple[float, float, float] | None) -> None:
        """Draw the volume's box and look at it from the front."""
        self._size = size_mm
        if size_mm is None:
            return
        x, y, z = size_mm
        box = pv.Box((0, x, 0, y, 0, z)).extract_all_edges()
        self._plotter.add_mesh(
            box, color="#3a4450", line_width=1, lighting=False, name="box", reset_camera=False, render=False
        )
        self.reset_camera()

    def show_scene(self, scene: Scene | None, shown: str, colours: dict[int, Colour]) -> None:
        """Draw `shown` of the scene in these colours."""
        for actor in {*self._dense, *self._light}:
            self._plotter.remove_actor(actor, reset_camera=False, render=False)
        self._dense, self._light = [], []
        if scene is not None and shown == "surface":
            self._add_surfaces(scene, colours)
        elif scene is not None:
            self._add_points(scene.clouds.get(shown, {}), colours)
        self._swap(False)
        focus_changes = (scene is None) != (self._drawn[0] is None) or (shown == "sampled") != (
            self._drawn[1] == "sampled"
        )
        self._drawn = (scene, shown)
        if focus_changes:
            self.reset_camera()
        else:
            self._plotter.update()

    def _add_surfaces(self, scene: Scene, colours: dict[int, Colour]) -> None:
        for label in (TUMOUR, KIDNEY):  # translucent last, so that the tumour shows through
            if label in scene.surfaces and label in colours:
                actor = self._plotter.add_mesh(
                    scene.surfaces[label],
                    color=_fraction(colours[label]),
                    opacity=_SURFACE_OPACITY[label] if TUMOUR in scene.surfaces else 1.0,
                    smooth_shading=True,
                    specular=0.25,
                    specular_power=18,
                    reset_camera=False,
                    render=False,
                )
                self._dense.append(actor)
                self._light.append(actor)

    def _add_points(self, cloud: dict[int, NDArray[np.float32]], colours: dict[int, Colour]) -> None:
        for actors, budget in ((self._dense, self._at_rest), (self._light, self._moving)):
            left = budget
            for label in (TUMOUR, KIDNEY, TISSUE):  # what was found is never thinned out for what was not
                points = cloud.get(label, np.zeros((0, 3), np.float32))[:left]
                left -= len(points)
                if len(points) and label in colours:
                    actors.append(self._points(points, label, colours[label]))

    def _points(self, points: NDArray[np.float32], label: int, colour: Colour) -> pv.Actor:
        return self._plotter.add_mesh(
            pv.PolyData(points),
            style="points",
            color=_fraction(colour),
            point_size=_POINT_SIZE[label],
            opacity=_OPACITY[label],
            lighting=False,
            reset_camera=False,
            render=False,
        )

    def _swap(self, moving: bool) -> None:
        shown, hidden = (self._light, self._dense) if moving else (self._dense, self._light)
        for actor in hidden:
            actor.SetVisibility(False)
        for actor in shown:
            actor.SetVisibility(True)

    def set_crosshair(self, at_mm: tuple[float, float, float] | None) -> None:
        """Move the crosshair's mark."""
        for mark in self._marks:
            mark.SetVisibility(at_mm is not None)
            if at_mm is not None:
                mark.SetPosition(*at_mm)
        self._plotter.update()

    def reset_camera(self) -> None:
        """Look from the front at what was found, or at the whole box while nothing is."""
        self._plotter.view_vector((0, 1, 0), viewup=(0, 0, 1), render=False)
        bounds = self._bounds()
        if bounds is not None:
            self._plotter.reset_camera(bounds=bounds, render=False)
            self._plotter.camera.zoom(1.25)
        self._plotter.update()

    def _bounds(self) -> tuple[float, ...] | None:
        found = [actor.GetBounds() for actor in self._dense]
        if found:
            array = np.array(found)
            low, high = array[:, ::2].min(axis=0), array[:, 1::2].max(axis=0)
            return tuple(np.stack([low, high], axis=1).ravel())
        return None if self._size is None else (0, self._size[0], 0, self._size[1], 0, self._size[2])

    def close(self) -> None:
        """Let go of the graphics."""
        self._plotter.close()


def _renderer() -> str:
    """What draws OpenGL here, in lower case; a graphics card, or a name of `_SOFTWARE`."""
    surface, context = QOffscreenSurface(), QOpenGLContext()
    surface.create()
    if not context.create() or not context.makeCurrent(surface):
        return ""
    name = str(context.functions().glGetString(_GL_RENDERER))
    context.doneCurrent()
    return name.lower()


def _fraction(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255
