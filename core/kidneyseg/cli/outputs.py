"""Where `kidneyseg segment` writes: the file of each format for each CT."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kidneyseg.dicom_export.formats import ENDINGS, Format
from kidneyseg.errors import SettingsError
from kidneyseg.files import make_folder
from kidneyseg.imaging.nifti import case_name

_FILES = (".nii", ".nii.gz", ".dcm")


def targets_of(
    cts: Sequence[Path], output: Path | None, formats: Sequence[Format], series: str | None = None
) -> dict[Path, dict[Format, Path]]:
    """The file of each format for each CT.

    Args:
        cts: paths.
        output: the file of a single CT and format, or a folder, which is made if it is missing; None: beside the CTs.
        formats: none for SEG where `output` ends in .dcm, and NIfTI otherwise.
        series: what --series names; files that have the CT's name bear it, too.

    Raises:
        SettingsError: two CTs, or two formats, would have one file.
        OutputError: the folder cannot be made.
    """
    single = len(cts) == 1 and output is not None and not output.is_dir()
    named = output is not None and output.name.lower().endswith(_FILES)
    kinds = tuple(dict.fromkeys(formats))
    if not kinds:
        kinds = (Format.SEG if single and output is not None and output.suffix.lower() == ".dcm" else Format.NIFTI,)
    if single and output is not None and (named or kinds == (Format.NIFTI,)):
        if len(kinds) > 1:
            raise SettingsError(f"of several formats the output is a folder, and {output} is a file's name")
        return {cts[0]: {kinds[0]: output}}
    if single and output is not None:
        make_folder(output)
    masks = masks_of(cts, output, series)
    ending = ENDINGS[Format.NIFTI]
    return {
        ct: {kind: mask.with_name(mask.name.removesuffix(ending) + ENDINGS[kind]) for kind in kinds}
        for ct, mask in masks.items()
    }


def masks_of(cts: Sequence[Path], output: Path | None, series: str | None = None) -> dict[Path, Path]:
    """The path of each CT's mask; CTs of one name from several folders get their folder's name, too.

    Args:
        cts: paths.
        output: the mask of a single CT, or a folder, which is made if it is missing; None: beside the CTs.
        series: of the studies, which every name bears: two series of a study have two masks.

    Raises:
        SettingsError: two CTs would have one mask.
        OutputError: the folder cannot be made.
    """
    if len(cts) == 1 and output is not None and not output.is_dir():
        return {cts[0]: output}
    if output is not None:
        if output.name.lower().endswith(_FILES):
            raise SettingsError(f"of several CTs the output is a folder, and {output} is a mask's name")
        make_folder(output)
    names = Counter(case_name(ct) for ct in cts)
    of_series = "" if series is None else "_series_" + re.sub(r"[^\w.-]", "_", series)
    masks = {}
    for ct in cts:
        name, folder = f"{case_name(ct)}{of_series}_mask.nii.gz", output or (ct.resolve() if ct.is_dir() else ct).parent
        masks[ct] = folder / (f"{ct.resolve().parent.name}_{name}" if output and names[case_name(ct)] > 1 else name)
    for mask, times in Counter(masks[ct] for ct in cts).items():
        if times > 1:
            raise SettingsError(f"two of the CTs would be written to {mask}; name each CT once, and differently")
    return masks
