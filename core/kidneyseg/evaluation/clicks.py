"""Simulated clicks: how well `editing.fix` mends what the networks got wrong, click by click."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import Labels, Mask
from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.editing import Click, Voxels, fix
from kidneyseg.editing.growth import REACH_MM
from kidneyseg.evaluation.click_tasks import FALSE_TUMOUR, ClickTask, click_tasks
from kidneyseg.evaluation.end_to_end import SegmentationSpec
from kidneyseg.evaluation.scores import AS_IS, UNUSABLE, Failure, failed
from kidneyseg.evaluation.variants import CaseVariant, Variants, case_variants
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.metrics import dice
from kidneyseg.segmentation.pipeline import Pipeline


@dataclass(frozen=True)
class ClickScore:
    """How a task (see `click_tasks`) went on with each click."""

    name: str  #: of the version of the CT
    case: str  #: name of the CT
    group: str  #: of the version
    kind: str  #: of the task
    ml: float  #: volume of the lesion, false tumour or missing pole
    #: in the task's region after 0, 1 ... clicks; of a false tumour, Dice of the voxels that were put right and those
    #: that were wrong or were made wrong. A task that needs no further click keeps its last Dice.
    dice: tuple[float, ...]
    #: tumour Dice of the whole CT after 0, 1 ... clicks, None where the CT has no tumour
    case_dice: tuple[float, ...] | None
    seconds: tuple[float, ...]  #: of each click
    worse_outside: int  #: right voxels that became wrong farther than 20 mm from every click
    clicks: tuple[tuple[int, int, int, int], ...]  #: x, y, z and label of each click

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def measure_clicks(
    cases: Sequence[CaseFiles], spec: SegmentationSpec, variants: Variants | None = None, *, clicks: int = 3
) -> Iterator[ClickScore | Failure]:
    """Segment every version of every CT in this process and mend its errors by simulated clicks.

    Args:
        cases: labelled CTs.
        spec: settings, networks and device. Clicks need stage 2's probabilities.
        variants: the versions of the CTs; None takes the originals.
        clicks: how many for each task.
    """
    for case in cases:
        try:
            for variant in case_variants(case, variants or Variants()):
                result = Pipeline(variant.volume, device=spec.device, models_dir=spec.models).run(spec.settings)
                for task in click_tasks(variant, result.mask, result.stage2):
                    yield score_clicks(variant, task, clicks, case=case.name)
        except UNUSABLE as error:
            yield failed(error, case.name, case.name)


def score_clicks(variant: CaseVariant, task: ClickTask, count: int, *, case: str = "") -> ClickScore:
    """Simulate `count` clicks, each in the middle of the largest error that the clicks before it left."""
    clicks: list[Click] = []
    labels, changed = task.labels, Voxels.none()
    scores, of_case, seconds = [_dice(variant, task, labels)], [_case_dice(variant, labels)], []
    for _ in range(count):
        at = _middle_of_error(variant, task, labels)
        if at is not None:
            clicks.append(Click(at, int(variant.truth[at])))
            started = time.perf_counter()
            changed = fix(variant.volume, task.labels, task.evidence, clicks)
            seconds.append(time.perf_counter() - started)
            labels = _with(task.labels, changed)
        scores.append(_dice(variant, task, labels))
        of_case.append(_case_dice(variant, labels))
    return ClickScore(
        name=variant.name,
        case=case or variant.name,
        group=variant.group or AS_IS,
        kind=task.kind,
        ml=task.ml,
        dice=tuple(scores),
        case_dice=tuple(of_case) if (variant.truth == TUMOUR).any() else None,
        seconds=tuple(seconds),
        worse_outside=_worse_outside(variant, task.labels, changed, clicks),
        clicks=tuple((*click.voxel, click.label) for click in clicks),
    )


def _with(labels: Labels, voxels: Voxels) -> Labels:
    after = labels.copy(order="F")
    after.reshape(-1, order="F")[voxels.index] = voxels.labels
    return after


def _dice(variant: CaseVariant, task: ClickTask, labels: Labels) -> float:
    if task.kind != FALSE_TUMOUR:
        return dice(task.chosen(labels), task.chosen(variant.truth))
    box, inside = task.region
    wrong = (task.labels[box] == TUMOUR) & (variant.truth[box] != TUMOUR) & inside
    right_now = labels[box] == variant.truth[box]
    made_wrong = (task.labels[box] == variant.truth[box]) & ~right_now & inside
    mended = wrong & right_now
    return dice(mended | made_wrong, wrong)


def _case_dice(variant: CaseVariant, labels: Labels) -> float:
    return dice(labels == TUMOUR, variant.truth == TUMOUR)


def _middle_of_error(variant: CaseVariant, task: ClickTask, labels: Labels) -> tuple[int, int, int] | None:
    """The voxel of the largest connected error that is farthest from its border, None without an error."""
    is_there, should_be = task.chosen(labels), task.chosen(variant.truth)
    errors = [_largest(should_be & ~is_there), _largest(is_there & ~should_be)]
    error = max(errors, key=np.count_nonzero)
    if not error.any():
        return None
    depth = ndimage.distance_transform_edt(np.pad(error, 1), sampling=variant.volume.spacing_mm)
    deepest = np.unravel_index(depth.argmax(), depth.shape)
    x, y, z = (int(i) - 1 + side.start for i, side in zip(deepest, task.region.box, strict=True))
    return x, y, z


def _largest(mask: Mask) -> Mask:
    """The largest connected component."""
    components, count = ndimage.label(mask)
    if count < 2:
        return mask
    largest: Mask = components == 1 + np.bincount(components[mask])[1:].argmax()
    return largest


def _worse_outside(variant: CaseVariant, before: Labels, changed: Voxels, clicks: Sequence[Click]) -> int:
    """How many right voxels became wrong farther than REACH_MM from every click."""
    at = np.stack(np.unravel_index(changed.index, before.shape, order="F"), axis=1)
    was, true = before[tuple(at.T)], variant.truth[tuple(at.T)]
    at = at[(was == true) & (changed.labels != true)]
    if not len(at):
        return 0
    points = np.concatenate([click.voxels for click in clicks])
    spacing = np.asarray(variant.volume.spacing_mm)
    apart = np.min([np.linalg.norm((at - point) * spacing, axis=1) for point in points], axis=0)
    return int(np.count_nonzero(apart > REACH_MM))
