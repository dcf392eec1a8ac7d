"""The sample case: one phantom. The installer ships it; elsewhere it is written to the user's cache on first use."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from kidneyseg.files import make_folder

SAMPLE_SEED = 22
_SHAPE, _SPACING_MM = (288, 288, 100), (1.35, 1.35, 2.9)
_VERSION = 3  # increase it when the phantom changes, so that no outdated sample is opened
_SHIPPED = Path(__file__).parent  # where the installer puts the folder of a sample


def sample_case(directory: str | os.PathLike[str] | None = None) -> Path:
    """Path of the sample CT, `sample_ct.nii.gz`, made on first use (a few seconds); its labels lie beside it.

    Args:
        directory: where to keep it; None takes the one that was installed, or the user's cache folder.

    Raises:
        OutputError: it cannot be written there.
    """
    folder = (_folder() if directory is None else Path(directory)) / f"sample-{_VERSION}"
    ct, labels = folder / "sample_ct.nii.gz", folder / "sample_labels.nii.gz"
    if not (ct.is_file() and labels.is_file()):
        # The window imports this module before its first paint, for `is_sample`.
        from kidneyseg.imaging.nifti import save_mask, save_volume  # noqa: PLC0415 - imports nibabel, slow
        from kidneyseg.phantom.abdomen import make_phantom  # noqa: PLC0415 - imports scipy, slow; a shipped sample needs neither

        make_folder(folder)
        volume, mask = make_phantom(SAMPLE_SEED, _SHAPE, _SPACING_MM)
        save_mask(mask, volume, labels)
        save_volume(volume, ct)
    return ct


def is_sample(path: str | os.PathLike[str]) -> bool:
    """Whether this is a file of the sample case, beside which a user does not look for a mask."""
    return _folder().resolve() in Path(path).resolve().parents


def _folder() -> Path:
    if (_SHIPPED / f"sample-{_VERSION}").is_dir():
        return _SHIPPED
    return platformdirs.user_cache_path("kidneyseg", appauthor=False)
