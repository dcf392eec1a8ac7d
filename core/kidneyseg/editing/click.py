"""Click to fix: from clicks "tumour", "kidney" or "not that" to the voxels that get another label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from kidneyseg.arrays import Box, Floats, Labels, Voxel
from kidneyseg.editing.change import Voxels
from kidneyseg.editing.growth import REACH_MM, GrownObject, Seed, grown_objects, membership
from kidneyseg.editing.surroundings import CELL_MM, Scene
from kidneyseg.errors import InputError
from kidneyseg.imaging.labels import CYST, TISSUE, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.resample import upsampled_slices, voxel_lattice

# Points of a stroke closer than this to one before them say nothing new about the object.
_STROKE_MM = 5.0

# A piece that the mask has wrong is relabelled whole when this share of it would be.
_MOST_OF_PIECE = 0.7


@dataclass(frozen=True)
class Click:
    """A correction at a voxel, or along a stroke."""

    voxel: Voxel  #: where the user clicked: x, y, z
    label: int  #: what is there: 0 "not that", 1 kidney, 2 tumour, 3 cyst
    stroke: tuple[Voxel, ...] = ()  #: further voxels with the same label, of a click that was dragged

    @property
    def voxels(self) -> NDArray[np.int64]:
        """All its voxels, int64 (N, 3)."""
        return np.array([self.voxel, *self.stroke], np.int64)


def fix(volume: Volume, labels: Labels, evidence: PointCloud | None, clicks: Sequence[Click]) -> Voxels:
    """The voxels that change by all clicks made so far.

    A click grows an object around itself, or bounds those of other clicks where the label there is right already.
    Kidney and "not that" change only voxels with the label that they were clicked on; tumour and cyst may change any.
    Of what a further click changes, only the connected piece that holds the click counts, and it takes its own label
    from no voxel.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), 0 ... 3, as they were before the first of the clicks.
        evidence: stage 2's cloud with probabilities (N, 3); None where there is none, as for a mask from a file.
        clicks: all clicks so far, in their order. A click is taken back by leaving it out.

    Returns:
        Voxels whose label differs from `labels`; none is farther than REACH_MM from every click.

    Raises:
        InputError: a click lies outside the CT, or its label is not 0 ... 3.
    """
    _check(volume, clicks)
    parts = [_fixed(volume, labels, evidence, group) for group in _independent(volume, clicks)]
    if not parts:
        return Voxels.none()
    index = np.concatenate([part.index for part in parts])
    order = np.argsort(index)
    return Voxels(index[order], np.concatenate([part.labels for part in parts])[order])


def _independent(volume: Volume, clicks: Sequence[Click]) -> list[list[Click]]:
    """Groups of clicks, in their order, whose reaches do not meet."""
    groups: list[list[int]] = []
    points = [click.voxels * volume.spacing_mm for click in clicks]
    for i, own in enumerate(points):
        near = [group for group in groups if any(cdist(own, points[j]).min() <= 2 * REACH_MM for j in group)]
        groups = [group for group in groups if group not in near]
        groups.append([*sorted(j for group in near for j in group), i])
    return [[clicks[i] for i in group] for group in groups]


def _fixed(volume: Volume, labels: Labels, evidence: PointCloud | None, clicks: Sequence[Click]) -> Voxels:
    """The voxels that a group of clicks changes."""
    seeds = [_seeds(volume, labels, click) for click in clicks]
    points = np.array([seed.at_mm for own in seeds for seed in own])
    scene = Scene.of(volume, labels, evidence, points, REACH_MM)
    box = _box_around(volume, clicks)
    before = labels[box]
    after = before.copy(order="F")
    for k, click in enumerate(clicks, start=1):
        made = clicks[:k]
        proposed = _proposed(volume, scene, before, box, made, [seed for own in seeds[:k] for seed in own])
        at = tuple((click.voxels - _low(box)).T)
        changed = _may_follow(click.label, before, after, proposed)
        changed[at] = True
        pieces, _ = ndimage.label(changed)
        taken = np.isin(pieces, pieces[at])
        after[taken] = proposed[taken]
        after[at] = click.label
    return Voxels.of_box(box, after != before, after, volume.shape)


def _may_follow(label: int, before: Labels, after: Labels, proposed: Labels) -> NDArray[np.bool_]:
    """Which proposals a click with this label may bring about, given the labels before all clicks and after the last.

    It takes its own label from no voxel. A tumour or a cyst only grows; kidney and "not that" also give voxels back.
    """
    new = proposed == label
    if label < TUMOUR:
        new |= proposed == before
    return np.asarray((proposed != after) & (after != label) & new)


def _seeds(volume: Volume, labels: Labels, click: Click) -> list[Seed]:
    """The click's voxel and enough of its stroke."""
    seeds: list[Seed] = []
    for voxel in click.voxels:
        at = (voxel + 0.5) * volume.spacing_mm
        if all(np.linalg.norm(at - seed.at_mm) >= _STROKE_MM for seed in seeds):
            seeds.append(Seed(at, click.label, int(labels[tuple(voxel)])))
    return seeds


def _proposed(
    volume: Volume, scene: Scene, before: Labels, box: Box, clicks: Sequence[Click], seeds: Sequence[Seed]
) -> Labels:
    """The labels of a box after some clicks, each of which may change anything within its reach."""
    after = before.copy(order="F")
    inner = _box_around(volume, clicks)
    part = _from(box, inner)
    kinds: dict[int, list[GrownObject]] = {}
    for grown in grown_objects(scene, seeds):
        kinds.setdefault(grown.label, []).append(grown)
    if kinds:
        near = scene.crop(np.array([seed.at_mm for seed in seeds]), REACH_MM + 2 * CELL_MM)
        fields = np.stack([membership(near, own, seeds) for own in kinds.values()])
        new, wins = _winner(volume, near, inner, fields)
        label = np.array(list(kinds), np.uint8)[new]
        reach = _in_reach(volume, inner, kinds)
        wins &= _may_change(kinds)[label, before[part]] & reach
        after[part][wins] = label[wins]
        for kind, own in kinds.items():
            if kind < TUMOUR:
                _relabel_whole_pieces(before[part], after[part], kind, own, reach)
    for click in clicks:
        after[tuple((click.voxels - _low(box)).T)] = click.label
    return after


def _winner(volume: Volume, scene: Scene, box: Box, fields: Floats) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Which field is highest at each voxel of a box, and whether it is above one half."""
    voxels = voxel_lattice(volume.shape, volume.spacing_mm, (_low(box), [side.stop for side in box]))
    new, wins = np.empty(voxels.shape, np.intp, order="F"), np.empty(voxels.shape, np.bool_, order="F")
    for k, values in upsampled_slices(fields, scene.cells, voxels):
        new[:, :, k], wins[:, :, k] = values.argmax(axis=0), values.max(axis=0) > 0.5
    return new, wins


def _may_change(kinds: Mapping[int, Sequence[GrownObject]]) -> NDArray[np.bool_]:
    """Whether a new label (row) may replace a base label (column)."""
    may = np.zeros((CYST + 1, CYST + 1), np.bool_)
    for kind, own in kinds.items():
        replaced = range(CYST + 1) if kind >= TUMOUR else {was for grown in own for was in grown.was}
        may[kind, list(replaced)] = True
    return may


def _relabel_whole_pieces(
    before: Labels, after: Labels, kind: int, own: Sequence[GrownObject], reach: NDArray[np.bool_]
) -> None:
    """Relabel, in place, the rest of connected pieces of which the objects took most. Such a piece was wrong."""
    for was in {was for grown in own for was in grown.was} - {TISSUE}:
        pieces, count = ndimage.label((before == was) & reach)
        taken = np.bincount(pieces[after == kind], minlength=count + 1)
        whole = taken > _MOST_OF_PIECE * np.bincount(pieces.ravel(), minlength=count + 1)
        whole[0] = False
        after[whole[pieces] & (after == was)] = kind


def _in_reach(volume: Volume, box: Box, kinds: Mapping[int, Sequence[GrownObject]]) -> NDArray[np.bool_]:
    """Which voxels of a box are close enough to a click that changes something."""
    away = np.ones([side.stop - side.start for side in box], np.bool_)
    at = np.array([seed.at_mm for own in kinds.values() for grown in own for seed in grown.seeds])
    away[tuple((np.floor(at / volume.spacing_mm).astype(int) - _low(box)).T)] = False
    return np.asarray(ndimage.distance_transform_edt(away, sampling=volume.spacing_mm) <= REACH_MM)


def _box_around(volume: Volume, clicks: Sequence[Click]) -> Box:
    """The voxels within the reach of clicks."""
    points = np.concatenate([click.voxels for click in clicks])
    reach = np.ceil(REACH_MM / np.asarray(volume.spacing_mm)).astype(int)
    low, high = np.maximum(points.min(axis=0) - reach, 0), np.minimum(points.max(axis=0) + reach + 1, volume.shape)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return x, y, z


def _from(outer: Box, inner: Box) -> Box:
    """A box in the indices of one around it."""
    x, y, z = (slice(b.start - a.start, b.stop - a.start) for a, b in zip(outer, inner, strict=True))
    return x, y, z


def _low(box: Box) -> NDArray[np.int64]:
    return np.array([side.start for side in box])


def _check(volume: Volume, clicks: Sequence[Click]) -> None:
    for click in clicks:
        if not 0 <= click.label <= CYST:
            raise InputError(f"a click has the label {click.label}; known are 0, 1 kidney, 2 tumour, 3 cyst")
        if (click.voxels < 0).any() or (click.voxels >= volume.shape).any():
            raise InputError(f"the click at {click.voxel} lies outside the CT; it has {volume.shape} voxels")
