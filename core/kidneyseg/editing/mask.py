"""A mask under correction: what is made by hand lies as a layer over what the networks made."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Box, bounding_box
from kidneyseg.editing.change import Change, Shape, Voxels
from kidneyseg.errors import InputError
from kidneyseg.imaging.labels import CYST, require_known

_MOST_VOXELS = 1 << 32  # flat indices are uint32


class Snapshot(NamedTuple):
    """A mask at one moment.

    Attributes:
        labels: uint8 (X, Y, Z), x fastest in memory, a copy.
        by_hand: how many voxels of each label, 0 among them, were made by hand.
        version: of the mask.
    """

    labels: NDArray[np.uint8]
    by_hand: Mapping[int, int]
    version: int


class EditedMask:
    """The labels of a case with, for each voxel, whether they were made by hand.

    One thread may change it. Others read a `snapshot`, since an array may change while they read it.

    Attributes:
        labels: uint8 (X, Y, Z), x fastest in memory: 0, 1 kidney, 2 tumour, 3 cyst. Only `apply` changes it.
        marks: uint8 (X, Y, Z): 0 where the label is the networks', else 1 + the networks' label below it.
        version: grows by one with each change.
    """

    def __init__(self, labels: NDArray[np.uint8]) -> None:
        """Start from the networks' or a file's labels, which are copied. Raises InputError for over 2^32 voxels."""
        self._allocate(labels.shape)
        box = bounding_box(labels)
        if box is not None:
            require_known(labels[box], "the mask")
            self.labels[box] = labels[box]
            self._count += np.bincount(labels[box].ravel(order="K"), minlength=CYST + 1)
            self._count[0] = 0

    @classmethod
    def empty(cls, shape: Shape) -> EditedMask:
        """A mask without a label. Raises InputError for over 2^32 voxels."""
        mask = cls.__new__(cls)
        mask._allocate(shape)
        return mask

    def _allocate(self, shape: tuple[int, ...]) -> None:
        if math.prod(shape) > _MOST_VOXELS:
            raise InputError("a mask of more than 4 billion voxels cannot be edited; crop the CT")
        # Arrays of zeros take memory only where they are written.
        self.labels = np.zeros(shape, np.uint8, order="F")
        self.marks = np.zeros(shape, np.uint8, order="F")
        self.version = 0
        self._changing = threading.Lock()
        self._flat_labels = self.labels.reshape(-1, order="F")
        self._flat_marks = self.marks.reshape(-1, order="F")
        self._count, self._by_hand = np.zeros((2, CYST + 1), np.int64)

    @property
    def shape(self) -> Shape:
        """Voxels along x, y, z."""
        x, y, z = self.labels.shape
        return x, y, z

    @property
    def count(self) -> Mapping[int, int]:
        """How many voxels have each label but 0."""
        return MappingProxyType({label: int(self._count[label]) for label in range(1, CYST + 1)})

    @property
    def by_hand(self) -> Mapping[int, int]:
        """How many voxels of each label, 0 among them, were made by hand."""
        return MappingProxyType({label: int(count) for label, count in enumerate(self._by_hand)})

    def snapshot(self) -> Snapshot:
        """A copy that another thread can read: no change is in it by half."""
        labels = np.zeros(self.shape, np.uint8, order="F")
        with self._changing:
            box = bounding_box(self.labels)
            if box is not None:
                labels[box] = self.labels[box]
            return Snapshot(labels, self.by_hand, self.version)

    def below(self) -> NDArray[np.uint8]:
        """The labels without what was made by hand, uint8 (X, Y, Z), a copy."""
        with self._changing:
            labels = self.labels.copy(order="K")
            box = bounding_box(self.marks)
            if box is not None:
                labels[box] = np.where(self.marks[box], self.marks[box] - np.uint8(1), labels[box])
        return labels

    # Computing a change. None of these changes the mask: `apply` does.

    def painted(self, voxels: Voxels, locked: Collection[int] = (), *, instead_of: Change | None = None) -> Change:
        """Give the voxels new labels by hand. A locked label neither gains nor loses voxels.

        With `instead_of`, the change that was applied last, the result is for the mask before that one.
        """
        index = voxels.index
        before = self._at(index)
        if instead_of is not None and len(instead_of):
            replaced = instead_of.index
            place = np.searchsorted(replaced, index).clip(max=len(replaced) - 1)
            in_both = replaced[place] == index
            before[in_both] = np.repeat(instead_of.before, instead_of.length, axis=0)[place[in_both]]
        after = before.copy()
        free = before[:, 0] != voxels.labels
        if locked:
            closed = np.zeros(256, np.bool_)
            closed[list(locked)] = True
            free &= ~(closed[before[:, 0]] | closed[voxels.labels])
        after[free, 0] = voxels.labels[free]
        unmarked = free & (before[:, 1] == 0)
        after[unmarked, 1] = 1 + before[unmarked, 0]
        return Change.of_voxels(index, before, after)

    def replaced(self, labels: NDArray[np.uint8]) -> Change:
        """Lay new labels of the networks, uint8 (X, Y, Z), under what was made by hand, which stays."""
        box = box_around(self.labels, self.marks, labels)
        if box is None:
            return Change.none()
        marks, new = self.marks[box], labels[box]
        below = np.where(marks, marks - np.uint8(1), self.labels[box])
        voxels = Voxels.of_box(box, new != below, new, self.shape)
        before = self._at(voxels.index)
        after = np.stack([voxels.labels, np.zeros_like(voxels.labels)], axis=1)
        marked = before[:, 1] > 0
        after[marked] = np.stack([before[marked, 0], voxels.labels[marked] + np.uint8(1)], axis=1)
        return Change.of_voxels(voxels.index, before, after)

    def discarded(self) -> Change:
        """Give every voxel the networks' label again."""
        box = bounding_box(self.marks)
        if box is None:
            return Change.none()
        index = Voxels.of_box(box, self.marks[box] > 0, 0, self.shape).index
        before = self._at(index)
        after = np.stack([before[:, 1] - np.uint8(1), np.zeros(len(index), np.uint8)], axis=1)
        return Change.of_voxels(index, before, after)

    def whole(self) -> Change:
        """The change that makes this mask of an empty one."""
        box = box_around(self.labels, self.marks)
        if box is None:
            return Change.none()
        index = Voxels.of_box(box, (self.labels[box] | self.marks[box]) > 0, 0, self.shape).index
        after = self._at(index)
        return Change.of_voxels(index, np.zeros_like(after), after)

    # Changing the mask

    def apply(self, change: Change) -> None:
        """Carry out a change, which must have been computed for the present state."""
        index = change.index
        after = np.repeat(change.after, change.length, axis=0)
        with self._changing:
            self._flat_labels[index] = after[:, 0]
            # A result alone leaves the marks' memory untouched.
            if change.before[:, 1].any() or change.after[:, 1].any():
                self._flat_marks[index] = after[:, 1]
            for side, sign in ((change.before, -1), (change.after, 1)):
                for count, rows in ((self._count, side[:, 0] > 0), (self._by_hand, side[:, 1] > 0)):
                    voxels = np.bincount(side[rows, 0], weights=change.length[rows], minlength=CYST + 1)
                    np.add(count, sign * voxels.astype(np.int64), out=count)
            self.version += 1

    def revert(self, change: Change) -> None:
        """Take the change that was applied last back."""
        self.apply(change.inverse())

    def _at(self, index: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Label and mark (N, 2) at flat indices."""
        return np.stack([self._flat_labels[index], self._flat_marks[index]], axis=1)


def box_around(*arrays: NDArray[np.uint8]) -> Box | None:
    """The smallest box around the non-zero elements of all arrays, None where there are none."""
    boxes = [box for box in map(bounding_box, arrays) if box is not None]
    if not boxes:
        return None
    x, y, z = (slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*boxes, strict=True))
    return x, y, z
