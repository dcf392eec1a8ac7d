"""The frames of DICOM objects as slices: where each lies, and how its numbers become HU."""

from __future__ import annotations

from typing import NamedTuple

from kidneyseg.imaging.dicom import tags
from kidneyseg.imaging.dicom.elements import PER_FRAME_GROUPS, SHARED_GROUPS, Elements
from kidneyseg.imaging.dicom.instances import Instance

_MOST_FRAMES = 20_000


class Slice(NamedTuple):
    """One frame of an object. What its header does not state is None."""

    instance: Instance
    number: int  #: its frame number in the instance, from 1
    position: tuple[float, float, float] | None  #: LPS mm of the centre of its first pixel
    orientation: tuple[float, ...] | None  #: six numbers: the direction along a row, then along a column
    spacing: tuple[float, float] | None  #: mm between rows, then between columns
    rescale: tuple[float, float] | None  #: slope and intercept
    window: tuple[float, float] | None  #: width and level to show it with, of rescaled values; the first that is stated
    stack: tuple[str, ...]  #: what tells frames of one object apart: type, stack, time


def slices_of(instance: Instance) -> list[Slice]:
    """The frames of an object with pixel data, in the order that they are stored; of a damaged header none."""
    elements = instance.elements
    count = int(elements.number(tags.NUMBER_OF_FRAMES) or 1)
    if count < 1 or count > _MOST_FRAMES:
        return []
    groups = [elements]
    if SHARED_GROUPS in elements:
        groups = [*elements.items(SHARED_GROUPS)[:1], elements]
    per_frame = elements.items(PER_FRAME_GROUPS) if PER_FRAME_GROUPS in elements else []
    if per_frame and len(per_frame) != count:
        return []
    if not per_frame:
        return [_slice(instance, number, groups) for number in range(1, count + 1)]
    return [_slice(instance, number, [own, *groups]) for number, own in enumerate(per_frame, start=1)]


def _slice(instance: Instance, number: int, groups: list[Elements]) -> Slice:
    """A frame by its functional groups, the most specific first; a classic image has its header only."""
    position = _numbers(groups, tags.PLANE_POSITION, tags.IMAGE_POSITION, 3)
    orientation = _numbers(groups, tags.PLANE_ORIENTATION, tags.IMAGE_ORIENTATION, 6)
    spacing = _numbers(groups, tags.PIXEL_MEASURES, tags.PIXEL_SPACING, 2)
    slope = _numbers(groups, tags.PIXEL_VALUE_TRANSFORMATION, tags.RESCALE_SLOPE, 1)
    intercept = _numbers(groups, tags.PIXEL_VALUE_TRANSFORMATION, tags.RESCALE_INTERCEPT, 1)
    rescale = None if slope is None and intercept is None else ((slope or (1.0,))[0], (intercept or (0.0,))[0])
    width = _numbers(groups, tags.FRAME_VOI_LUT, tags.WINDOW_WIDTH, 1)
    level = _numbers(groups, tags.FRAME_VOI_LUT, tags.WINDOW_CENTER, 1)
    return Slice(
        instance,
        number,
        None if position is None else (position[0], position[1], position[2]),
        orientation,
        None if spacing is None else (spacing[0], spacing[1]),
        rescale,
        None if width is None or level is None or width[0] < 1 else (width[0], level[0]),
        _stack(groups) if len(groups) > 1 else (),
    )


def _numbers(groups: list[Elements], sequence: int, tag: int, count: int) -> tuple[float, ...] | None:
    for group in groups:
        for one in (*group.items(sequence)[:1], group) if sequence in group else (group,):
            found = one.numbers(tag)
            if len(found) >= count:
                return tuple(found[:count])
    return None


def _stack(groups: list[Elements]) -> tuple[str, ...]:
    own = groups[0]
    types = [one.text(tags.FRAME_TYPE) for one in own.items(tags.CT_IMAGE_FRAME_TYPE)[:1]]
    content = [
        f"{one.text(tags.STACK_ID)}/{one.integer(tags.TEMPORAL_POSITION_INDEX) or ''}"
        for one in own.items(tags.FRAME_CONTENT)[:1]
    ]
    return (*types, *content)
