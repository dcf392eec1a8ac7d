"""Menus, tool bar and shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu, QSizePolicy, QToolBar, QWidget

from kidneyseg_gui.case import Case
from kidneyseg_gui.controller import Controller
from kidneyseg_gui.dicom_files import KINDS, DicomFiles
from kidneyseg_gui.edit_actions import EditActions
from kidneyseg_gui.help import open_log_folder, show_about, show_shortcuts
from kidneyseg_gui.jobs import JobKind
from kidneyseg_gui.mask_files import MaskFiles
from kidneyseg_gui.options import Options
from kidneyseg_gui.recovering import Recovering
from kidneyseg_gui.slices import WINDOW_PRESETS
from kidneyseg_gui.theme import icon
from kidneyseg_gui.views.cloud_view import SHOWN, can_show
from kidneyseg_gui.widgets import shortened
from kidneyseg_gui.worker import JobRunner

# What F steps through: (filled, outlined).
_STYLES = [(True, True), (True, False), (False, True)]


class Actions:
    """Makes the window's actions and keeps their state in step with the case and the jobs."""

    def __init__(
        self,
        window: QMainWindow,
        case: Case,
        jobs: JobRunner,
        controller: Controller,
        mask_files: MaskFiles,
        dicom_files: DicomFiles,
        recovering: Recovering,
        options: Options,
        reset_views: Callable[[], object],
    ) -> None:
        self._window, self._case, self._jobs = window, case, jobs
        self._dicom_files = dicom_files
        self._make_file(controller, options, mask_files, recovering)
        self.edit = EditActions(window.menuBar().addMenu("&Edit"), case, self._action)
        self._make_segment(controller)
        self._make_view(reset_views)
        self._make_help()
        self._make_tool_bar()
        drawn = (case.display_changed, case.overlay_changed, case.window_changed)
        for signal in (
            case.volume_changed,
            case.result_changed,
            case.scene_changed,
            case.compare_changed,
            *drawn,
            jobs.busy_changed,
        ):
            signal.connect(self._refresh)
        case.mask_changed.connect(lambda _box: self._refresh())
        self._refresh()

    def _action(
        self,
        text: str,
        do: Callable[[], object],
        *keys: str | QKeySequence.StandardKey,
        picture: str = "",
        short: str = "",
        tip: str = "",
    ) -> QAction:
        """An action; `short` is its text in the tool bar."""
        action = QAction(text, self._window)
        if picture:
            action.setIcon(icon(picture))
            action.setIconVisibleInMenu(False)  # menus show check marks in that place
        if short:
            action.setIconText(short)
        action.setShortcuts([QKeySequence(key) for key in keys])
        if keys or tip:
            shown = f" ({action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)})" if keys else ""
            action.setToolTip((tip or text.rstrip("…").replace("&", "")) + shown)
        action.triggered.connect(lambda _checked=False: do())
        return action

    def _make_file(
        self, controller: Controller, options: Options, mask_files: MaskFiles, recovering: Recovering
    ) -> None:
        menu = self._window.menuBar().addMenu("&File")
        self.open = self._action("&Open…", controller.ask_open, "Ctrl+O", picture="open", tip="Open a CT")
        tip = "Save the mask as NIfTI"
        self.export = self._action("&Export mask…", controller.ask_export, "Ctrl+S", picture="export", tip=tip)
        menu.addAction(self.open)
        menu.addAction(self._action("Open a &DICOM folder…", controller.ask_open_study, "Ctrl+D"))
        self._recent: QMenu = menu.addMenu("Open &recent")
        self._recent.aboutToShow.connect(lambda: self._fill_recent(controller, options))
        menu.addAction(self._action("Open the &sample case", lambda: controller.open(None)))
        lost = menu.addMenu("Reco&ver")
        lost.aboutToShow.connect(lambda: recovering.fill(lost))
        menu.addSeparator()
        self.open_mask = self._action("Open a &mask over the CT…", mask_files.ask_open, "Ctrl+M")
        self.compare = self._action("&Compare with another mask…", mask_files.ask_compare)
        self.compare_below = self._action("Show what I &edited", mask_files.compare_below)
        self.next_compared = self._action(
            "This mask, the &other one, the differences", self._case.show_next_compared, "D"
        )
        self.wipe = self._action("&Wipe between the two", lambda: self._case.show_next_compared(wipe=True), "W")
        self.end_compare = self._action("&End the comparison", lambda: self._case.set_compare(None))
        menu.addActions([self.open_mask, self.export])
        self.export_dicom = menu.addMenu("Export as D&ICOM")
        for kind in KINDS:
            self.export_dicom.addAction(self._action(kind.text, partial(self._dicom_files.ask_export, kind)))
        menu.addSeparator()
        menu.addActions([self.compare, self.compare_below, self.next_compared, self.wipe, self.end_compare])
        menu.addSeparator()
        menu.addAction(self._action("&Load settings…", controller.ask_load_settings, "Ctrl+Shift+O"))
        menu.addAction(self._action("Save se&ttings…", controller.ask_save_settings, "Ctrl+Shift+S"))
        menu.addSeparator()
        menu.addAction(self._action("&Quit", self._window.close, "Ctrl+Q"))

    def _fill_recent(self, controller: Controller, options: Options) -> None:
        self._recent.clear()
        for path in options.recent:
            action = self._recent.addAction(shortened(f"{path.name}    {path.parent}"))
            action.triggered.connect(lambda _checked=False, path=path: controller.open(path))
        if options.recent:
            self._recent.addSeparator()
            self._recent.addAction("Clear the list").triggered.connect(lambda _checked=False: options.forget())
        else:
            self._recent.addAction("No files yet").setEnabled(False)

    def _make_segment(self, controller: Controller) -> None:
        menu = self._window.menuBar().addMenu("&Segmentation")
        self.segment = self._action(
            "&Segment", controller.segment, "Ctrl+Return", "F5", "Ctrl+Enter", picture="play-light"
        )
        self.cancel = self._action("&Cancel", controller.cancel, "Esc", picture="stop", tip="Stop the work")
        menu.addAction(self.segment)
        menu.addAction(self.cancel)

    def _make_view(self, reset_views: Callable[[], object]) -> None:
        case = self._case
        menu = self._window.menuBar().addMenu("&View")
        self.layouts: dict[str, QAction] = {}
        for name, text, key in (
            ("", "&Four views", "Alt+1"),
            ("Axial", "&Axial only", "Alt+2"),
            ("Coronal", "&Coronal only", "Alt+3"),
            ("Sagittal", "&Sagittal only", "Alt+4"),
            ("3D", "&3D only", "Alt+5"),
        ):
            self.layouts[name] = self._checkable(text, partial(case.set_display, maximised=name), key)
        self._group(menu, self.layouts.values())
        menu.addSeparator()
        presets = menu.addMenu("&Window presets")
        self.windows: dict[tuple[float, float], QAction] = {}
        for number, (name, width, level) in enumerate(WINDOW_PRESETS, start=1):
            text = f"{name}   W {width}  L {level}"
            self.windows[width, level] = self._checkable(text, partial(case.set_window, width, level), str(number))
        self.own_window = self._checkable("", self._take_own_window, "0")
        self._group(presets, [*self.windows.values(), self.own_window])
        menu.addSeparator()
        self._make_3d(menu)
        menu.addSeparator()
        self.overlay = self._checkable("Show &mask", case.toggle_overlay, "O", picture="overlay", short="Mask")
        self.style = self._action("&Filled, outlined or both", self._next_style, "F")
        self.crosshair = self._checkable(
            "Cross&hair", lambda: case.set_display(crosshair=not case.display.crosshair), "X", picture="crosshair"
        )
        self.unsure = self._checkable(
            "Where the networks are &unsure", lambda: case.set_display(uncertainty=not case.display.uncertainty), "C"
        )
        self.points = self._checkable(
            "Poi&nts of the 3D view on the slices", lambda: case.set_display(points=not case.display.points), "N"
        )
        menu.addActions([self.overlay, self.style, self.points, self.unsure, self.crosshair])
        menu.addSeparator()
        self.conventions = {
            radiological: self._checkable(text, partial(case.set_display, radiological=radiological))
            for radiological, text in (
                (True, "&Radiological (patient's right on the left)"),
                (False, "&Neurological (patient's right on the right)"),
            )
        }
        self._group(menu, self.conventions.values())
        menu.addSeparator()
        self.patient = self._checkable(
            "Show the &patient's name in the title", lambda: case.set_display(patient=not case.display.patient)
        )
        menu.addAction(self.patient)
        tip = "Fit everything into its view"
        self.reset = self._action("R&eset views", reset_views, "R", picture="reset", short="Reset", tip=tip)
        menu.addAction(self.reset)

    def _make_3d(self, menu: QMenu) -> None:
        """What the 3-D pane shows, also where its own buttons are too narrow to read or hidden."""
        self.clouds: dict[str, QAction] = {}
        for number, (name, text, tip) in enumerate(SHOWN, start=1):
            choose = partial(self._case.set_display, cloud=name)
            self.clouds[name] = self._checkable(text, choose, f"Ctrl+{number}", tip=tip)
        self._group(menu.addMenu("&3D view"), self.clouds.values())

    def _checkable(self, text: str, do: Callable[[], object], *keys: str, **more: str) -> QAction:
        action = self._action(text, do, *keys, **more)
        action.setCheckable(True)
        action.triggered.connect(lambda _checked=False: self._refresh())  # a click on the checked one leaves it checked
        return action

    def _group(self, menu: QMenu, actions: Iterable[QAction]) -> None:
        group = QActionGroup(menu)
        group.setExclusionPolicy(QActionGroup.ExclusionPolicy.ExclusiveOptional)
        for action in actions:
            group.addAction(action)
            menu.addAction(action)

    def _take_own_window(self) -> None:
        if self._case.volume is not None and self._case.volume.window is not None:
            self._case.set_window(*self._case.volume.window)

    def _next_style(self) -> None:
        overlay = self._case.overlay
        now = (overlay.filled, overlay.outlined)
        filled, outlined = _STYLES[(_STYLES.index(now) + 1) % len(_STYLES) if now in _STYLES else 0]
        self._case.set_overlay(replace(overlay, filled=filled, outlined=outlined))

    def _make_help(self) -> None:
        menu = self._window.menuBar().addMenu("&Help")
        self.help = self._action("&Shortcuts", lambda: show_shortcuts(self._window), "F1", "?", picture="help")
        menu.addAction(self.help)
        menu.addAction(self._action("Open the &log folder", open_log_folder))
        menu.addSeparator()
        menu.addAction(self._action("&About KidneySeg", lambda: show_about(self._window)))

    def _make_tool_bar(self) -> None:
        bar = QToolBar("Tools")
        bar.setMovable(False)
        bar.setObjectName("tools")
        bar.setIconSize(QSize(18, 18))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        bar.addActions([self.open, self.export])
        bar.addSeparator()
        bar.addActions([self.edit.undo, self.edit.redo])
        bar.addSeparator()
        bar.addActions([self.overlay, self.crosshair, self.reset])
        space = QWidget()
        space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        bar.addWidget(space)
        bar.addAction(self.help)
        self._window.addToolBar(bar)
        self._window.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)

    def _refresh(self) -> None:
        case, free = self._case, self._jobs.free
        self.export.setEnabled(case.mask is not None and free)
        self.export_dicom.setEnabled(self._dicom_files.possible)
        self.open_mask.setEnabled(case.volume is not None and free)
        self.compare.setEnabled(case.mask is not None and free)
        self.compare_below.setEnabled(self.compare.isEnabled() and case.edits.by_hand > 0)
        for action in (self.next_compared, self.wipe, self.end_compare):
            action.setEnabled(case.compare is not None)
        self.segment.setEnabled(case.volume is not None and free)
        self.cancel.setEnabled(self._jobs.busy in (JobKind.OPEN, JobKind.SEGMENT, JobKind.UPDATE))
        self.overlay.setChecked(case.overlay.shown)
        self.overlay.setIcon(icon("overlay" if case.overlay.shown else "overlay-off"))
        self.crosshair.setChecked(case.display.crosshair)
        self.unsure.setChecked(case.display.uncertainty)
        self.unsure.setEnabled(case.scene is not None and case.scene.uncertainty is not None)
        self.points.setChecked(case.display.points)
        self.points.setEnabled(case.scene is not None and bool(case.scene.points))
        for name, action in self.clouds.items():
            action.setChecked(name == case.display.cloud)
            action.setEnabled(can_show(case, name))
        for name, action in self.layouts.items():
            action.setChecked(name == case.display.maximised)
        for window, action in self.windows.items():
            action.setChecked(window == case.window)
        stated = case.volume.window if case.volume is not None else None
        self.own_window.setText("The CT's own" + (f"   W {stated[0]:g}  L {stated[1]:g}" if stated else ""))
        self.own_window.setEnabled(stated is not None)
        self.own_window.setChecked(stated is not None and stated == case.window and stated not in self.windows)
        self.patient.setChecked(case.display.patient)
        for radiological, action in self.conventions.items():
            action.setChecked(radiological == case.display.radiological)
