"""A library of lesion shapes and of real tumours' HU, from which lesions of a kind, size and contrast are drawn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kidneyseg.arrays import Floats, Rng
from kidneyseg.datasets.cache import Arrays, array_key, cached
from kidneyseg.errors import InputError
from kidneyseg.synthesis.kits_files import Wanted, case_number, is_held_out, label_files, read_hu, read_labels
from kidneyseg.synthesis.lesion_hu import carried_over, typical_hu
from kidneyseg.synthesis.lesion_shapes import Kind, LesionShape, cut_lesions, procedural_lesion
from kidneyseg.synthesis.texture import TumourHU

if TYPE_CHECKING:
    from kidneyseg.synthesis.kidney_library import KidneyLibrary

# HU columns of KiTS23's table of statistics that are read, besides the case.
_CSV_COLUMNS = ("kidney_median", "tumor_median", "tumor_stdev")
_EMPTY = np.zeros((0, 4), np.float32)


@dataclass(frozen=True, eq=False)
class LesionLibrary:
    """Lesion shapes and the HU statistics that go with them."""

    lesions: tuple[LesionShape, ...]  #: the shapes
    #: float32 (cases, 4): case number, median HU of its kidney and of its tumour, SD of the tumour's HU. Without rows a
    #: formula replaces measured contrasts.
    contrast: Floats = field(default_factory=lambda: _EMPTY, repr=False)
    kidneys: KidneyLibrary | None = None  #: whole kidneys of these cases to transplant; None where none are
    resized: bool = True  #: whether some lesions are drawn at other sizes than they had, for training; see `draw`

    def __len__(self) -> int:
        return len(self.lesions)

    @cached_property
    def key(self) -> str:
        """A SHA-256 over all shapes and HU rows."""
        return array_key([self.contrast, *(lesion.mask for lesion in self.lesions)])

    @classmethod
    def from_kits(
        cls, masks_dir: Path | str, hu_csv: Path | str | None = None, *, wanted: Wanted | None = None
    ) -> LesionLibrary:
        """Cut all lesions out of label maps: about 0.4 s per case, so build a library once and save it.

        Args:
            masks_dir: folder of `case_XXXXX.nii.gz` or `case_XXXXX/segmentation.nii.gz`;
                0 background, 1 kidney, 2 tumour, 3 cyst.
            hu_csv: HU statistics by case, with KiTS23's column names; may be None.
            wanted: of which cases to take the lesions, by their number; None takes all. The HU are of all cases.

        Raises:
            InputError: no label map there, or columns missing from the table.
        """
        found: list[LesionShape] = []
        paths = label_files(Path(masks_dir))
        if not paths:
            raise InputError(
                f"No label map in {masks_dir}: expected case_XXXXX.nii.gz or case_XXXXX/segmentation.nii.gz."
            )
        for path in paths:
            case = case_number(path)
            if wanted is not None and not wanted(case):
                continue
            if (read := read_labels(path)) is not None:
                found += cut_lesions(*read, case)
        if not found:
            which = "" if wanted is None else ", of the cases to take (held out are those divisible by 5)"
            raise InputError(
                f"No lesions in the label maps under {masks_dir}{which}: expected labels 2 (tumour) or 3 (cyst)."
            )
        contrast = read_hu(Path(hu_csv), _CSV_COLUMNS, _CSV_COLUMNS) if hu_csv is not None else _EMPTY
        return cls(tuple(found), contrast)

    @classmethod
    def procedural(cls, count: int = 120, seed: int = 0) -> LesionLibrary:
        """A library of procedural shapes, two tumours to one cyst, for users without lesion masks."""
        rng = np.random.default_rng(seed)
        return cls(tuple(procedural_lesion(rng, "cyst" if i % 3 == 2 else "tumour") for i in range(count)))

    def subset(self, wanted: Wanted) -> LesionLibrary:
        """The shapes and HU rows only of the cases whose number is `wanted`."""
        rows = [wanted(int(case)) for case in self.contrast[:, 0]]
        lesions = tuple(lesion for lesion in self.lesions if wanted(lesion.case))
        return replace(self, lesions=lesions, contrast=self.contrast[rows])

    def split(self) -> tuple[LesionLibrary, LesionLibrary]:
        """(training, held out) by the rule of `is_held_out`; held-out shapes are drawn at their own size."""
        return self.subset(lambda case: not is_held_out(case)), replace(self.subset(is_held_out), resized=False)

    def save(self, path: Path | str) -> None:
        """Write everything as one compressed .npz without pickles (a few MB for KiTS23)."""
        np.savez_compressed(path, allow_pickle=False, **self._to_arrays())

    @classmethod
    def load(cls, path: Path | str) -> LesionLibrary:
        """Read what `save` wrote. Raises InputError when it is no such file."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in ("shapes", "numbers", "bits", "contrast")}
            if arrays["contrast"].shape[1:] != (4,):
                raise ValueError(f"{arrays['contrast'].shape} HU rows, not (cases, 4)")
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} is not a lesion library: build it again with LesionLibrary.save.") from error
        return cls._from_arrays(arrays)

    def _to_arrays(self) -> Arrays:
        shapes = np.array([lesion.mask.shape for lesion in self.lesions], dtype=np.int16).reshape(-1, 3)
        numbers = [[x.case, x.kind == "cyst", x.voxel_mm, *x.outward, x.inside, x.along] for x in self.lesions]
        bits = [np.zeros(0, np.uint8), *(np.packbits(lesion.mask) for lesion in self.lesions)]
        rows = np.array(numbers, dtype=np.float64).reshape(-1, 8)
        return {"shapes": shapes, "numbers": rows, "bits": np.concatenate(bits), "contrast": self.contrast}

    @classmethod
    def _from_arrays(cls, arrays: Arrays) -> LesionLibrary:
        bits = arrays["bits"]
        lesions, start = [], 0
        for shape, row in zip(arrays["shapes"].astype(int), arrays["numbers"], strict=True):
            count = int(shape.prod())
            end = start + (count + 7) // 8
            mask = np.unpackbits(bits[start:end], count=count).astype(bool).reshape(shape)
            kind: Kind = "cyst" if row[1] else "tumour"
            lesions.append(LesionShape(kind, int(row[0]), mask, float(row[2]), row[3:6], float(row[6]), float(row[7])))
            start = end
        return cls(tuple(lesions), arrays["contrast"])

    def draw(self, rng: Rng, kind: Kind = "tumour", *, about_ml: float | None = None) -> tuple[LesionShape, float]:
        """A shape and the volume in mL to give it.

        Surgical series such as KiTS hold few small lesions, and their cysts, beside a tumour, are small. A `resized`
        library therefore makes a fifth of the lesions small and a quarter of the cysts large, taking shapes that were
        about that large, since a large tumour made small has too much detail. All others keep about their own size.

        Args:
            about_ml: the volume to give; None draws one.

        Raises:
            InputError: the library holds no lesion of this kind.
        """
        pool = [lesion for lesion in self.lesions if lesion.kind == kind]
        if not pool:
            raise InputError(f"The lesion library holds no {kind}: build it from label maps that have one.")
        if about_ml is not None:
            return _of_about(pool, about_ml, rng), about_ml
        draw = rng.random() if self.resized else 0.5  # which is neither small nor large
        large_cyst = kind == "cyst" and draw > 0.75
        if draw < 0.2 or large_cyst:
            small_mm = (8.0, 20.0) if kind == "tumour" else (7.0, 20.0)
            diameter = rng.uniform(*((25.0, 55.0) if large_cyst else small_mm))
            ml = float(np.pi / 6000.0 * diameter**3)
            return _of_about(pool, ml, rng), ml
        chosen = pool[int(rng.integers(len(pool)))]
        return chosen, float(min(chosen.ml * rng.uniform(0.85, 1.15), 250.0))

    def draw_hu(self, rng: Rng, kidney_hu: float) -> TumourHU:
        """HU for a tumour in a kidney of median `kidney_hu`, after a real case of about the same phase.

        The real tumour's *enhancement* relative to its kidney's is carried over: about isodense without contrast
        agent, mostly darker and sometimes brighter than the kidney with it.

        Args:
            kidney_hu: the kidney's median HU. The case is one of the 30 whose kidneys' HU are nearest to it.
        """
        if not len(self.contrast):
            return typical_hu(kidney_hu, rng)
        near = np.argsort(np.abs(self.contrast[:, 1] - kidney_hu))[:30]
        _, source, tumour, sd = (float(value) for value in self.contrast[rng.choice(near)])
        return carried_over(kidney_hu, source, tumour, sd, rng)


def kits_library(masks: Path, hu_csv: Path | None, cache: Path) -> LesionLibrary:
    """`LesionLibrary.from_kits(masks, hu_csv)`, from the cache when it was made before (some 0.4 s a map).

    Raises:
        InputError: no label map there, or columns missing from the table.
    """
    sources = label_files(masks) + ([hu_csv] if hu_csv else [])
    try:
        arrays = cached(cache, "lesions", "kits", sources, lambda: LesionLibrary.from_kits(masks, hu_csv)._to_arrays())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    return LesionLibrary._from_arrays(arrays)


def _of_about(pool: list[LesionShape], ml: float, rng: Rng) -> LesionShape:
    """One of those of `pool` whose volume is nearest to `ml`."""
    volumes = np.array([lesion.ml for lesion in pool])
    nearest = np.argsort(np.abs(np.log(volumes / ml)))[: max(8, len(pool) // 5)]
    return pool[int(rng.choice(nearest))]
