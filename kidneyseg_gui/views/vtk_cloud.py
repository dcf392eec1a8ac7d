"""The 3-D pane's backend on VTK. Import it in a thread: it takes a second or more."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget
from vtkmodules.vtkFiltersSources import vtkLineSource, vtkOutlineSource
from vtkmodules.vtkRenderingAnnotation import vtkAnnotatedCubeActor
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer

from kidneyseg.points.cloud import KIDNEY, TISSUE, TUMOUR
from kidneyseg_gui.case import Colour
from kidneyseg_gui.geometry import points_data
from kidneyseg_gui.scene import Dots, Scene
from kidneyseg_gui.views.annotations import PLANE_COLOURS
from kidneyseg_gui.views.screen import Screen

# Points per frame. llvmpipe draws 100 000 in some 90 ms, and a frame that takes longer is a window that stalls.
_MOVING, _AT_REST = 300_000, 1_000_000
_MOVING_SOFTWARE, _AT_REST_SOFTWARE = 50_000, 100_000
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "swr")
_POINT_SIZE = {TISSUE: 2.0, KIDNEY: 4.0, TUMOUR: 5.0}
_OPACITY = {TISSUE: 0.16, KIDNEY: 1.0, TUMOUR: 1.0}
_VEIL = 0.2  # of kidney points before a tumour
_DARKEST = 0.45  # share of the colour that the points of lowest HU get
_SURFACE_OPACITY = {KIDNEY: 0.5, TUMOUR: 1.0}
_ARM_MM = 22.0
_BOX_COLOUR, _TOP, _BOTTOM = QColor("#46525f"), QColor("#2a323c"), QColor("#0d0f12")


class VtkCloud(Screen):
    """Points and surfaces; see `CloudBackend`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(samples=0, parent=parent)
        self.widget: QWidget = self
        self._software: bool | None = None
        self._size: tuple[float, float, float] | None = None
        self._shown: tuple[Scene | None, str] = (None, "")
        self._dense: list[vtkActor] = []
        self._light: list[vtkActor] = []
        self.renderer.GradientBackgroundOn()
        self.renderer.SetBackground(*_fraction(_BOTTOM))
        self.renderer.SetBackground2(*_fraction(_TOP))
        self._box_source = vtkOutlineSource()
        self._box = self._add_lines(self._box_source, _BOX_COLOUR, 1.0)
        self._marks = [self._add_arm(axis, name) for axis, name in enumerate(("Sagittal", "Coronal", "Axial"))]
        self._compass = self._add_compass()

    # What there is to see besides the result

    def _add_lines(self, source: vtkLineSource | vtkOutlineSource, colour: QColor, width: float) -> vtkActor:
        mapper = vtkPolyDataMapper()
        mapper.SetInputConnection(source.GetOutputPort())
        actor = vtkActor()
        actor.SetMapper(mapper)
        actor.GetProperty().SetColor(*_fraction(colour))
        actor.GetProperty().SetLineWidth(width)
        actor.GetProperty().LightingOff()
        actor.VisibilityOff()
        self.renderer.AddActor(actor)
        return actor

    def _add_arm(self, axis: int, plane: str) -> vtkActor:
        line, end = vtkLineSource(), [0.0, 0.0, 0.0]
        end[axis] = _ARM_MM
        line.SetPoint1(*(-v for v in end))
        line.SetPoint2(*end)
        return self._add_lines(line, PLANE_COLOURS[plane], 2.0)

    def _add_compass(self) -> vtkRenderer:
        """A cube in the corner with the patient's directions on its faces."""
        cube = vtkAnnotatedCubeActor()
        for set_text, text in zip(
            (cube.SetXPlusFaceText, cube.SetXMinusFaceText, cube.SetYPlusFaceText,
             cube.SetYMinusFaceText, cube.SetZPlusFaceText, cube.SetZMinusFaceText),
            "RLAPSI", strict=True,
        ):  # fmt: skip
            set_text(text)
        cube.SetXFaceTextRotation(0)
        cube.SetYFaceTextRotation(0)
        cube.SetZFaceTextRotation(90)
        cube.SetFaceTextScale(0.6)
        cube.GetCubeProperty().SetColor(0.27, 0.33, 0.40)
        cube.SetTextEdgesVisibility(False)
        for face in (cube.GetXPlusFaceProperty, cube.GetXMinusFaceProperty, cube.GetYPlusFaceProperty,
                     cube.GetYMinusFaceProperty, cube.GetZPlusFaceProperty, cube.GetZMinusFaceProperty):  # fmt: skip
            face().SetColor(0.92, 0.94, 0.97)
        corner = vtkRenderer()
        corner.SetLayer(1)
        corner.InteractiveOff()
        corner.AddActor(cube)
        self.window_.SetNumberOfLayers(2)
        self.window_.AddRenderer(corner)
        return corner

    def before_drawing(self) -> None:
        """Turn the compass with the camera; show fewer points while it moves."""
        width, height = self.window_.GetSize()
        self._compass.SetViewport(
            0, 0, min(76 * self.devicePixelRatioF() / width, 1), min(76 * self.devicePixelRatioF() / height, 1)
        )
        camera, compass = self.renderer.GetActiveCamera(), self._compass.GetActiveCamera()
        compass.SetFocalPoint(0, 0, 0)
        compass.SetPosition(*(-4.2 * d for d in camera.GetDirectionOfProjection()))
        compass.SetViewUp(*camera.GetViewUp())
        self._compass.ResetCameraClippingRange()
        for actor in self._dense:
            actor.SetVisibility(not self.moving)
        for actor in self._light:
            actor.SetVisibility(self.moving)
        for actor in set(self._dense) & set(self._light):
            actor.VisibilityOn()

    # CloudBackend

    def set_box(self, size_mm: tuple[float, float, float] | None) -> None:
        """Draw the volume's box and look at it from the front."""
        self._size = size_mm
        self._box.SetVisibility(size_mm is not None)
        if size_mm is not None:
            x, y, z = size_mm
            self._box_source.SetBounds(0, x, 0, y, 0, z)
            self.reset_camera()

    def show_scene(self, scene: Scene | None, shown: str, colours: dict[int, Colour]) -> None:
        """Draw `shown` of the scene in these colours."""
        for actor in {*self._dense, *self._light}:
            self.renderer.RemoveActor(actor)
        self._dense, self._light = [], []
        if scene is not None and shown == "surface":
            self._add_surfaces(scene, colours)
        elif scene is not None:
            self._add_points(scene.clouds.get(shown, {}), colours)
        before, self._shown = self._shown, (scene, shown)
        if (scene is None) != (before[0] is None) or (shown == "sampled") != (before[1] == "sampled"):
            self.reset_camera()
        self.redraw()

    def _add_surfaces(self, scene: Scene, colours: dict[int, Colour]) -> None:
        for label in (TUMOUR, KIDNEY):
            if label in scene.surfaces and label in colours:
                actor = self._add(scene.surfaces[label], colours[label])
                look = actor.GetProperty()
                look.SetOpacity(_SURFACE_OPACITY[label] if TUMOUR in scene.surfaces else 1.0)
                look.SetSpecular(0.25)
                look.SetSpecularPower(18)
                look.SetAmbient(0.12)
                look.BackfaceCullingOn()  # one layer of a translucent kidney over the tumour, whatever the order
                self._dense.append(actor)
                self._light.append(actor)

    def _add_points(self, cloud: dict[int, Dots], colours: dict[int, Colour]) -> None:
        at_rest, moving = (_AT_REST_SOFTWARE, _MOVING_SOFTWARE) if self._is_software() else (_AT_REST, _MOVING)
        for actors, left in ((self._dense, at_rest), (self._light, moving)):
            for label in (TUMOUR, KIDNEY, TISSUE):  # what was found is never thinned out for what was not
                if label in cloud and label in colours and left:
                    dots = cloud[label].first(left)
                    left -= len(dots)  # noqa: PLW2901 - the budget is used up label by label
                    actors.append(self._add_dots(dots, label, colours[label], veiled=TUMOUR in cloud))

    def _add_dots(self, dots: Dots, label: int, colour: Colour, veiled: bool) -> vtkActor:
        shade = _DARKEST + (1 - _DARKEST) * dots.brightness[:, None]
        actor = self._add(points_data(dots.points, (shade * np.array(colour)).astype(np.uint8)), colour)
        look = actor.GetProperty()
        look.SetPointSize(_POINT_SIZE[label])
        look.SetOpacity(_VEIL if label == KIDNEY and veiled else _OPACITY[label])
        look.LightingOff()
        return actor

    def _add(self, data: object, colour: Colour) -> vtkActor:
        mapper = vtkPolyDataMapper()
        mapper.SetInputDataObject(data)
        actor = vtkActor()
        actor.SetMapper(mapper)
        actor.GetProperty().SetColor(*(part / 255 for part in colour))
        self.renderer.AddActor(actor)
        return actor

    def _is_software(self) -> bool:
        if self._software is None:
            capabilities = self.window_.ReportCapabilities().lower()
            self._software = any(name in capabilities for name in _SOFTWARE)
            if not self._software:
                self.window_.SetMultiSamples(8)
        return self._software

    def set_crosshair(self, at_mm: tuple[float, float, float] | None) -> None:
        """Move the crosshair's mark."""
        for mark in self._marks:
            mark.SetVisibility(at_mm is not None)
            if at_mm is not None:
                mark.SetPosition(*at_mm)
        self.redraw()

    def reset_camera(self) -> None:
        """Look from the front at what was found, or at the whole box while nothing is."""
        camera = self.renderer.GetActiveCamera()
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(0, 1, 0)
        camera.SetViewUp(0, 0, 1)
        found = np.array([actor.GetBounds() for actor in self._dense])
        if len(found):
            bounds = np.stack([found[:, ::2].min(axis=0), found[:, 1::2].max(axis=0)], axis=1).ravel()
            self.renderer.ResetCamera(*bounds)
            camera.Zoom(1.3)
        elif self._size is not None:
            x, y, z = self._size
            self.renderer.ResetCamera(0, x, 0, y, 0, z)
            camera.Zoom(1.15)
        self.redraw()

    def close(self) -> bool:
        """Let go of the graphics."""
        self.finalize()
        return super().close()


def _fraction(colour: QColor) -> tuple[float, float, float]:
    return colour.redF(), colour.greenF(), colour.blueF()
