"""The 3-D pane: buttons choose what is shown, and a backend behind a small interface draws it.

VTK takes seconds to import, and some machines have no OpenGL. So the pane starts with a notice and gets its backend
later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QLabel, QStackedLayout, QWidget

from kidneyseg.imaging.labels import TISSUE
from kidneyseg_gui.case import Case
from kidneyseg_gui.deck import Sheet, deck_of
from kidneyseg_gui.slices import Colour
from kidneyseg_gui.views.choice_bar import ChoiceBar
from kidneyseg_gui.views.pane import Pane
from kidneyseg_gui.widgets import named, single_shot, tool_button

if TYPE_CHECKING:  # preparing scenes needs scipy, which the first paint does not wait for
    from kidneyseg_gui.scene import Scene

SHOWN = (
    ("deck", "Slices", "The CT as a deck of slices, in the range of HU that the networks see"),
    ("sampled", "Sampled", "Every point that the sampling kept, as bright as its HU"),
    ("detected", "Detected", "Stage 1: the points that the first network takes for kidney"),
    ("classes", "Classes", "Stage 2: the points around the kidneys, as tissue, kidney and tumour"),
    ("objects", "Objects", "The points that are left after DBSCAN has removed the outliers"),
    ("surface", "Surface", "The final mask's surface: kidneys translucent, tumours solid"),
)
TISSUE_COLOUR: Colour = (132, 146, 164)


def can_show(case: Case, name: str) -> bool:
    """Whether there is anything of this name of SHOWN to see: the slices of any CT, the rest of a result."""
    if name == "deck":
        return case.volume is not None
    return case.scene is not None and bool(case.scene.surfaces if name == "surface" else case.scene.clouds.get(name))


class CloudBackend(Protocol):
    """Draws a deck or a scene. Positions are mm from the volume's corner along its voxel axes."""

    widget: QWidget

    def show_deck(self, sheets: tuple[Sheet, ...]) -> None:
        """Draw the slices of a CT instead of a scene."""

    def show_scene(self, scene: Scene | None, shown: str, colours: dict[int, Colour]) -> None:
        """Draw `shown` (a name of SHOWN) of the scene, without the labels that have no colour; None clears."""

    def set_crosshair(self, at_mm: tuple[float, float, float] | None) -> None:
        """Move the crosshair; None hides it."""

    def set_box(self, size_mm: tuple[float, float, float]) -> None:
        """Draw the volume's box and look at it from the front."""

    def reset_camera(self) -> None:
        """Look at everything from the front."""

    def close(self) -> None:
        """Release the graphics."""


class CloudPane(Pane):
    """The pane around a backend. Without one, a notice says why nothing is shown."""

    entered = Signal()  # by the mouse

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        body = named(QWidget(), "cloudBody")
        super().__init__("3D", "#8f7fe8", body, parent)
        self._case = case
        self._backend: CloudBackend | None = None
        self._stack = QStackedLayout(body)
        self._notice = named(QLabel("Loading 3D…"), "paneNotice")
        self._notice.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack.addWidget(self._notice)
        self._make_buttons()
        # Scrolling moves the crosshair dozens of times a second: draw once for several moves.
        self._crosshair_timer = single_shot(self, 40, self._draw_crosshair)
        self._deck: tuple[Sheet, ...] | None = None  # of the CT; None until it is shown
        case.volume_changed.connect(self._on_volume)
        case.scene_changed.connect(self._draw)
        case.overlay_changed.connect(self._draw)
        case.display_changed.connect(self._on_display)
        case.crosshair_changed.connect(self._crosshair_timer.start)
        self._on_display()

    def _make_buttons(self) -> None:
        self._choices = ChoiceBar(SHOWN, lambda name: self._case.set_display(cloud=name))
        self.buttons = self._choices.buttons
        self.controls.addWidget(self._choices, 1)
        self.controls.setSpacing(1)
        self.controls.addSpacing(6)
        reset = tool_button("reset", "Look at everything from the front (R)")
        reset.clicked.connect(self.reset_camera)
        self.controls.addWidget(reset)

    def set_backend(self, backend: CloudBackend) -> None:
        """Draw with `backend` from now on."""
        self._backend = backend
        backend.widget.installEventFilter(self)
        self._stack.addWidget(backend.widget)
        self._stack.setCurrentWidget(backend.widget)
        self._draw_box()
        self._draw()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A double-click on the view fills the window with it, and back; tell when the mouse enters."""
        if event.type() == QEvent.Type.Enter:
            self.entered.emit()
        if event.type() == QEvent.Type.MouseButtonDblClick:
            self.maximise_requested.emit(self.title)
        return False

    def fail(self, reason: str) -> None:
        """Show why there is no 3-D view."""
        self._notice.setText(reason)

    def reset_camera(self) -> None:
        """Look at everything from the front."""
        if self._backend is not None:
            self._backend.reset_camera()

    def close_backend(self) -> None:
        """Release the graphics; to be called before the window is destroyed."""
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def _on_display(self) -> None:
        self._choices.show_choice(self._case.display.cloud)
        self._draw()
        self._draw_crosshair()

    def _on_volume(self) -> None:
        self._deck = None
        self._draw_box()
        self._draw()

    def _draw(self) -> None:
        scene, overlay, volume, shown = (
            self._case.scene,
            self._case.overlay,
            self._case.volume,
            self._case.display.cloud,
        )
        for name in self.buttons:
            self._choices.enable(name, can_show(self._case, name))
        if self._backend is None:
            return
        if shown == "deck" and volume is not None:
            if self._deck is None:
                self._deck = deck_of(volume)
            self._backend.show_deck(self._deck)
            return
        colours: dict[int, Colour] = {TISSUE: TISSUE_COLOUR}
        if overlay.shown:
            colours |= {label: style.colour for label, style in overlay.labels if style.visible}
        self._backend.show_scene(scene, shown, colours)

    def _draw_box(self) -> None:
        volume = self._case.volume
        if self._backend is not None and volume is not None:
            x, y, z = (n * step for n, step in zip(volume.shape, volume.spacing_mm, strict=True))
            self._backend.set_box((x, y, z))
            self._draw_crosshair()

    def _draw_crosshair(self) -> None:
        volume = self._case.volume
        if self._backend is None or volume is None:
            return
        x, y, z = ((v + 0.5) * step for v, step in zip(self._case.crosshair, volume.spacing_mm, strict=True))
        self._backend.set_crosshair((x, y, z) if self._case.display.crosshair else None)
