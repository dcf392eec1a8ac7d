"""Writes a result: the mask as NIfTI, and beside it a sidecar JSON with how it was made."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from kidneyseg.errors import OutputError, SidecarError
from kidneyseg.files import check_writable, write_whole
from kidneyseg.imaging.nifti import case_name, checked_target, save_mask
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.pipeline import Result
from kidneyseg.version import __version__

_PROGRAM = "kidneyseg "  # how a sidecar names its writer, before the version
_LARGEST_SIDECAR = 1 << 24  # bytes
# Whose versions a sidecar and `kidneyseg info` give.
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "nibabel")


def export(result: Result, volume: Volume, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
    """Write `result.mask` to `path` and `sidecar` beside it; returns the sidecar's path.

    Raises:
        OutputError: as for `check_export`, before anything is written, and when the mask cannot be written.
        SidecarError: the mask was written, its sidecar was not.
    """
    beside = check_export(path, volume.path, overwrite=overwrite)
    content = (json.dumps(sidecar(result, volume), indent=2) + "\n").encode()
    save_mask(result.mask, volume, path, overwrite=overwrite)
    try:
        write_whole(beside, content)
    except OutputError as error:
        older = f" The {beside.name} that is there describes an earlier mask." if beside.exists() else ""
        raise SidecarError(f"The mask {Path(path).name} is saved, but not its sidecar. {error}{older}") from error
    return beside


def check_export(path: str | os.PathLike[str], ct: Path | None, *, overwrite: bool = True) -> Path:
    """Check that a mask can be written to `path`, and its sidecar beside it; returns the sidecar's path.

    Raises:
        OutputError: `path` does not end in .nii or .nii.gz or is the CT; the folder is missing or not writable; either
            file exists while `overwrite` is false; or another program's JSON lies where the sidecar would.
    """
    mask = Path(path)
    beside = mask.with_name(case_name(mask) + ".json")
    check_writable(checked_target(mask, ct), overwrite=overwrite)
    check_writable(beside, overwrite=overwrite)
    if beside.exists() and not _is_sidecar(beside):
        raise OutputError(f"{beside.name} is another program's file and is not replaced. Choose another name.")
    return beside


def sidecar(result: Result, volume: Volume) -> dict[str, Any]:
    """What explains and reproduces a mask, as plain values; nothing identifies the patient, not even a file name."""
    return {
        "program": _PROGRAM + __version__,
        "research_only": "Not a medical device.",
        "input": {
            "shape": list(volume.shape),
            "spacing_mm": [round(s, 6) for s in volume.spacing_mm],
            "hu_sha256": hashlib.sha256(np.ascontiguousarray(volume.hu.T).data).hexdigest(),
            "calibrated": volume.calibrated,
            "hu_offset": volume.hu_offset,
        },
        "settings": result.settings.to_dict(),
        "models": list(result.model_ids),
        "device": result.device,
        "backend": result.backend,
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.timings.items()},
        "points": {"stage 1": len(result.sampled), "stage 2": len(result.stage2), "kept": len(result.objects)},
        "findings": result.findings.to_dict(),
        "notes": list(result.notes),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}},
    }


def _is_sidecar(path: Path) -> bool:
    """Whether KidneySeg wrote this JSON beside a mask; its evaluation reports name the program too."""
    try:
        content = json.loads(path.read_bytes()) if path.stat().st_size <= _LARGEST_SIDECAR else None
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(content, dict) or not {"settings", "findings"} <= content.keys():
        return False
    return str(content.get("program")).startswith(_PROGRAM)
