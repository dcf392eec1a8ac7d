"""Lesions cut out of label maps once (some 0.4 s a map) and kept under the content of the maps."""

from __future__ import annotations

import logging
from pathlib import Path

from kidneyseg.datasets.cache import content_key, locked, write_if_possible
from kidneyseg.errors import InputError
from kidneyseg.synthesis.lesion_library import LesionLibrary, label_files

log = logging.getLogger(__name__)


def kits_library(masks: Path, hu_csv: Path | None, cache: Path) -> LesionLibrary:
    """`LesionLibrary.from_kits(masks, hu_csv)`, from the cache when it was made before; a damaged file is made anew.

    Raises:
        InputError: no label map there, or columns missing from the table.
    """
    sources = label_files(masks) + ([hu_csv] if hu_csv else [])
    try:
        file = cache / f"lesions-{content_key(sources)[:16]}.npz"
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    with locked(cache / ".locks" / file.stem):
        if file.is_file():
            try:
                return LesionLibrary.load(file)
            except InputError:
                log.warning("the cache file %s is damaged; it is made anew", file)
        library = LesionLibrary.from_kits(masks, hu_csv)
        write_if_possible(file, library.save)
    return library
