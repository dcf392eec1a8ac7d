"""Outlines of pixels, as closed polygons along the pixels' edges.

An outline through the pixels' edges holds exactly the area of its pixels, also of a single one, and the centres of all
its pixels and no others: whoever fills it gets the mask back, and areas times slice spacing are the mask's volume.
Marching squares (`skimage.measure.find_contours`) cuts the corners: a single pixel loses half of its area. It would
also need a library that a program which writes no RTSTRUCT does not need.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Corner = tuple[int, int]  # column and row of a pixel's corner: pixel (r, c) has the corners (c, r) to (c + 1, r + 1)
_Ring = list[Corner]  # the corners along an outline, one edge of a pixel apart; the first is not repeated
# Along the top, the right, the bottom and the left of a pixel: clockwise, as columns grow to the right and rows down.
_RIGHT, _DOWN, _LEFT, _UP = (1, 0), (0, 1), (-1, 0), (0, -1)


def outlines(inside: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The outlines of a set of pixels.

    Each piece of pixels that share edges has one closed outline, clockwise. A hole is joined to it by a channel without
    width, the keyhole technique of DICOM PS3.3 C.8.8.6.3, so that no outline lies within another one's area: filled by
    any rule, and each for itself, they give the pixels.

    Args:
        inside: bool (rows, columns).

    Returns:
        int64 (N, 2) for each piece, column and row of its corners in order, where pixel (r, c) has the corners (c, r)
        to (c + 1, r + 1); the first corner is not repeated.
    """
    used = [np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0)]
    if len(used[0]) == 0:
        return []
    first = np.array([used[1][0], used[0][0]])
    inside = inside[
        first[1] : used[0][-1] + 1, first[0] : used[1][-1] + 1
    ]  # else most of the time goes to what is empty
    pieces, count = ndimage.label(inside)
    outer: dict[int, _Ring] = {}
    holes: dict[int, list[_Ring]] = {}
    for ring, pixel in _rings(inside):
        piece = int(pieces[pixel])
        if _doubled_area(ring) > 0:
            outer[piece] = ring
        else:
            holes.setdefault(piece, []).append(ring)
    found = []
    for piece in range(1, count + 1):
        ring = outer[piece]
        for hole in sorted(holes.get(piece, ()), key=min):  # what lies left of a hole is joined before it
            ring = _joined(ring, hole)
        found.append(np.array(_without_straights(ring), np.int64) + first)
    return found


def _rings(inside: NDArray[np.bool_]) -> list[tuple[_Ring, tuple[int, int]]]:
    """Each ring of edges between inside and outside, inside to its right, and a pixel (row, column) inside it."""
    padded = np.pad(inside, 1)
    edges: dict[tuple[Corner, Corner], tuple[int, int]] = {}  # from a corner in a direction: the pixel of the edge
    for direction, beyond, (column, row) in (
        (_RIGHT, padded[:-2, 1:-1], (0, 0)),
        (_DOWN, padded[1:-1, 2:], (1, 0)),
        (_LEFT, padded[2:, 1:-1], (1, 1)),
        (_UP, padded[1:-1, :-2], (0, 1)),
    ):
        for r, c in np.argwhere(inside & ~beyond).tolist():
            edges[(c + column, r + row), direction] = (r, c)
    rings = []
    while edges:
        start, pixel = next(iter(edges.items()))
        ring: _Ring = []
        edge = start
        while not ring or edge != start:
            edges.pop(edge)
            ring.append(edge[0])
            edge = _next_edge(edge, edges, start)
        rings.append((ring, pixel))
    return rings


def _next_edge(
    edge: tuple[Corner, Corner], edges: dict[tuple[Corner, Corner], tuple[int, int]], start: tuple[Corner, Corner]
) -> tuple[Corner, Corner]:
    """The edge after one. Where two pixels touch at a corner it turns right, which stays at the pixel."""
    (x, y), (dx, dy) = edge
    corner = x + dx, y + dy
    turns = ((-dy, dx), (dx, dy), (dy, -dx))
    return next((corner, turn) for turn in turns if (corner, turn) in edges or (corner, turn) == start)


def _doubled_area(ring: _Ring) -> int:
    """Twice the area within a ring, below 0 where it is counter-clockwise: around a hole."""
    x, y = np.array(ring).T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _joined(ring: _Ring, hole: _Ring) -> _Ring:
    """A ring with a hole in it, by a channel from the hole's leftmost corner to the left."""
    first = min(range(len(hole)), key=hole.__getitem__)
    column, row = hole[first]
    places = {corner: place for place, corner in enumerate(ring)}
    while (column, row) not in places:
        column -= 1
    at = places[column, row]
    channel = [(x, row) for x in range(column + 1, hole[first][0])]
    return [*ring[: at + 1], *channel, *hole[first:], *hole[: first + 1], *reversed(channel), *ring[at:]]


def _without_straights(ring: _Ring) -> _Ring:
    """The corners of a ring at which it turns."""
    kept = []
    for place, corner in enumerate(ring):
        before, after = ring[place - 1], ring[(place + 1) % len(ring)]
        if (corner[0] - before[0], corner[1] - before[1]) != (after[0] - corner[0], after[1] - corner[1]):
            kept.append(corner)
    return kept
