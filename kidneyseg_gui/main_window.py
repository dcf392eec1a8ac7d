"""The window: four panes, the side panel, menus and tool bar, and the wiring between them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QLabel, QMainWindow, QScrollArea, QWidget

from kidneyseg.imaging.volume import offset_note
from kidneyseg_gui.actions import Actions
from kidneyseg_gui.autosave import Autosave, autosave_folder
from kidneyseg_gui.case import Case
from kidneyseg_gui.clicks import ClickSession
from kidneyseg_gui.controller import Controller
from kidneyseg_gui.dicom_files import DicomFiles
from kidneyseg_gui.drop_zone import DropZone
from kidneyseg_gui.edit_queue import EditQueue
from kidneyseg_gui.fields import FieldGuard
from kidneyseg_gui.files import judge_drop
from kidneyseg_gui.garbage import GarbageCollector
from kidneyseg_gui.jobs import JobKind
from kidneyseg_gui.mask_files import MaskFiles
from kidneyseg_gui.options import Options
from kidneyseg_gui.panels import notices
from kidneyseg_gui.panels.correcting import CorrectingPanel
from kidneyseg_gui.panels.findings import FindingsPanel
from kidneyseg_gui.panels.labels import LabelsPanel
from kidneyseg_gui.panels.notices import Notices
from kidneyseg_gui.panels.parameters import ParametersPanel
from kidneyseg_gui.panels.run import RunPanel
from kidneyseg_gui.piece_menu import show_piece_menu
from kidneyseg_gui.prompts import Prompts
from kidneyseg_gui.recovering import Recovering
from kidneyseg_gui.services import Services
from kidneyseg_gui.studies import Studies
from kidneyseg_gui.title import title_of
from kidneyseg_gui.views.quad import Quad
from kidneyseg_gui.widgets import ElidedLabel, column, named, row, shortened, single_shot
from kidneyseg_gui.worker import JobRunner
from kidneyseg_gui.written_files import WrittenFiles

_PANEL_WIDTH = 326
_ROOMY = (1300, 760)  # the window fills a smaller screen
_SAVE_AFTER_MS = 1000
DISCLAIMER = "Research use only — not a medical device"


class MainWindow(QMainWindow):
    """Shows one case at a time. Tests pass `services`, `store` and `prompts` of their own."""

    def __init__(
        self,
        services: Services | None = None,
        store: QSettings | None = None,
        prompts: Prompts | None = None,
        autosave: Path | None = None,
    ) -> None:
        super().__init__()
        self._garbage = GarbageCollector(self)  # before any other thread begins
        self.setObjectName("KidneySeg")
        self.setWindowTitle(title_of(None, patient=False))
        self.setAcceptDrops(True)
        self.case = Case(self)
        self.options = Options(store if store is not None else QSettings("KidneySeg", "KidneySeg"))
        self.jobs = JobRunner(services or Services(), self)
        self.prompts = prompts or Prompts()
        self.clicks = ClickSession(self.case, self)
        self.controller = Controller(self.case, self.jobs, self.options, self.prompts, self)
        self.edit_queue = EditQueue(self.case, self.jobs, self)
        self.autosave = Autosave(self.case, autosave or autosave_folder(), self)
        self.mask_files = MaskFiles(self.case, self.jobs, self.prompts, self)
        self.dicom_files = DicomFiles(self.case, self.jobs, self.prompts, self)
        self.studies = Studies(self.jobs, self.prompts, self)
        self.recovering = Recovering(self.jobs, self.autosave, self.controller.leaving, self)
        self.options.restore(self.case)
        self._build()
        self.actions_ = Actions(
            self,
            self.case,
            self.jobs,
            self.controller,
            self.mask_files,
            self.dicom_files,
            self.recovering,
            self.options,
            self.quad.reset_cameras,
        )
        self._wire()
        self._place()

    def _build(self) -> None:
        self.quad = Quad(self.case)
        self.notices = Notices()
        self.run_panel = RunPanel(self.case)
        self.parameters = ParametersPanel(self.case)
        self.labels = LabelsPanel(self.case)
        self.findings = FindingsPanel(self.case)
        self.correcting = CorrectingPanel(self.case)
        views = QWidget()
        left = column(views, spacing=3, margins=(3, 3, 3, 3))
        left.addWidget(self.notices)
        left.addWidget(self.quad, 1)
        central = QWidget()
        line = row(central, spacing=0)
        line.addWidget(views, 1)
        line.addWidget(self._side_panel())
        self.setCentralWidget(central)
        self._drop_zone = DropZone(self)
        self.statusBar().setSizeGripEnabled(False)
        self._file = ElidedLabel()
        self.statusBar().addWidget(self._file, 1)
        self.written = WrittenFiles(self.case)
        self.statusBar().addPermanentWidget(self.written)
        self.statusBar().addPermanentWidget(named(QLabel(DISCLAIMER), "disclaimer"))

    def _side_panel(self) -> QWidget:
        middle = QWidget()
        middle.setFixedWidth(_PANEL_WIDTH - 1)  # a scroll bar covers its margin and moves nothing
        sections = column(middle, spacing=0)
        for section in (self.findings, self.correcting, self.labels, self.parameters):
            sections.addWidget(section)
        sections.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(middle)
        side = named(QWidget(), "sidePanel")
        side.setFixedWidth(_PANEL_WIDTH)
        whole = column(side, spacing=0)
        whole.addWidget(self.run_panel)
        whole.addWidget(scroll, 1)
        FieldGuard(side, self.quad.focus_view)
        return side

    def _wire(self) -> None:
        self.run_panel.segment_requested.connect(self.controller.segment)
        self.run_panel.cancel_requested.connect(self.controller.cancel)
        self.jobs.progressed.connect(self.run_panel.show_progress)
        self.jobs.busy_changed.connect(lambda: self.run_panel.show_busy(self.jobs.busy))
        self.jobs.warmed_up.connect(self.parameters.offer_cuda)
        self.jobs.failed.connect(lambda kind, _text: self.clicks.drop() if kind == JobKind.EDIT else None)
        self.controller.cancelling.connect(self.run_panel.show_cancelling)
        for source in (self.controller, self.mask_files, self.dicom_files, self.recovering):
            source.notified.connect(self.notices.show_event)
        for writer in (self.controller, self.mask_files, self.dicom_files):
            writer.written.connect(self.written.offer)
        for notified, subject in ((self.recovering.offered, "recovery"), (self.edit_queue.notified, "edit")):
            notified.connect(partial(self.notices.show_event, subject=subject))
        self.autosave.trouble.connect(partial(self.notices.show_event, notices.WARNING, subject="autosave"))
        self.controller.mask_wanted.connect(self.mask_files.open)
        self.case.compare_changed.connect(self._show_compare)
        self.case.display_changed.connect(self._show_title)
        self.case.volume_changed.connect(self._on_volume)
        self.case.volume_changed.connect(self.jobs.forget_pipeline)
        self.case.findings_changed.connect(self._show_flags)
        self.quad.slice_left.connect(self._show_flags)
        self._save_soon = single_shot(self, _SAVE_AFTER_MS, self.save_options)
        case = self.case
        for signal in (case.settings_changed, case.overlay_changed, case.window_changed, case.display_changed):
            signal.connect(self._save_soon.start)
        self.case.dirty_changed.connect(lambda: self.setWindowModified(self.case.dirty))

        for requested in (self.findings.menu_requested, *(pane.slices.menu_requested for pane in self.quad.slices)):
            requested.connect(lambda voxel, at: show_piece_menu(self.case, voxel, at, self))

    def _place(self) -> None:
        geometry = self.options.store.value("geometry")
        if not (isinstance(geometry, QByteArray) and self.restoreGeometry(geometry)):
            available = self.screen().availableGeometry()
            self.resize(min(1440, round(available.width() * 0.92)), min(930, round(available.height() * 0.9)))
            if available.width() < _ROOMY[0] or available.height() < _ROOMY[1]:
                self.setWindowState(Qt.WindowState.WindowMaximized)

    def _show_warnings(self, subject: str) -> None:
        actions = {}
        if self.case.volume is not None and self.case.volume.path is not None:
            actions[offset_note(self.case.volume.hu_offset)] = ("Read as stored", self.controller.read_as_stored)
        self.notices.show_lasting(subject, self.controller.warnings()[subject], actions=actions)

    def _show_flags(self) -> None:
        """Show the warnings of the mask; later where they would push a slice away from under a tool."""
        if self.case.findings is None or not self.quad.correcting:
            self._show_warnings("result")

    def _show_compare(self) -> None:
        compare = self.case.compare
        texts = () if compare is None else (compare.text,)
        end = ("End", lambda: self.case.set_compare(None))
        self.notices.show_lasting("compare", texts, notices.INFO, dict.fromkeys(texts, end))

    def _on_volume(self) -> None:
        volume = self.case.volume
        if volume is None:
            return
        self.notices.show_lasting("volume", ())  # those of the CT before
        self._show_warnings("volume")
        self._show_title()
        size = " × ".join(str(n) for n in volume.shape)
        spacing = " × ".join(f"{step:.2f}" for step in volume.spacing_mm)
        where = f"   {volume.path}" if volume.path is not None else ""
        self._file.show_text(f"{size} voxels   {spacing} mm{where}")

    def _show_title(self) -> None:
        self.setWindowTitle(title_of(self.case.volume, patient=self.case.display.patient))

    def save_options(self) -> None:
        """Save what the next run starts with."""
        self._save_soon.stop()
        self.options.store.setValue("geometry", self.saveGeometry())
        self.options.save(self.case)

    # Drag and drop

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Say what a drop would do."""
        if not event.mimeData().hasUrls() or event.source() is not None:  # a drag out of this window
            return
        path, problem = judge_drop(event.mimeData())
        self._drop_zone.offer(shortened(f"Drop to open {path.name}" if path else problem), good=path is not None)
        _accept_copy(event)  # also a file that cannot be opened: the drop then says why

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Accept the drag, as when it entered."""
        _accept_copy(event)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Hide the drop zone."""
        self._drop_zone.hide()
        event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open the dropped CT, or say why not."""
        self._drop_zone.hide()
        path, problem = judge_drop(event.mimeData())
        _accept_copy(event)
        if path is None:
            self.notices.show_event(notices.ERROR, problem)
        else:  # after the drop: a dialog inside it would block the file manager
            QTimer.singleShot(0, lambda: self.controller.open(path))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask if work would be lost; save the options; wait for the working threads."""
        if not self.controller.may_close():
            event.ignore()
            return
        self.save_options()
        self.hide()
        self.jobs.shutdown()
        self.autosave.close(keep=False)
        self.quad.cloud.close_backend()
        self._garbage.stop()
        event.accept()


def _accept_copy(event: QDropEvent) -> None:
    """Take the files as copies. A file manager proposes to move them, and may then delete what it thinks has moved."""
    event.setDropAction(Qt.DropAction.CopyAction)
    event.accept()
