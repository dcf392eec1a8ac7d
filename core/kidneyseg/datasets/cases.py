"""Labelled CTs on disk, found in the usual layouts and prepared once into small dense lattices for training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kidneyseg.datasets.cache import Arrays, cached
from kidneyseg.errors import CaseError, InputError, KidneySegError
from kidneyseg.imaging.labels import require_known, require_same_place
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.body import body_mask_on
from kidneyseg.points.cloud import Lattice
from kidneyseg.points.resample import lattice_for, resample_hu, resample_labels
from kidneyseg.sparse.memory import out_of_memory

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class CaseFiles:
    """Where one labelled CT lies.

    Attributes:
        name: the case's name, unique within its folder.
        image: the CT.
        labels: 0 tissue, 1 kidney, 2 tumour, 3 cyst (counted as kidney); a map without 2 has no tumour labels.
        organs: the 13-organ map that lets training change the contrast phase organ by organ, where there is one.
    """

    name: str
    image: Path
    labels: Path
    organs: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The files that there are."""
        return [path for path in (self.image, self.labels, self.organs) if path is not None]


@contextmanager
def error_context(case: str) -> Iterator[None]:
    """Name the case in errors raised inside: unusable input, or not enough memory. Raises CaseError."""
    try:
        yield
    except CaseError:
        raise
    except (KidneySegError, MemoryError, OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not out_of_memory(error):
            raise
        raise CaseError(f"{case}: {'out of memory' if out_of_memory(error) else error}") from error


def find_cases(folder: Path) -> list[CaseFiles]:
    """Labelled CTs in `folder`, sorted by name.

    Layouts: `NAME_ct.nii.gz` with `NAME_kidney.nii.gz` (and `NAME_label13.nii.gz`); KiTS'
    `case_00000/imaging.nii.gz` with `segmentation.nii.gz`; nnU-Net's `imagesTr/NAME_0000.nii.gz` with
    `labelsTr/NAME.nii.gz`.

    Raises:
        InputError: when the folder holds none.
    """
    found = sorted(_flat(folder)) + sorted(_kits(folder)) + sorted(_nnunet(folder))
    if not found:
        raise InputError(
            f"no labelled CT in {folder}; expected NAME_ct.nii.gz with NAME_kidney.nii.gz, "
            "case_XXXXX/imaging.nii.gz with segmentation.nii.gz, or imagesTr/ with labelsTr/"
        )
    return [CaseFiles(*entry) for entry in found]


_Entry = tuple[str, Path, Path, Path | None]


def _flat(folder: Path) -> Iterator[_Entry]:
    for image in folder.glob("*_ct.nii.gz"):
        name = image.name.removesuffix("_ct.nii.gz")
        labels, organs = folder / f"{name}_kidney.nii.gz", folder / f"{name}_label13.nii.gz"
        if labels.is_file():
            yield name, image, labels, organs if organs.is_file() else None


def _kits(folder: Path) -> Iterator[_Entry]:
    for image in folder.glob("case_*/imaging.nii.gz"):
        labels = image.with_name("segmentation.nii.gz")
        if labels.is_file():
            yield image.parent.name, image, labels, None


def _nnunet(folder: Path) -> Iterator[_Entry]:
    for image in folder.glob("imagesTr/*_0000.nii.gz"):
        name = image.name.removesuffix("_0000.nii.gz")
        labels = folder / "labelsTr" / f"{name}.nii.gz"
        if labels.is_file():
            yield name, image, labels, None


@dataclass(frozen=True, eq=False)
class LabelledGrid:
    """A dense piece of a case on cubic cells.

    Attributes:
        hu: int16 (X, Y, Z), clipped to HU_WINDOW.
        labels: uint8 (X, Y, Z) of TISSUE, KIDNEY, TUMOUR.
        organs: uint8 (X, Y, Z) of the 13 organs, all 0 where the case has no such map.
        cell_mm: edge of a cell.
        body: bool (X, Y, Z), or None where it was not asked for.
        case: the case's name, for messages.
    """

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    organs: NDArray[np.uint8]
    cell_mm: float
    body: NDArray[np.bool_] | None = None
    case: str = ""


def load_labels(case: CaseFiles, volume: Volume) -> NDArray[np.uint8]:
    """TISSUE, KIDNEY, TUMOUR (X, Y, Z) on the CT's voxels.

    Raises:
        InputError: when the map does not lie on the CT, or holds labels that are not known.
    """
    labels, geometry = load_mask(case.labels)
    require_same_place(case.labels.name, geometry, volume)
    require_known(labels, case.labels.name)
    return np.where(labels == 3, np.uint8(1), labels)


def prepare(
    cases: Sequence[CaseFiles], make: Callable[[CaseFiles], T], tell: Callable[[int, int], None] = lambda done, of: None
) -> dict[str, T]:
    """`make(case)` for every case, by the case's name; a case that cannot be used is named in a warning and left out.

    `tell` hears how many cases are done, of how many.

    Raises:
        InputError: when not one of several cases can be used.
    """
    made: dict[str, T] = {}
    for done, case in enumerate(cases, start=1):
        try:
            with error_context(case.name):
                made[case.name] = make(case)
        except CaseError as error:
            log.warning("%s; the case is left out", error)
        tell(done, len(cases))
    if cases and not made:
        raise InputError(f"none of the {len(cases)} cases can be used; what is wrong with each was said before")
    return made


def whole_grid(case: CaseFiles, cell_mm: float, cache: Path) -> LabelledGrid:
    """The whole CT on cells of `cell_mm` with its body mask; from the cache when it was made before."""

    def make() -> Arrays:
        return _arrays(whole_grid_of(*read_case(case), cell_mm))

    return _scene(cached(cache, case.name, f"whole-{cell_mm:g}", case.files, make), cell_mm, case.name)


def whole_grid_of(
    volume: Volume, labels: NDArray[np.uint8], organs: NDArray[np.uint8] | None, cell_mm: float
) -> LabelledGrid:
    """A CT in memory with labels and organs (X, Y, Z) as a scene with its body mask."""
    scene = cut_grid(volume, labels, organs, lattice_for(volume, cell_mm))
    return replace(scene, body=body_mask_on(scene.hu))


def read_case(case: CaseFiles) -> tuple[Volume, NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The CT, its labels and, where there is one, its organ map, all (X, Y, Z) on the CT's voxels."""
    volume = load_volume(case.image)
    organs = None
    if case.organs is not None:
        organs, geometry = load_mask(case.organs)
        require_same_place(case.organs.name, geometry, volume)
    return volume, load_labels(case, volume), organs


def cut_grid(
    volume: Volume, labels: NDArray[np.uint8], organs: NDArray[np.uint8] | None, lattice: Lattice
) -> LabelledGrid:
    """The cells of `lattice` of a CT in memory, without a body mask."""
    if organs is None:
        organs_there = np.zeros(lattice.shape, np.uint8)
    else:
        organs_there = resample_labels(organs, volume.spacing_mm, lattice)
    return LabelledGrid(
        resample_hu(volume, lattice),
        resample_labels(labels, volume.spacing_mm, lattice),
        organs_there,
        lattice.step_mm[0],
    )


def _arrays(scene: LabelledGrid) -> Arrays:
    body = {} if scene.body is None else {"body": scene.body}
    return {"hu": scene.hu, "labels": scene.labels, "organs": scene.organs, **body}


def _scene(arrays: Arrays, cell_mm: float, case: str) -> LabelledGrid:
    return LabelledGrid(arrays["hu"], arrays["labels"], arrays["organs"], cell_mm, arrays.get("body"), case)
