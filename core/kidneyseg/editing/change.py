"""What an edit changes, in little memory: proposed voxels, and reversible changes as runs along x.

A flat index counts voxels with x fastest: x + X * (y + Y * z).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Box
from kidneyseg.errors import InputError
from kidneyseg.runs import expanded, pieces

Shape = tuple[int, int, int]

_RUN = np.dtype([("start", "<u4"), ("length", "<u4"), ("before", "u1", 2), ("after", "u1", 2)])


@dataclass(frozen=True, eq=False)
class Voxels:
    """Voxels that a tool proposes to change, and their new labels."""

    index: NDArray[np.uint32]  #: flat indices, uint32 (N,), ascending, each once
    labels: NDArray[np.uint8]  #: the new labels, uint8 (N,)

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def none(cls) -> Voxels:
        """No voxels."""
        return cls(np.zeros(0, np.uint32), np.zeros(0, np.uint8))

    @classmethod
    def of_box(cls, box: Box, chosen: NDArray[np.bool_], labels: NDArray[np.uint8] | int, shape: Shape) -> Voxels:
        """The chosen voxels of a box.

        Args:
            box: where in the volume.
            chosen: bool (x, y, z) of the box's size.
            labels: their new label, or uint8 of the box's size.
            shape: of the volume.
        """
        width, (x, y, z) = chosen.shape[0], (side.start for side in box)
        start, length = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        values = [np.zeros(0, np.uint8)]
        # Of a slice, with an empty voxel at both ends of each row. Runs are far fewer than voxels.
        padded = np.zeros((chosen.shape[1], width + 2), np.bool_)
        for k in range(chosen.shape[2]):  # NumPy holds the interpreter's lock while it searches: a slice at a time
            padded[:, 1:-1] = chosen[:, :, k].T
            turns = np.flatnonzero(padded[:, 1:] != padded[:, :-1])
            row, column = divmod(turns[::2], width + 1)
            start.append((column + x) + shape[0] * ((row + y) + shape[1] * (k + z)))
            length.append(turns[1::2] - turns[::2])
            if not isinstance(labels, int):
                values.append(labels[:, :, k].T[padded[:, 1:-1]])
        index = expanded(np.concatenate(start), np.concatenate(length))
        return cls(index, np.full(len(index), labels, np.uint8) if isinstance(labels, int) else np.concatenate(values))


@dataclass(frozen=True, eq=False)
class Change:
    """A reversible change of a mask: runs of voxels along x that changed in the same way."""

    start: NDArray[np.uint32]  #: flat index of each run's first voxel, uint32 (R,), ascending
    length: NDArray[np.uint32]  #: voxels of each run, uint32 (R,)
    before: NDArray[np.uint8]  #: label and mark (see `EditedMask`) before the change, uint8 (R, 2)
    after: NDArray[np.uint8]  #: label and mark after it, uint8 (R, 2)

    @classmethod
    def none(cls) -> Change:
        """No change."""
        sides = np.zeros((0, 2), np.uint8)
        return cls(np.zeros(0, np.uint32), np.zeros(0, np.uint32), sides, sides)

    @classmethod
    def of_voxels(cls, index: NDArray[np.uint32], before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Change:
        """A change from ascending flat indices (N,) with label and mark (N, 2) before and after, where these differ."""
        one, two = _pairs(before), _pairs(after)
        differs = one != two
        if not differs.all():
            index, one, two = index[differs], one[differs], two[differs]
        if not len(index):
            return cls.none()
        new = np.ones(len(index), np.bool_)
        new[1:] = (index[1:] - index[:-1] != 1) | (one[1:] != one[:-1]) | (two[1:] != two[:-1])
        first = np.flatnonzero(new)
        length = np.diff(np.append(first, len(index))).astype(np.uint32)
        return cls(index[first].astype(np.uint32), length, _sides(one[first]), _sides(two[first]))

    @property
    def index(self) -> NDArray[np.uint32]:
        """Flat indices of the changed voxels, uint32 (N,), ascending."""
        return expanded(self.start, self.length)

    @property
    def before_labels(self) -> NDArray[np.uint8]:
        """The labels of the changed voxels before the change, uint8 (N,)."""
        return np.repeat(self.before[:, 0], self.length)

    def __len__(self) -> int:
        return int(self.length.sum())

    def box(self, shape: Shape) -> Box | None:
        """The smallest box around the changed voxels of a volume of this shape; None for no change."""
        if not len(self.start):
            return None
        first, last = self.start.astype(np.int64), self.start.astype(np.int64) + self.length - 1
        # A run may go on from one row of voxels into the next: it then covers whole rows.
        wraps = first // shape[0] != last // shape[0]
        x = np.where(wraps, 0, first % shape[0]), np.where(wraps, shape[0] - 1, last % shape[0])
        rows = first // shape[0], last // shape[0]
        new_plane = rows[0] // shape[1] != rows[1] // shape[1]
        y = np.where(new_plane, 0, rows[0] % shape[1]), np.where(new_plane, shape[1] - 1, rows[1] % shape[1])
        z = rows[0] // shape[1], rows[1] // shape[1]
        sides = [slice(int(low.min()), int(high.max()) + 1) for low, high in (x, y, z)]
        return sides[0], sides[1], sides[2]

    def inverse(self) -> Change:
        """The change that takes this one back."""
        return Change(self.start, self.length, self.after, self.before)

    def to_bytes(self) -> bytes:
        """A compressed copy for a file."""
        runs = np.zeros(len(self.start), _RUN)
        for name in ("start", "length", "before", "after"):
            runs[name] = getattr(self, name)
        return zlib.compress(runs.tobytes(), 1)

    @classmethod
    def from_bytes(cls, content: bytes) -> Change:
        """The change that `to_bytes` wrote. Raises InputError where the bytes are damaged."""
        try:
            runs = np.frombuffer(zlib.decompress(content), _RUN)
        except (zlib.error, ValueError) as error:
            raise InputError("a stored change of the mask is damaged") from error
        start, length = runs["start"].astype(np.uint32), runs["length"].astype(np.uint32)
        return cls(start, length, runs["before"].copy(), runs["after"].copy())


def merged(changes: Sequence[Change]) -> Change:
    """One change that has the effect of these, one after the other."""
    if len(changes) == 1:
        return changes[0]
    if not changes:
        return Change.none()
    start, length = (np.concatenate([getattr(one, name) for one in changes]) for name in ("start", "length"))
    before, after = (_pairs(np.concatenate([getattr(one, side) for one in changes])) for side in ("before", "after"))
    start = start.astype(np.int64)
    start, stop, run = pieces(start, start + length)
    # Of the pieces at one place the first one's before and the last one's after count.
    first = np.flatnonzero(np.append(True, start[1:] != start[:-1])) if len(start) else run
    last = np.append(first[1:], len(start)) - 1 if len(start) else run
    return _of_runs(start[first], stop[first], before[run[first]], after[run[last]])


def _of_runs(
    start: NDArray[np.int64], stop: NDArray[np.int64], before: NDArray[np.uint16], after: NDArray[np.uint16]
) -> Change:
    """A change from ascending runs that do not overlap, where before and after differ; adjacent ones are joined."""
    differs = before != after
    start, stop, before, after = start[differs], stop[differs], before[differs], after[differs]
    if not len(start):
        return Change.none()
    same = (before[1:] == before[:-1]) & (after[1:] == after[:-1])
    first = np.flatnonzero(np.append(True, (start[1:] != stop[:-1]) | ~same))
    length = stop[np.append(first[1:], len(start)) - 1] - start[first]
    sides = _sides(before[first]), _sides(after[first])
    return Change(start[first].astype(np.uint32), length.astype(np.uint32), *sides)


def _pairs(sides: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Label and mark (N, 2) as one number (N,): a comparison of two columns takes many times as long."""
    return np.ascontiguousarray(sides).view(np.uint16)[:, 0]


def _sides(pairs: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The inverse of `_pairs`."""
    return pairs[:, None].view(np.uint8)
