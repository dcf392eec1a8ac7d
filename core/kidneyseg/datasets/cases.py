"""Labelled CTs on disk, found in the usual layouts and resampled once to dense grids for training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from kidneyseg.arrays import HU, Labels, Mask, Spacing
from kidneyseg.datasets.cache import Arrays, cached
from kidneyseg.errors import CaseError, InputError, KidneySegError
from kidneyseg.imaging.geometry import require_same_place
from kidneyseg.imaging.labels import require_known
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.body import body_mask_on
from kidneyseg.points.cloud import Lattice
from kidneyseg.points.resample import lattice_for, resample_hu, resample_labels
from kidneyseg.progress import Progress
from kidneyseg.sparse.memory import out_of_memory

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class CaseFiles:
    """The files of one labelled CT."""

    name: str  #: the case's name, unique within its folder
    image: Path  #: the CT
    labels: Path  #: 0 tissue, 1 kidney, 2 tumour, 3 cyst (counted as kidney); a map without 2 has no tumour labels
    #: the map of 13 organs, from which contrast phases are simulated; None where there is none
    organs: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All of them."""
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


class Layout(NamedTuple):
    """Where a folder keeps a case, relative to it; "{name}" stands for the case's name."""

    image: str  #: the CT
    labels: str  #: its label map
    organs: str = ""  #: its organ map; "" where the layout has none
    names: str = "*"  #: glob pattern of the names

    def cases(self, folder: Path, *, labelled: bool = True) -> Iterator[CaseFiles]:
        """The labelled CTs of this layout in a folder, or those that lack their labels."""
        before, after = self.image.split("{name}")
        for image in folder.glob(self.image.format(name=self.names)):
            name = image.relative_to(folder).as_posix().removeprefix(before).removesuffix(after)
            labels, organs = folder / self.labels.format(name=name), folder / self.organs.format(name=name)
            if labels.is_file() == labelled:
                yield CaseFiles(name, image, labels, organs if organs.is_file() else None)


# A new layout is one more line here.
LAYOUTS = (
    Layout("{name}_ct.nii.gz", "{name}_kidney.nii.gz", "{name}_label13.nii.gz"),
    Layout("{name}/imaging.nii.gz", "{name}/segmentation.nii.gz", names="case_*"),  # KiTS
    Layout("imagesTr/{name}_0000.nii.gz", "labelsTr/{name}.nii.gz"),  # nnU-Net
)


def find_cases(folder: Path) -> list[CaseFiles]:
    """Labelled CTs in `folder`, layout by layout of `LAYOUTS`, sorted by name.

    Raises:
        InputError: when the folder holds none.
    """
    found = [case for layout in LAYOUTS for case in sorted(layout.cases(folder), key=lambda case: case.name)]
    if not found:
        known = [f"{layout.image} with {layout.labels}".format(name=layout.names) for layout in LAYOUTS]
        raise InputError(f"no labelled CT in {folder}; expected {', or '.join(known)}")
    return found


def without_labels(folder: Path) -> list[str]:
    """Names of the CTs in the layouts of `LAYOUTS` that lack their labels, such as KiTS19's 90 test cases; sorted."""
    return sorted({case.name for layout in LAYOUTS for case in layout.cases(folder, labelled=False)})


@dataclass(frozen=True, eq=False)
class LabelledGrid:
    """A labelled CT, or a part of it, on cubic cells."""

    hu: HU  #: int16 (X, Y, Z), clipped to HU_WINDOW
    labels: Labels  #: uint8 (X, Y, Z) of TISSUE, KIDNEY, TUMOUR, CYST
    organs: Labels  #: uint8 (X, Y, Z) of the 13 organs, all 0 where the case has no such map
    cell_mm: float  #: edge of a cell
    body: Mask | None = None  #: bool (X, Y, Z), the patient without air and table; None where it was not computed
    case: str = ""  #: the case's name, for messages

    @property
    def spacing_mm(self) -> Spacing:
        """Cell edge lengths."""
        return (self.cell_mm,) * 3


@dataclass(frozen=True, eq=False)
class LabelledVoxels:
    """A labelled CT, or a part of it, on its own voxels; arrays (X, Y, Z) as of `LabelledGrid`."""

    hu: HU
    labels: Labels
    organs: Labels
    spacing_mm: Spacing  #: voxel edge lengths


def prepare(
    cases: Sequence[CaseFiles], make: Callable[[CaseFiles], T], progress: Progress | None = None
) -> dict[str, T]:
    """`make(case)` of every case, by its name. A case that cannot be used is left out, and a warning names it.

    Raises:
        InputError: when none of the cases can be used.
    """
    made: dict[str, T] = {}
    for done, case in enumerate(cases, start=1):
        try:
            with error_context(case.name):
                made[case.name] = make(case)
        except CaseError as error:
            log.warning("%s; the case is left out", error)
        if progress:
            progress.update(f"prepared {done} of {len(cases)} cases", done / len(cases))
    if cases and not made:
        raise InputError(f"none of the {len(cases)} cases can be used; the warnings above say what is wrong with each")
    return made


def whole_grid(case: CaseFiles, cell_mm: float, cache: Path) -> LabelledGrid:
    """The whole CT on cells of `cell_mm` with its body mask; from the cache where it was made before."""

    def make() -> Arrays:
        grid = whole_grid_of(*read_case(case), cell_mm)
        assert grid.body is not None
        return {"hu": grid.hu, "labels": grid.labels, "organs": grid.organs, "body": grid.body}

    arrays = cached(cache, case.name, f"whole-{cell_mm:g}", case.files, make)
    return LabelledGrid(arrays["hu"], arrays["labels"], arrays["organs"], cell_mm, arrays["body"], case.name)


def whole_grid_of(volume: Volume, labels: Labels, organs: Labels | None, cell_mm: float) -> LabelledGrid:
    """A CT in memory with labels and organs (X, Y, Z) on a grid, with its body mask."""
    grid = cut_grid(volume, labels, organs, lattice_for(volume, cell_mm))
    return replace(grid, body=body_mask_on(grid.hu))


def read_case(case: CaseFiles) -> tuple[Volume, Labels, Labels | None]:
    """The CT, its labels (TISSUE, KIDNEY, TUMOUR, CYST), and its organ map where there is one.

    All are (X, Y, Z) on the CT's voxels.

    Raises:
        InputError: when a map does not lie on the CT, or the labels hold an unknown one.
    """
    volume = load_volume(case.image)
    organs = None if case.organs is None else _load_on(volume, case.organs)
    labels = _load_on(volume, case.labels)
    require_known(labels, case.labels.name)
    return volume, labels, organs


def _load_on(volume: Volume, path: Path) -> Labels:
    mask, geometry = load_mask(path)
    require_same_place(path.name, geometry, volume)
    return mask


def cut_grid(volume: Volume, labels: Labels, organs: Labels | None, lattice: Lattice) -> LabelledGrid:
    """The cells of `lattice` of a CT in memory, without a body mask."""
    return LabelledGrid(
        resample_hu(volume, lattice),
        resample_labels(labels, volume.spacing_mm, lattice),
        np.zeros(lattice.shape, np.uint8) if organs is None else resample_labels(organs, volume.spacing_mm, lattice),
        lattice.step_mm[0],
    )
