"""Masks from files: over their CT, beside the mask, and saved again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtWidgets import QPushButton

from fakes import make_volume
from kidneyseg.editing import Voxels
from kidneyseg.editing.compare import Comparison
from kidneyseg.findings import measure
from kidneyseg.imaging.nifti import load_volume, save_mask, save_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.export import FileStamp, export_mask
from kidneyseg_gui.comparing import Shown
from kidneyseg_gui.outcomes import Saving
from kidneyseg_gui.panels.notices import INFO, _Notice
from kidneyseg_gui.services import Services
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


@pytest.fixture
def opened(window: WindowFixture) -> WindowFixture:
    """A window with a CT from a real file, without a mask."""
    path = ct_file(window, "ct.nii.gz")
    window.fake.volumes["ct.nii.gz"] = load_volume(path)
    with window.qtbot.waitSignal(window.case.volume_changed, timeout=5000):
        window.main.controller.open(path)
    window.idle()
    return window


def ct_file(window: WindowFixture, name: str, shape: tuple[int, int, int] = (48, 40, 24)) -> Path:
    path = window.folder / name
    save_volume(make_volume(shape), path)
    return path


def mask_file(window: WindowFixture, name: str, labels: NDArray[np.uint8]) -> Path:
    path = window.folder / name
    save_mask(labels, window.case.volume, path)
    return path


def some_labels(window: WindowFixture) -> NDArray[np.uint8]:
    labels = np.zeros(window.case.volume.shape, np.uint8, order="F")
    labels[5:10, 6:12, 3:7] = 1
    labels[8:10, 8:10, 4:6] = 2
    return labels


def lay_over(window: WindowFixture, path: Path) -> None:
    window.answers.path = path
    window.main.actions_.open_mask.trigger()
    window.idle()
    window.qtbot.waitUntil(lambda: window.case.mask is not None, timeout=5000)


def test_what_was_made_by_hand_before_the_mask_was_saved_outlasts_a_segmentation(opened: WindowFixture):
    labels, path, edits = some_labels(opened), opened.folder / "ct_mask.nii.gz", opened.case.edits
    marks = np.zeros_like(labels)
    marks[8:10, 8:10, 4:6] = 2  # the tumour was kidney
    volume = opened.case.volume
    export_mask(labels, volume, path, findings=measure(labels, volume), provenance=None, marks=marks)
    lay_over(opened, path)
    assert edits.by_hand == 8
    assert "Made by hand in an earlier session: 8 voxels of it." in opened.notices()
    opened.segment()
    assert (opened.case.mask[8:10, 8:10, 4:6] == 2).all()
    assert opened.case.mask[5, 6, 3] == 0
    edits.discard()
    assert not (opened.case.mask[8:10, 8:10, 4:6] == 2).any()


def test_a_mask_is_opened_over_its_ct_corrected_and_saved(opened: WindowFixture):
    labels = some_labels(opened)
    path = mask_file(opened, "ct_mask.nii.gz", labels)
    lay_over(opened, path)
    np.testing.assert_array_equal(opened.case.mask, labels)
    assert not opened.case.dirty
    assert opened.case.saved.path == path
    opened.qtbot.waitUntil(lambda: opened.case.findings is not None, timeout=5000)
    opened.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))
    assert opened.case.dirty
    opened.main.controller.ask_export()
    opened.idle()
    assert opened.answers.proposed == path  # where it came from
    assert opened.answers.asked == []  # its own file, unchanged since
    assert not opened.case.dirty


def test_a_mask_that_another_program_changed_is_asked_about(opened: WindowFixture):
    path = mask_file(opened, "ct_mask.nii.gz", some_labels(opened))
    lay_over(opened, path)
    path.write_bytes(path.read_bytes() + b"more")
    opened.answers.go_on = False
    opened.main.controller.ask_export()
    opened.idle()
    assert "Another program, or another window, has changed it" in opened.answers.asked[-1]
    assert opened.fake.exported == []
    opened.answers.go_on = True
    opened.main.controller.ask_export()
    opened.idle()
    assert opened.fake.exported == [path]


def test_a_mask_that_changes_between_the_question_and_the_writing_is_not_replaced(opened: WindowFixture):
    path = mask_file(opened, "ct_mask.nii.gz", some_labels(opened))
    lay_over(opened, path)
    opened.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))

    def changed_before(saving: Saving, volume: Volume, path: Path) -> FileStamp:
        path.write_bytes(b"of another reader")
        return Services().export(saving, volume, path)

    opened.jobs._services = replace(opened.jobs._services, export=changed_before)
    opened.main.controller.ask_export()
    opened.idle()
    assert "The mask was not saved. ct_mask.nii.gz was changed by another program" in opened.notices()
    assert path.read_bytes() == b"of another reader"
    assert opened.case.dirty


def test_opening_a_mask_can_be_undone_and_keeps_what_was_made_by_hand(opened: WindowFixture):
    opened.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))
    lay_over(opened, mask_file(opened, "ct_mask.nii.gz", some_labels(opened)))
    opened.qtbot.waitUntil(lambda: opened.case.edits.stack.count() == 2, timeout=5000)
    assert opened.case.edits.mask.count[3] == 9
    assert opened.case.edits.mask.count[2] == 8
    opened.case.edits.undo()
    assert opened.case.edits.mask.count[2] == 0


def test_a_segmentation_says_that_it_replaces_an_opened_mask_and_spares_its_file(opened: WindowFixture):
    labels = some_labels(opened)
    path = mask_file(opened, "reader.nii.gz", labels)
    lay_over(opened, path)
    opened.main.controller.segment()
    opened.idle()
    assert "has taken the place of the mask that was opened or recovered" in opened.notices()
    opened.answers.path, opened.answers.go_on = path, False
    opened.main.controller.ask_export()
    assert opened.answers.proposed.name == "ct_mask.nii.gz"
    assert "reader.nii.gz" in opened.answers.asked[-1]
    opened.case.edits.undo()
    np.testing.assert_array_equal(opened.case.mask, labels)


def test_a_mask_of_another_ct_is_refused_with_a_sentence(opened: WindowFixture):
    other = load_volume(ct_file(opened, "other.nii.gz", (12, 11, 10)))
    path = opened.folder / "other_mask.nii.gz"
    save_mask(np.zeros((12, 11, 10), np.uint8), other, path)
    opened.answers.path = path
    opened.main.actions_.open_mask.trigger()
    opened.idle()
    assert "voxels" in opened.notices()
    assert opened.case.mask is None


def test_two_masks_are_compared(opened: WindowFixture):
    labels = some_labels(opened)
    lay_over(opened, mask_file(opened, "a.nii.gz", labels))
    other = labels.copy()
    other[5:7] = 0
    opened.answers.path = mask_file(opened, "b.nii.gz", other)
    opened.main.actions_.compare.trigger()
    opened.qtbot.waitUntil(lambda: opened.case.compare is not None, timeout=5000)
    found = opened.case.compare
    assert found.shown == Shown.DIFFERENCE
    np.testing.assert_array_equal(found.comparison.difference == 1, (labels > 0) & (other == 0))
    assert f"Kidney Dice {found.comparison.dice['kidney']:.3f}" in opened.notices()
    assert "b.nii.gz" in opened.notices()
    for expected in (Shown.OURS, Shown.OTHER, Shown.DIFFERENCE):
        opened.main.actions_.next_compared.trigger()
        assert opened.case.compare.shown == expected
    opened.main.actions_.end_compare.trigger()
    assert opened.case.compare is None
    assert "b.nii.gz" not in opened.notices()


def test_a_comparison_follows_edits_and_shows_them(opened: WindowFixture):
    labels = some_labels(opened)
    lay_over(opened, mask_file(opened, "a.nii.gz", labels))
    opened.answers.path = mask_file(opened, "b.nii.gz", labels)
    opened.main.actions_.compare.trigger()
    opened.qtbot.waitUntil(lambda: opened.case.compare is not None, timeout=5000)
    opened.case.show_next_compared()
    opened.case.show_next_compared()
    assert opened.case.compare.shown == Shown.OTHER
    opened.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))
    assert opened.case.compare.shown == Shown.OURS
    opened.qtbot.waitUntil(lambda: np.count_nonzero(opened.case.compare.comparison.difference) == 9, timeout=5000)
    assert opened.case.compare.shown == Shown.OURS
    assert "Cyst Dice 0.000" in opened.notices()


def test_a_mask_that_was_saved_beside_the_ct_is_offered(opened: WindowFixture):
    labels = some_labels(opened)
    mask_file(opened, "ct_mask.nii.gz", labels)
    with opened.qtbot.waitSignal(opened.case.volume_changed, timeout=5000):
        opened.main.controller.open(opened.folder / "ct.nii.gz")
    opened.idle()
    assert "There is a mask of this CT: ct_mask.nii.gz" in opened.notices()
    next(button for button in opened.main.notices.findChildren(QPushButton) if button.text() == "Open it").click()
    opened.qtbot.waitUntil(lambda: opened.case.mask is not None, timeout=5000)
    np.testing.assert_array_equal(opened.case.mask, labels)


def test_a_label_map_that_is_opened_like_a_ct_lies_over_the_open_ct(opened: WindowFixture):
    labels = some_labels(opened)
    path = mask_file(opened, "m1.nii.gz", labels)
    opened.fake.label_maps.add("m1.nii.gz")
    opened.main.controller.open(path)
    opened.qtbot.waitUntil(lambda: opened.case.mask is not None, timeout=5000)
    np.testing.assert_array_equal(opened.case.mask, labels)
    assert opened.case.volume.name == "ct"


def test_a_label_map_without_its_ct_is_refused(window: WindowFixture):
    window.fake.label_maps.add("m1.nii.gz")
    window.main.controller.open(window.file("m1.nii.gz"))
    window.qtbot.waitUntil(lambda: "m1.nii.gz is a label map, not a CT." in window.notices(), timeout=5000)
    assert window.case.volume is None


def test_what_was_edited_can_be_shown(opened: WindowFixture):
    lay_over(opened, mask_file(opened, "a.nii.gz", some_labels(opened)))
    show = opened.main.actions_.compare_below
    assert not show.isEnabled()
    opened.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))
    show.trigger()
    opened.qtbot.waitUntil(lambda: opened.case.compare is not None, timeout=5000)
    assert np.count_nonzero(opened.case.compare.comparison.difference) == 9
    assert "the mask without your edits" in opened.notices()


def test_what_is_edited_while_the_masks_are_compared_is_in_the_comparison(opened: WindowFixture):
    labels = some_labels(opened)
    lay_over(opened, mask_file(opened, "a.nii.gz", labels))
    compare = opened.jobs._services.compare
    began, painted = threading.Event(), threading.Event()

    def slow(*masks: Any) -> Comparison:
        found = compare(*masks)
        began.set()
        assert painted.wait(5)
        return found

    opened.jobs._services = replace(opened.jobs._services, compare=slow)
    opened.answers.path = mask_file(opened, "b.nii.gz", labels)
    opened.main.actions_.compare.trigger()
    opened.qtbot.waitUntil(began.is_set, timeout=5000)
    opened.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))
    painted.set()
    opened.qtbot.waitUntil(lambda: opened.case.compare is not None, timeout=5000)
    opened.qtbot.waitUntil(lambda: np.count_nonzero(opened.case.compare.comparison.difference) == 9, timeout=5000)


def test_a_comparison_is_no_warning(opened: WindowFixture):
    lay_over(opened, mask_file(opened, "a.nii.gz", some_labels(opened)))
    opened.main.mask_files.compare(opened.folder / "a.nii.gz")
    opened.qtbot.waitUntil(lambda: opened.case.compare is not None, timeout=5000)
    kinds = {notice.text: notice.property("kind") for notice in opened.main.notices.findChildren(_Notice)}
    assert kinds[opened.case.compare.text] == INFO


@pytest.mark.parametrize("choice", ["Open as mask", "Compare", None])
def test_a_label_map_dropped_on_an_edited_case_is_no_other_ct(opened: WindowFixture, choice: str | None):
    opened.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))
    path = mask_file(opened, "m1.nii.gz", some_labels(opened))
    opened.fake.label_maps.add("m1.nii.gz")
    opened.answers.choice = choice
    opened.main.controller.open(path)
    opened.qtbot.waitUntil(lambda: bool(opened.answers.asked), timeout=5000)
    opened.idle()
    assert opened.answers.asked == [
        "m1.nii.gz is a mask. What shall be done with it? ('Open as mask', 'Compare')"
    ]  # and nothing else
    assert opened.case.edits.mask.count[3] == 9
    assert opened.case.edits.mask.count[2] == (8 if choice == "Open as mask" else 0)
    assert (opened.case.compare is not None) == (choice == "Compare")
