"""Masks and label maps on disk: match them by name, read them in the same voxel order, score them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from kidneyseg.arrays import HU, Labels
from kidneyseg.errors import InputError
from kidneyseg.evaluation.scores import (
    AS_IS,
    LESIONS_UNLABELLED,
    UNUSABLE,
    CaseScore,
    Failure,
    Outcome,
    failed,
    score_case,
)
from kidneyseg.imaging.geometry import Geometry, require_same_place
from kidneyseg.imaging.labels import require_known
from kidneyseg.imaging.nifti import case_name, load_mask, load_volume
from kidneyseg.imaging.volume import Volume

# Names of CTs and organ maps, which are not label maps.
_NOT_LABELS = re.compile(r"_(ct|label13)$")
# nnU-Net's name for a channel of an image; a label map of case 1 may have such a name too.
_CHANNEL = re.compile(r"_000\d$")


@dataclass(frozen=True)
class Pair:
    """A mask and the labels to score it by."""

    name: str  #: of the case
    mask: Path  #: the predicted mask
    labels: Path  #: the true labels
    image: Path | None = None  #: the CT, for the point IoU
    image_required: bool = True  #: whether an unusable CT is an error of the case, or only leaves out its point IoU


def find_labels(folder: Path) -> dict[str, Path]:
    """Label maps in `folder` by case name.

    Layouts: NAME_kidney.nii.gz; KiTS' case_XXXXX/segmentation.nii.gz; nnU-Net's labelsTr/NAME.nii.gz; or, where there
    is none of these, plain NAME.nii.gz. Names ending in _ct or _label13 are not label maps, nor is NAME_000d (a channel
    of nnU-Net) beside NAME or in a folder images... . Files may also end in .nii.

    Raises:
        InputError: the folder is missing or holds no label map.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Check the name.")
    found = {case_name(path).removesuffix("_kidney"): path for path in _images(folder, "*_kidney")}
    found |= {path.parent.name: path for path in _images(folder, "*/segmentation")}
    found |= {case_name(path): path for path in _images(folder, "labelsTr/*")}
    if not found:
        plain = {case_name(path): path for path in _images(folder, "*")}
        of_images = folder.resolve().name.startswith("images")
        found = {
            name: path
            for name, path in plain.items()
            if not _NOT_LABELS.search(name)
            and not (_CHANNEL.search(name) and (of_images or _CHANNEL.sub("", name) in plain))
        }
    if not found:
        raise InputError(
            f"There are no label maps in {folder}. Name them NAME.nii.gz, NAME_kidney.nii.gz, "
            "NAME/segmentation.nii.gz or labelsTr/NAME.nii.gz."
        )
    return dict(sorted(found.items()))


def pair_up(masks: Path, labels: Path, images: Path | None = None) -> tuple[list[Pair], list[Failure], list[str]]:
    """Match masks and label maps by name.

    A mask of case NAME is called NAME_mask.nii.gz or NAME.nii.gz; or else NAME, one of "_", "-", ".", and anything; or
    prediction_00160.nii.gz for case_00160, as submitted to KiTS; or it is in a folder NAME. Where the name of one case
    begins with that of another, the longer one is taken.

    Args:
        masks: folder of the masks.
        labels: folder of the label maps, see `find_labels`.
        images: folder of the CTs, named as the label maps are. None takes those that lie beside the label maps.

    Returns:
        The pairs, sorted by name; a Failure for each label map without a mask (or a CT in `images`); a message for
        each file that was left out.

    Raises:
        InputError: a folder is missing or empty, or no file in it matches.
    """
    truth = find_labels(labels)
    found, unmatched = _masks_by_case(masks, list(truth))
    pairs, failures = [], []
    for name, path in truth.items():
        image = _image_beside(name, labels) if images is None else _image_of(name, images)
        if name not in found:
            failures.append(Failure(name, f"no mask in {masks}; expected {name}_mask.nii.gz or {name}.nii.gz", name))
        elif len(found[name]) > 1:
            names = ", ".join(str(path.relative_to(masks)) for path in found[name])
            failures.append(
                Failure(name, f"several files could be its mask: {names}; name one {name}_mask.nii.gz", name)
            )
        elif images is not None and image is None:
            failures.append(Failure(name, f"no CT in {images}; expected {name}_ct.nii.gz or {name}.nii.gz", name))
        else:
            pairs.append(Pair(name, found[name][0], path, image, image_required=images is not None))
    if not pairs:
        raise InputError(
            f"No mask in {masks} matches a label map in {labels}: {failures[0].name}: {failures[0].error}."
        )
    return pairs, failures, unmatched


def score_pairs(pairs: Sequence[Pair], *, lesions_unlabelled: Set[str] = frozenset()) -> Iterator[Outcome]:
    """Score existing masks; a case that cannot be scored becomes a Failure and the others continue.

    Args:
        pairs: from `pair_up`.
        lesions_unlabelled: names of cases with real lesions that are labelled kidney; they are summarised apart.
    """
    for pair in pairs:
        try:
            yield _score_pair(pair, LESIONS_UNLABELLED if pair.name in lesions_unlabelled else AS_IS)
        except UNUSABLE as error:
            yield failed(error, pair.name, pair.name)


def read_labels(path: Path, on: Volume | Geometry) -> Labels:
    """Read a label map on the voxels of the given CT or labels: 0 ... 3, uint8 (X, Y, Z) in canonical order.

    Raises:
        InputError: as `load_mask`, and for another position, shape or voxel size, or other labels.
    """
    labels, geometry = load_mask(path)
    require_same_place(path.name, geometry, on)
    require_known(labels, path.name)
    return labels


def _score_pair(pair: Pair, group: str) -> CaseScore:
    truth, geometry = load_mask(pair.labels)
    require_known(truth, pair.labels.name)
    hu = None if pair.image is None else _hu_on(geometry, pair.image, pair.image_required)
    pred = read_labels(pair.mask, geometry)
    return score_case(pred, truth, geometry.spacing_mm, name=pair.name, hu=hu, group=group)


def _hu_on(geometry: Geometry, image: Path, required: bool) -> HU | None:
    try:
        volume = load_volume(image)
        require_same_place(image.name, volume, geometry)
    except InputError:
        if required:
            raise
        return None
    return volume.hu


def _masks_by_case(folder: Path, names: list[str]) -> tuple[dict[str, list[Path]], list[str]]:
    """The masks of each case (one unless it is ambiguous), and a message for each file that matches no case."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Check the name.")
    candidates: dict[str, list[Path]] = {}
    unmatched = []
    for path in sorted(_images(folder, "*")) + sorted(_images(folder, "*/*")):
        case = _case_of(path, folder, names)
        if case is not None:
            candidates.setdefault(case, []).append(path)
        elif path.parent == folder:
            unmatched.append(f"{path.name} matches no label map and was left out; name it NAME_mask.nii.gz")
    return {name: _best(name, paths) for name, paths in candidates.items()}, unmatched


def _case_of(path: Path, folder: Path, names: list[str]) -> str | None:
    if path.parent != folder:
        return path.parent.name if path.parent.name in names else None
    own = case_name(path)
    if submitted := re.fullmatch(r"prediction_(\d+)", own):
        own = f"case_{submitted[1]}"
    fitting = [name for name in names if own == name or re.match(re.escape(name) + r"[-_.]", own)]
    return max(fitting, key=len, default=None)


def _best(name: str, paths: list[Path]) -> list[Path]:
    """The mask with the most specific name; all of them where that does not decide."""
    for wanted in (f"{name}_mask", name, "mask", "imaging_mask", "prediction"):
        exact = [path for path in paths if case_name(path) == wanted]
        if exact:
            return exact
    return paths


def _image_of(name: str, folder: Path) -> Path | None:
    return _image_beside(name, folder) or next(_images(folder, name), None)


def _image_beside(name: str, folder: Path) -> Path | None:
    """As `_image_of`, where a plain NAME may be the label map."""
    patterns = (f"{name}_ct", f"{name}/imaging", f"imagesTr/{name}_0000", f"{name}_0000")
    return next((path for pattern in patterns for path in _images(folder, pattern)), None)


def _images(folder: Path, pattern: str) -> Iterator[Path]:
    for ending in (".nii.gz", ".nii"):
        yield from (path for path in folder.glob(pattern + ending) if path.is_file())
