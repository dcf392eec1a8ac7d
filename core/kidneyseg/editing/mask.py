"""A mask under correction: what is made by hand lies as a layer over what the networks made."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Box, bounding_box, box_around
from kidneyseg.editing.change import Change, Shape, Voxels
from kidneyseg.errors import InputError
from kidneyseg.imaging.labels import CYST, require_known

_MOST_VOXELS = 1 << 32  # flat indices are uint32
_LABEL_BITS, _MARK_BITS = np.uint8(7), np.uint8(3)  # label and mark in one byte: below the mark lie three bits


class Snapshot(NamedTuple):
    """A mask at one moment."""

    labels: NDArray[np.uint8]  #: uint8 (X, Y, Z), x fastest in memory, a copy
    marks: NDArray[np.uint8] | None  #: the same of `EditedMask.marks`; None where they were not asked for
    by_hand: Mapping[int, int]  #: how many voxels of each label, 0 among them, were made by hand
    version: int  #: of the mask


class EditedMask:
    """The labels of a case with, for each voxel, whether they were made by hand.

    One thread may change it. Others read a `snapshot`, since an array may change while they read it.

    Attributes:
        labels: uint8 (X, Y, Z), x fastest in memory: 0, 1 kidney, 2 tumour, 3 cyst. Only `apply` changes it.
        marks: uint8 (X, Y, Z): 0 where the label is the networks', else 1 + the networks' label below it.
        version: grows by one with each change.
    """

    _used: Box | None = None  # holds all labels and marks; it grows with each change and never shrinks

    def __init__(self, labels: NDArray[np.uint8]) -> None:
        """Start from the networks' or a file's labels, which are copied. Raises InputError for over 2^32 voxels."""
        self._allocate(labels.shape)
        box = bounding_box(labels)
        if box is not None:
            require_known(labels[box], "the mask")
            self._used = box
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

    def snapshot(self, *, with_marks: bool = False) -> Snapshot:
        """A copy that another thread can read: no change is in it by half."""
        labels = np.zeros(self.shape, np.uint8, order="F")
        marks = np.zeros(self.shape, np.uint8, order="F") if with_marks else None
        with self._changing:
            if self._used is not None:
                labels[self._used] = self.labels[self._used]
                if marks is not None:
                    marks[self._used] = self.marks[self._used]
            return Snapshot(labels, marks, self.by_hand, self.version)

    def below(self) -> NDArray[np.uint8]:
        """The labels without what was made by hand, uint8 (X, Y, Z), a copy."""
        labels = np.zeros(self.shape, np.uint8, order="F")
        with self._changing:
            box = self._used
            if box is not None:
                labels[box] = np.where(self.marks[box], self.marks[box] - np.uint8(1), self.labels[box])
        return labels

    # Computing a change. None of these changes the mask: `apply` does.

    def painted(self, voxels: Voxels, locked: Collection[int] = (), *, instead_of: Change | None = None) -> Change:
        """Give the voxels new labels by hand. A locked label neither gains nor loses voxels.

        With `instead_of`, the change that was applied last, the result is for the mask before that one.
        """
        index, labels = voxels.index, voxels.labels
        before = self._at(index)
        if instead_of is not None and len(instead_of):
            replaced = instead_of.index
            place = np.searchsorted(replaced, index).clip(max=len(replaced) - 1)
            in_both = replaced[place] == index
            before[in_both] = np.repeat(instead_of.before, instead_of.length, axis=0)[place[in_both]]
        free = before[:, 0] != labels
        if locked:
            closed = np.zeros(256, np.bool_)
            closed[list(locked)] = True
            free &= ~(closed[before[:, 0]] | closed[labels])
        if not free.all():
            index, before, labels = index[free], before[free], labels[free]
        below = np.where(before[:, 1], before[:, 1], before[:, 0] + np.uint8(1))
        return Change.of_voxels(index, before, _paired(labels, below))

    def replaced(self, labels: NDArray[np.uint8], marks: NDArray[np.uint8] | None = None) -> Change:
        """Lay new labels under what was made by hand, which stays.

        Args:
            labels: of the networks or a file, uint8 (X, Y, Z).
            marks: uint8 (X, Y, Z), which of them were made by hand in an earlier session; None for none of them.
        """
        boxes = [self._used, bounding_box(labels), None if marks is None else bounding_box(marks)]
        known = [box for box in boxes if box is not None]
        if not known:
            return Change.none()
        box = box_around(*known)
        own, new = self.marks[box], labels[box]
        new_marks = np.zeros_like(own) if marks is None else marks[box]
        below = np.where(new_marks, new_marks - np.uint8(1), new)
        after = np.where(own, self.labels[box], new), np.where(own, below + np.uint8(1), new_marks)
        differs = (after[0] != self.labels[box]) | (after[1] != own)
        voxels = Voxels.of_box(box, differs, after[0] | after[1] << _MARK_BITS, self.shape)
        sides = _paired(voxels.labels & _LABEL_BITS, voxels.labels >> _MARK_BITS)
        return Change.of_voxels(voxels.index, self._at(voxels.index), sides)

    def discarded(self) -> Change:
        """Give every voxel the networks' label again."""
        box = self._used
        if box is None:
            return Change.none()
        index = Voxels.of_box(box, self.marks[box] > 0, 0, self.shape).index
        before = self._at(index)
        return Change.of_voxels(index, before, _paired(before[:, 1] - np.uint8(1), np.zeros_like(before[:, 0])))

    def whole(self) -> Change:
        """The change that makes this mask of an empty one."""
        box = self._used
        if box is None:
            return Change.none()
        index = Voxels.of_box(box, (self.labels[box] | self.marks[box]) > 0, 0, self.shape).index
        after = self._at(index)
        return Change.of_voxels(index, np.zeros_like(after), after)

    # Changing the mask

    def apply(self, change: Change) -> None:
        """Carry out a change, which must have been computed for the present state."""
        index = change.index.astype(np.intp)  # see `_at`
        labels, marks = (np.repeat(change.after[:, side], change.length) for side in (0, 1))
        box = change.box(self.shape)
        if box is not None and self._used is not None:
            box = box_around(box, self._used)
        with self._changing:
            self._flat_labels[index] = labels
            # A result alone leaves the marks' memory untouched.
            if change.before[:, 1].any() or change.after[:, 1].any():
                self._flat_marks[index] = marks
            for side, sign in ((change.before, -1), (change.after, 1)):
                for count, rows in ((self._count, side[:, 0] > 0), (self._by_hand, side[:, 1] > 0)):
                    voxels = np.bincount(side[rows, 0], weights=change.length[rows], minlength=CYST + 1)
                    np.add(count, sign * voxels.astype(np.int64), out=count)
            self._used = box or self._used
            self.version += 1

    def revert(self, change: Change) -> None:
        """Take the change that was applied last back."""
        self.apply(change.inverse())

    def _at(self, index: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Label and mark (N, 2) at flat indices."""
        at = index.astype(np.intp)  # NumPy would do so piece by piece, which takes several times as long
        return _paired(self._flat_labels[at], self._flat_marks[at])


def _paired(labels: NDArray[np.uint8], marks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Label and mark side by side, uint8 (N, 2)."""
    both = np.empty((len(labels), 2), np.uint8)
    both[:, 0], both[:, 1] = labels, marks
    return both
