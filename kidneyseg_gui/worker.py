"""What the window asks of the engine, as jobs in the working threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from kidneyseg.errors import LabelMapError, SidecarError
from kidneyseg.progress import Progress
from kidneyseg_gui.jobs import Job, JobKind, JobQueue
from kidneyseg_gui.logs import keep_private, log_failure, sentence
from kidneyseg_gui.outcomes import Compared, Edited, FoundStudy, MaskOpened, Saved, Saving, Segmented

if TYPE_CHECKING:
    from kidneyseg.editing.mask import EditedMask
    from kidneyseg.findings import Findings
    from kidneyseg.imaging.volume import Volume
    from kidneyseg.segmentation.export import FileStamp
    from kidneyseg.settings import Settings
    from kidneyseg_gui.autosave import RecoveredCase
    from kidneyseg_gui.case import Compute
    from kidneyseg_gui.protocols import Pipeline, Result
    from kidneyseg_gui.scene import Scene
    from kidneyseg_gui.services import Services

_FINDING = 0.3  # share of the time that opening a DICOM study takes to find its series


class JobRunner(JobQueue):
    """Starts jobs; their values come as signals, in the window's thread.

    Signals:
        opened: the Volume. label_map_found: the path of a label map that was to be opened as a CT, and a sentence.
        study_found: the path of a DICOM study with several CT series, the offset for its values, and a FoundStudy.
        segmented: a Segmented. edited: an Edited. exported: a Saved. recovered: a RecoveredCase.
        objects_exported: the paths of the DICOM objects that were written.
        mask_opened: a MaskOpened. compared: a Compared.
        measured, scene_ready: the EditedMask, and its Findings or Scene.
        warmed_up: whether there is a CUDA graphics card.
    """

    opened = Signal(object)
    label_map_found = Signal(object, str)
    study_found = Signal(object, object, object)
    segmented = Signal(object)
    edited = Signal(object)
    exported = Signal(object)
    objects_exported = Signal(object)
    warmed_up = Signal(bool)
    recovered = Signal(object)
    mask_opened = Signal(object)
    compared = Signal(object)
    measured = Signal(object, object)
    scene_ready = Signal(object, object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._pipeline: tuple[Volume, str, Pipeline] | None = None

    def open(
        self,
        path: Path | None,
        hu_offset: int | None = None,
        series: str | None = None,
        found: FoundStudy | None = None,
    ) -> None:
        """Load a CT, with an offset added to its values or the one that they need; None for the sample case.

        Of a DICOM study with several series, `series` says which; without it `study_found` asks. `found` is the study
        where that has been emitted before.
        """

        def work(progress: Progress) -> Volume | LabelMapError | FoundStudy:
            source = path
            if source is None:
                progress.show("Making the sample case", 0.0)
                source = self._services.sample()
            progress.show(f"Opening {source.name}", 0.0)
            study = found or self._services.find_study(source, progress.part(0, _FINDING))
            if study is not None:
                if series is None and len(study.study.series) > 1:
                    return study
                return self._services.load_series(study, series, source, hu_offset, progress.part(_FINDING, 1))
            try:
                volume = self._services.load(source, hu_offset)
            except LabelMapError as error:
                return error
            return volume

        def announce(loaded: Volume | LabelMapError | FoundStudy) -> None:
            if isinstance(loaded, LabelMapError):
                self.label_map_found.emit(path, sentence(loaded))
            elif isinstance(loaded, FoundStudy):
                self.study_found.emit(path, hu_offset, loaded)
            else:
                self.opened.emit(loaded)

        if path is not None:
            keep_private(path)
        self.submit(Job(JobKind.OPEN, work, announce))

    def segment(
        self, volume: Volume, settings: Settings, device: str, mask: EditedMask, *, update: bool = False
    ) -> None:
        """Run the pipeline; stages that the settings do not touch are re-used.

        Args:
            volume: the CT.
            settings: of the run.
            device: to run on.
            mask: that the result is laid under.
            update: marks a quick re-run.
        """

        def work(progress: Progress) -> Segmented:
            kept = self._pipeline
            if kept is None or kept[0] is not volume or kept[1] != device:
                progress.show("Loading the networks", 0.0)
                kept = self._pipeline = (volume, device, self._services.pipeline(volume, device))
            result = kept[2].run(settings, progress)
            progress.check()
            version = mask.version  # first: what is edited while the change is computed makes it stale
            change = mask.replaced(result.mask)
            provenance = self._services.provenance(result)
            return Segmented(without_mask(result), device, provenance, change, result.mask, version, update)

        self.submit(Job(JobKind.UPDATE if update else JobKind.SEGMENT, work, self.segmented.emit))

    def forget_pipeline(self) -> None:
        """Let go of what a pipeline remembers of a CT that is no longer open."""
        self._pipeline = None

    def lay_again(self, made: Segmented | MaskOpened, mask: EditedMask) -> None:
        """Compute again what new labels change, for the mask was edited meanwhile. Takes moments."""
        if isinstance(made, MaskOpened):
            kind, announce = JobKind.OPEN, self.mask_opened.emit
            labels, marks = made.opened.labels, made.opened.marks
        else:
            kind, announce = JobKind.UPDATE if made.update else JobKind.SEGMENT, self.segmented.emit
            labels, marks = made.mask, None

        def work(_progress: Progress) -> Segmented | MaskOpened:
            version = mask.version
            return replace(made, change=mask.replaced(labels, marks), version=version)

        self.submit(Job(kind, work, announce))

    def recover(self, journal: Path) -> None:
        """Read an autosaved case and load its CT."""

        def work(progress: Progress) -> RecoveredCase:
            progress.show("Recovering", 0.0)
            return self._services.recover(journal, self._services.load)

        self.submit(Job(JobKind.OPEN, work, self.recovered.emit))

    def open_mask(self, path: Path, volume: Volume, mask: EditedMask) -> None:
        """Read a label map that lies over the CT; `mask` is the edited one that it is laid under."""

        def work(progress: Progress) -> MaskOpened:
            progress.show(f"Opening {path.name}", 0.0)
            opened = self._services.open_mask(path, volume)
            version = mask.version
            return MaskOpened(path, opened, mask.replaced(opened.labels, opened.marks), version)

        keep_private(path)
        self.submit(Job(JobKind.OPEN, work, self.mask_opened.emit))

    def compare(self, path: Path, volume: Volume, mask: EditedMask) -> None:
        """Compare the mask with another label map of the CT."""

        def work(progress: Progress) -> Compared:
            progress.show(f"Opening {path.name}", 0.0)
            other = self._services.open_mask(path, volume).labels
            return self._compared(path, volume, mask, other)

        keep_private(path)
        self.submit(Job(JobKind.OPEN, work, self.compared.emit))

    def compare_again(self, made: Compared, volume: Volume) -> None:
        """Compare the same two masks after an edit, in place of earlier such jobs."""

        def work(_progress: Progress) -> Compared:
            return replace(self._compared(made.path, volume, made.mask, made.labels), again=True)

        self.stop_waiting_jobs(JobKind.COMPARE)
        self.submit(Job(JobKind.COMPARE, work, self.compared.emit))

    def compare_below(self, volume: Volume, mask: EditedMask) -> None:
        """Compare the mask with the labels below what was made by hand."""

        def work(_progress: Progress) -> Compared:
            return self._compared(Path("the mask without your edits"), volume, mask, mask.below())

        self.submit(Job(JobKind.OPEN, work, self.compared.emit))

    def _compared(self, path: Path, volume: Volume, mask: EditedMask, other: NDArray[np.uint8]) -> Compared:
        now = mask.snapshot()
        return Compared(path, mask, other, self._services.compare(now.labels, other, volume), now.version)

    def edit(self, volume: Volume, mask: EditedMask, compute: Compute) -> None:
        """Compute an edit for the mask as it is when the job begins. It does not wait for measurements."""
        self.stop_waiting_jobs(JobKind.MEASURE, JobKind.SCENE)

        def work(_progress: Progress) -> Edited:
            now = mask.snapshot()
            return Edited(now.version, compute(volume, now.labels))

        self.submit(Job(JobKind.EDIT, work, self.edited.emit))

    def follow(self, mask: EditedMask, result: Result | None, previous: Scene | None, volume: Volume) -> None:
        """Measure the mask and prepare its 3-D objects, in place of earlier such jobs that wait or run."""
        self.stop_waiting_jobs(JobKind.MEASURE, JobKind.SCENE)
        services = self._services

        def measure(_progress: Progress) -> Findings:
            return services.measure(mask.snapshot().labels, mask.marks, result, volume)

        def build(progress: Progress) -> Scene:
            return services.scene(mask.snapshot().labels, result, previous, volume, progress)

        self.submit(Job(JobKind.MEASURE, measure, lambda findings: self.measured.emit(mask, findings)))
        self.submit(Job(JobKind.SCENE, build, lambda scene: self.scene_ready.emit(mask, scene)))

    def check_export(self, volume: Volume, path: Path, expected: FileStamp | None) -> Path:
        """The path of the sidecar of a mask at `path`; at once. Raises as the engine's `check_export`."""
        keep_private(path)
        return self._services.check_export(path, volume.path, expected)

    def export(self, saving: Saving, volume: Volume, path: Path) -> None:
        """Write the mask and its sidecar."""

        def work(progress: Progress) -> Saved:
            progress.show(f"Saving {path.name}", 0.0)
            try:
                stamp = self._services.export(saving, volume, path)
            except SidecarError as error:
                log_failure(JobKind.EXPORT, error)
                return Saved(path, saving.mask, saving.version, problem=sentence(error))
            return Saved(path, saving.mask, saving.version, stamp=stamp)

        keep_private(path)
        self.submit(Job(JobKind.EXPORT, work, self.exported.emit))

    def check_objects(self, volume: Volume, kind: str, path: Path) -> list[Path]:
        """The files that a DICOM object of this kind at `path` would replace; at once. Raises OutputError."""
        keep_private(path)
        return self._services.check_objects(kind, path, volume.path)

    def export_objects(self, saving: Saving, volume: Volume, kind: str, path: Path) -> None:
        """Write the mask as DICOM objects of one kind."""

        def work(progress: Progress) -> list[Path]:
            progress.show(f"Saving {path.name}", 0.0)
            return self._services.export_objects(saving, volume, kind, path)

        keep_private(path)
        self.submit(Job(JobKind.EXPORT, work, self.objects_exported.emit))

    def warm_up(self) -> None:
        """Import what the first segmentation needs, so that it starts at once."""
        self.submit(Job(JobKind.WARM_UP, lambda _progress: self._services.warm_up(), self.warmed_up.emit))


def without_mask(result: Result) -> Result:
    """The result with an empty mask that takes no memory, for the undo stack."""
    return cast("Result", replace(cast("Any", result), mask=np.broadcast_to(np.uint8(0), result.mask.shape)))
