"""A store of lesion shapes with the HU that real lesions have, drawn from by size, kind and contrast phase."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.labels import require_known
from kidneyseg.imaging.nifti import load_mask
from kidneyseg.synthesis.lesion_shapes import Kind, Lesion, cut_lesions, procedural_lesion

log = logging.getLogger(__name__)

# Columns of `LesionLibrary.contrast`: what one case tells about how tumours look beside their kidney.
CONTRAST_COLUMNS = ("case", "kidney", "tumour", "tumour_sd", "tumour_p10", "tumour_p90")
_CSV_COLUMNS = ("kidney_median", "tumor_median", "tumor_stdev", "tumor_percentile_10_0", "tumor_percentile_90_0")
# Unenhanced HU of kidney and of solid tumour: only what lies above it scales with the contrast agent.
_PLAIN_KIDNEY, _PLAIN_TUMOUR = 32.0, 34.0
# Share of lesions re-sized to 0.8-2 cm (tumour) or 0.7-2 cm (cyst): surgical series such as KiTS hold few of these.
_SMALL_SHARE = 0.2
# Share of cysts re-sized to 2.5-5.5 cm: cysts beside a tumour, as in KiTS, are small, those that look like one are not.
_LARGE_CYST_SHARE = 0.25
_NEIGHBOURS = 30


@dataclass(frozen=True, eq=False)
class TumourHU:
    """HU aims of one tumour: its median, the SD over the whole lesion, and its 10th and 90th percentile's distance."""

    median: float
    sd: float
    below: float
    above: float


def is_held_out(case: int) -> bool:
    """The fixed split of shapes: cases divisible by 5 are for validation, all others for training."""
    return case % 5 == 0


@dataclass(frozen=True, eq=False)
class LesionLibrary:
    """Lesion shapes and the HU statistics that go with them.

    Attributes:
        lesions: the shapes.
        contrast: float32 (cases, 6), columns as in `CONTRAST_COLUMNS`, in HU; may have no rows, then
            a plain formula stands in for measured contrasts.
        resized: whether some lesions are drawn at other sizes than they had, as training wants; see `draw`.
    """

    lesions: tuple[Lesion, ...]
    contrast: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 6), np.float32), repr=False)
    resized: bool = True

    def __len__(self) -> int:
        return len(self.lesions)

    @classmethod
    def from_kits(
        cls,
        masks_dir: Path | str,
        hu_csv: Path | str | None = None,
        *,
        cases: Callable[[int], bool] | Iterable[int] | None = None,
    ) -> LesionLibrary:
        """Cut all lesions out of label maps (about 0.4 s a case: save the library, build it once).

        Args:
            masks_dir: folder of `case_XXXXX.nii.gz` or `case_XXXXX/segmentation.nii.gz`;
                0 background, 1 kidney, 2 tumour, 3 cyst.
            hu_csv: HU statistics by case, KiTS23's column names; None when there are none.
            cases: case numbers to take, or a test of a case number; None takes all.

        Raises:
            InputError: no label map there, or columns missing from the table.
        """
        wanted = _case_filter(cases)
        found: list[Lesion] = []
        paths = label_files(Path(masks_dir))
        if not paths:
            raise InputError(
                f"No label map in {masks_dir}: expected case_XXXXX.nii.gz or case_XXXXX/segmentation.nii.gz."
            )
        for path in paths:
            case = _case_number(path)
            if not wanted(case):
                continue
            try:
                labels, geometry = load_mask(path)
                require_known(labels, path.name)
            except InputError as error:
                log.warning("%s; the label map is left out", error)
                continue
            found += cut_lesions(labels, geometry.spacing_mm, case)
        if not found:
            raise InputError(f"No lesions in the label maps under {masks_dir}: expected labels 2 (tumour) or 3 (cyst).")
        contrast = _read_contrast(Path(hu_csv)) if hu_csv is not None else np.zeros((0, 6), np.float32)
        return cls(tuple(found), contrast[[wanted(int(case)) for case in contrast[:, 0]]])

    @classmethod
    def procedural(cls, count: int = 120, seed: int = 0) -> LesionLibrary:
        """A library of made-up shapes, two tumours to one cyst, for users without lesion masks."""
        rng = np.random.default_rng(seed)
        return cls(tuple(procedural_lesion(rng, "cyst" if i % 3 == 2 else "tumour") for i in range(count)))

    def subset(self, cases: Callable[[int], bool] | Iterable[int]) -> LesionLibrary:
        """The shapes and HU rows of these cases only (numbers, or a test of a number)."""
        wanted = _case_filter(cases)
        rows = [wanted(int(case)) for case in self.contrast[:, 0]]
        lesions = tuple(lesion for lesion in self.lesions if wanted(lesion.case))
        return replace(self, lesions=lesions, contrast=self.contrast[rows])

    def split(self) -> tuple[LesionLibrary, LesionLibrary]:
        """(training, held out) by the fixed rule of `is_held_out`; those held out are drawn at the size they had."""
        return self.subset(lambda case: not is_held_out(case)), replace(self.subset(is_held_out), resized=False)

    def save(self, path: Path | str | IO[bytes]) -> None:
        """Write everything as one compressed .npz without pickles (a few MB for KiTS23)."""
        shapes = np.array([lesion.mask.shape for lesion in self.lesions], dtype=np.int16).reshape(-1, 3)
        numbers = [[x.case, x.kind == "cyst", x.voxel_mm, *x.outward, x.inside, x.along] for x in self.lesions]
        bits = [np.packbits(lesion.mask) for lesion in self.lesions]
        np.savez_compressed(
            path,
            shapes=shapes,
            numbers=np.array(numbers, dtype=np.float64).reshape(-1, 8),
            bits=np.concatenate(bits) if bits else np.zeros(0, np.uint8),
            contrast=self.contrast,
        )

    @classmethod
    def load(cls, path: Path | str) -> LesionLibrary:
        """Read what `save` wrote.

        Raises:
            InputError: not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                shapes, numbers, bits = stored["shapes"], stored["numbers"], stored["bits"]
                contrast = stored["contrast"]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} is not a lesion library: build it again with LesionLibrary.save.") from error
        lesions, start = [], 0
        for shape, row in zip(shapes.astype(int), numbers, strict=True):
            count = int(shape.prod())
            end = start + (count + 7) // 8
            mask = np.unpackbits(bits[start:end], count=count).astype(bool).reshape(shape)
            kind: Kind = "cyst" if row[1] else "tumour"
            lesions.append(Lesion(kind, int(row[0]), mask, float(row[2]), row[3:6], float(row[6]), float(row[7])))
            start = end
        return cls(tuple(lesions), contrast)

    def draw(
        self,
        rng: np.random.Generator,
        kind: Kind = "tumour",
        *,
        largest_ml: float = 250.0,
        about_ml: float | None = None,
    ) -> tuple[Lesion, float]:
        """A shape and the volume in mL to give it.

        Most keep the size they had (at most `largest_ml`). Where the library is `resized`, a fifth becomes 0.7-2 cm
        across, and a quarter of the cysts 2.5-5.5 cm, made of shapes that were about that large, since a large tumour
        shrunk has too much detail. With `about_ml` all are drawn so, for that size.

        Raises:
            InputError: the library holds no lesion of this kind.
        """
        pool = [lesion for lesion in self.lesions if lesion.kind == kind]
        if not pool:
            raise InputError(f"The lesion library holds no {kind}: build it from label maps that have one.")
        volumes = np.array([lesion.ml for lesion in pool])
        if about_ml is not None:
            return _of_about(pool, volumes, about_ml, rng), about_ml
        chance = rng.random() if self.resized else 0.5
        large_cyst = kind == "cyst" and chance > 1 - _LARGE_CYST_SHARE
        if chance < _SMALL_SHARE or large_cyst:
            smallest = 8.0 if kind == "tumour" else 7.0
            diameter = rng.uniform(25.0, 55.0) if large_cyst else rng.uniform(smallest, 20.0)
            ml = float(np.pi / 6000.0 * diameter**3)
            return _of_about(pool, volumes, ml, rng), ml
        chosen = pool[int(rng.integers(len(pool)))]
        return chosen, float(min(chosen.ml * rng.uniform(0.85, 1.15), largest_ml))

    def draw_hu(self, rng: np.random.Generator, kidney_hu: float) -> TumourHU:
        """HU for a tumour in a kidney whose median is `kidney_hu`, after a real case of about the same phase.

        The real tumour's *enhancement* relative to its kidney's is carried over: near isodense without contrast
        agent, mostly darker and sometimes brighter than the kidney with it.
        """
        if len(self.contrast):
            kidney = self.contrast[:, 1]
            near = np.argsort(np.abs(kidney - kidney_hu))[:_NEIGHBOURS]
            _, source, tumour, sd, p10, p90 = (float(value) for value in self.contrast[rng.choice(near)])
        else:
            source = kidney_hu
            tumour = _PLAIN_TUMOUR + max(kidney_hu - _PLAIN_KIDNEY, 0.0) * float(
                np.clip(rng.normal(0.55, 0.22), 0, 1.3)
            )
            sd, p10, p90 = 36.0, tumour - 50.0, tumour + 45.0
        # Near the unenhanced kidney the ratio means nothing: there the agent has hardly arrived.
        ratio = (tumour - _PLAIN_TUMOUR) / max(source - _PLAIN_KIDNEY, 25.0)
        median = _PLAIN_TUMOUR + ratio * (kidney_hu - _PLAIN_KIDNEY) + float(rng.normal(0.0, 5.0))
        spread = float(np.clip((20.0 + max(kidney_hu, 0.0)) / (20.0 + max(source, 0.0)), 0.6, 1.3))
        return TumourHU(
            float(np.clip(median, 5.0, 260.0)), sd * spread, (tumour - p10) * spread, (p90 - tumour) * spread
        )


def _of_about(pool: list[Lesion], volumes: NDArray[np.float64], ml: float, rng: np.random.Generator) -> Lesion:
    """One of those of `pool` whose volume is nearest to `ml`."""
    nearest = np.argsort(np.abs(np.log(volumes / ml)))[: max(8, len(pool) // 5)]
    return pool[int(rng.choice(nearest))]


def _case_filter(cases: Callable[[int], bool] | Iterable[int] | None) -> Callable[[int], bool]:
    if cases is None:
        return lambda case: True
    if callable(cases):
        return cases
    return set(cases).__contains__


def label_files(folder: Path) -> list[Path]:
    """The label maps in KiTS' layout, sorted."""
    return sorted([*folder.glob("case_*.nii.gz"), *folder.glob("case_*/segmentation.nii.gz")])


def _case_number(path: Path) -> int:
    match = re.search(r"case_(\d+)", str(path))
    if match is None:
        raise InputError(f"{path} has no case number in its name: expected case_XXXXX.")
    return int(match.group(1))


def _read_contrast(path: Path) -> NDArray[np.float32]:
    with path.open(newline="") as table:
        reader = csv.DictReader(table)
        missing = {"case", *_CSV_COLUMNS} - set(reader.fieldnames or ())
        if missing:
            raise InputError(f"{path} lacks the columns {', '.join(sorted(missing))}: expected KiTS23's HU statistics.")
        rows = [
            [float(row["case"].split("_")[-1]), *(float(row[column]) for column in _CSV_COLUMNS)]
            for row in reader
            if all(row[column] for column in _CSV_COLUMNS)
        ]
    return np.array(rows, dtype=np.float32).reshape(-1, 6)
