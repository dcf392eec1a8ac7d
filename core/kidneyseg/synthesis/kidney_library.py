"""A library of whole kidneys, and of the HU measured in the CTs that they come from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from kidneyseg.arrays import Floats, Rng
from kidneyseg.datasets.cache import Arrays, array_key, cached
from kidneyseg.errors import InputError
from kidneyseg.synthesis.donor_kidneys import DonorKidney, cut_kidneys
from kidneyseg.synthesis.kidney_texture import KidneyHU
from kidneyseg.synthesis.kits_files import Wanted, case_number, is_held_out, label_files, read_hu, read_labels
from kidneyseg.synthesis.lesion_hu import MOST_CYST_HU, carried_over
from kidneyseg.synthesis.texture import TumourHU

# HU columns of KiTS23's table of statistics that are read, besides the case.
_CSV_COLUMNS = ("kidney_median", "kidney_percentile_90_0", "tumor_median", "tumor_stdev", "cyst_median")
_UNENHANCED_KIDNEY_HU = 32.0
_EMPTY = np.zeros((0, 6), np.float32)


@dataclass(frozen=True, eq=False)
class HostHU:
    """HU of the CT that a kidney is put into, as it is now."""

    cortex: float  #: of its kidney
    medulla: float  #: of its kidney
    level: float  #: median of its kidney
    vessel: float  #: of its large vessels
    fat: float  #: of the fat around its kidney
    sinus_fat: float  #: the share of its kidney's sinus that is fat, 0...1


@dataclass(frozen=True, eq=False)
class KidneyLibrary:
    """Whole kidneys with their lesions, and the HU statistics that go with them."""

    kidneys: tuple[DonorKidney, ...]  #: the kidneys
    #: float32 (cases, 6): case number, kidney's median and 90th percentile, tumour's median and SD, cyst's median HU;
    #: nan where a case has none
    hu: Floats = field(default_factory=lambda: _EMPTY, repr=False)

    def __len__(self) -> int:
        return len(self.kidneys)

    @cached_property
    def key(self) -> str:
        """A SHA-256 over all kidneys and HU rows."""
        return array_key([self.hu, *(kidney.labels for kidney in self.kidneys)])

    @classmethod
    def from_kits(
        cls, masks_dir: Path | str, hu_csv: Path | str | None = None, *, wanted: Wanted | None = None
    ) -> KidneyLibrary:
        """Cut kidneys out of label maps: about 1 s per case; arguments as of `lesion_library.LesionLibrary.from_kits`.

        Raises:
            InputError: no kidney there, or columns missing from the table.
        """
        found: list[DonorKidney] = []
        for path in label_files(Path(masks_dir)):
            case = case_number(path)
            if (wanted is None or wanted(case)) and (read := read_labels(path)) is not None:
                found += cut_kidneys(*read, case)
        if not found:
            raise InputError(
                f"No kidneys in {masks_dir}: expected case_XXXXX.nii.gz or case_XXXXX/segmentation.nii.gz."
            )
        hu = _EMPTY if hu_csv is None else read_hu(Path(hu_csv), _CSV_COLUMNS, ("kidney_median",))
        return cls(tuple(found), hu)

    def subset(self, wanted: Wanted) -> KidneyLibrary:
        """The kidneys and HU rows only of the cases whose number is `wanted`."""
        rows = [wanted(int(case)) for case in self.hu[:, 0]]
        return replace(self, kidneys=tuple(one for one in self.kidneys if wanted(one.case)), hu=self.hu[rows])

    def split(self) -> tuple[KidneyLibrary, KidneyLibrary]:
        """(training, held out) by the rule of `is_held_out`."""
        return self.subset(lambda case: not is_held_out(case)), self.subset(is_held_out)

    def draw(self, rng: Rng, *, lesion_probability: float = 0.8, largest_ml: float = 400.0) -> DonorKidney:
        """A kidney, of either side.

        Args:
            lesion_probability: of one with a tumour or a cyst, where there is any.
            largest_ml: one with more tumour is not drawn.

        Raises:
            InputError: the library holds no kidney.
        """
        if not self.kidneys:
            raise InputError("The library holds no kidney: build it from label maps that have one.")
        lesion = rng.random() < lesion_probability
        fitting = [one for one in self.kidneys if one.tumour_ml <= largest_ml] or list(self.kidneys)
        pool = [one for one in fitting if (one.tumour_ml + one.cyst_ml > 0.1) == lesion] or fitting
        chosen = pool[int(rng.integers(len(pool)))]
        return chosen.mirrored() if rng.random() < 0.5 else chosen

    def hu_for(self, donor: DonorKidney, host: HostHU, rng: Rng) -> KidneyHU:
        """The HU to give a kidney in another CT: its own case's *enhancement*, relative to the other CT's kidney.

        What takes up no contrast agent (cysts) keeps its HU.
        """
        row = self._row_of(donor.case, rng)
        _, median, bright, tumour, sd, cyst = (float(value) for value in row)
        agent = max(host.level - _UNENHANCED_KIDNEY_HU, 0.0)
        # Of the 90th percentile's distance to the median, noise is a part.
        contrast = float(np.clip(0.7 * (bright - median) / max(median - _UNENHANCED_KIDNEY_HU, 25.0), 0.0, 0.8))
        mix = float(rng.uniform())
        cortex = mix * host.cortex + (1.0 - mix) * (host.level + 0.8 * contrast * agent)
        medulla = mix * host.medulla + (1.0 - mix) * (host.level - 0.7 * contrast * agent)
        solid = carried_over(host.level, median, tumour, sd, rng) if np.isfinite(tumour) else TumourHU(40.0, 20.0)
        fluid = float(np.clip(cyst, -5.0, MOST_CYST_HU)) if np.isfinite(cyst) else float(rng.uniform(-5.0, 25.0))
        return KidneyHU(cortex, medulla, fluid, solid, host.vessel, host.fat, host.sinus_fat)

    def _row_of(self, case: int, rng: Rng) -> Floats:
        """The row of a case; where it has none, that of any case, or without rows typical values."""
        if not len(self.hu):
            ratio = float(np.clip(rng.normal(0.55, 0.22), 0.0, 1.3))
            return np.array([case, 110.0, 150.0, 34.0 + 78.0 * ratio, 32.0, np.nan], np.float32)
        own = self.hu[self.hu[:, 0] == case]
        return np.asarray(own[0] if len(own) else self.hu[int(rng.integers(len(self.hu)))])

    def _to_arrays(self) -> Arrays:
        shapes = np.array([one.labels.shape for one in self.kidneys], np.int16).reshape(-1, 3)
        numbers = np.array([[one.case, one.medial] for one in self.kidneys], np.float64).reshape(-1, 2)
        flat = [np.zeros(0, np.uint8), *(one.labels.ravel() for one in self.kidneys)]
        return {"shapes": shapes, "numbers": numbers, "labels": np.concatenate(flat), "hu": self.hu}

    @classmethod
    def _from_arrays(cls, arrays: Arrays) -> KidneyLibrary:
        shapes, kidneys = arrays["shapes"].astype(int), []
        ends = np.cumsum(shapes.prod(axis=1))
        for shape, end, (case, medial) in zip(shapes, ends, arrays["numbers"], strict=True):
            part = arrays["labels"][end - shape.prod() : end].reshape(shape)
            kidneys.append(DonorKidney(int(case), float(medial), part))
        return cls(tuple(kidneys), arrays["hu"])


def kits_kidneys(masks: Path, hu_csv: Path | None, cache: Path) -> KidneyLibrary:
    """`KidneyLibrary.from_kits(masks, hu_csv)`, from the cache when it was made before (some 1 s a map).

    Raises:
        InputError: no kidney there, or columns missing from the table.
    """
    sources = label_files(masks) + ([hu_csv] if hu_csv else [])
    try:
        arrays = cached(cache, "kidneys", "kits", sources, lambda: KidneyLibrary.from_kits(masks, hu_csv)._to_arrays())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    return KidneyLibrary._from_arrays(arrays)
