"""A result on disk: the mask as NIfTI and beside it a sidecar JSON that says how it came about."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from kidneyseg import __version__
from kidneyseg.imaging.files import atomic_write
from kidneyseg.imaging.nifti import case_name, save_mask
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.pipeline import Result

_LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "nibabel")


def export(result: Result, volume: Volume, path: Path, *, overwrite: bool = True) -> Path:
    """Write `result.mask` to `path` and `sidecar` beside it; returns the sidecar's path.

    Raises:
        OutputError: when either cannot be written; see `save_mask`.
    """
    save_mask(result.mask, volume, path, overwrite=overwrite)
    beside = path.with_name(case_name(path) + ".json")
    with atomic_write(beside, overwrite=overwrite) as file:
        file.write((json.dumps(sidecar(result, volume), indent=2) + "\n").encode())
    return beside


def sidecar(result: Result, volume: Volume) -> dict[str, Any]:
    """All that is needed to reproduce and judge a mask; nothing that tells who the patient is, no file name either."""
    return {
        "program": f"kidneyseg {__version__}",
        "research_only": "Not a medical device.",
        "input": {
            "shape": list(volume.shape),
            "spacing_mm": [round(s, 6) for s in volume.spacing_mm],
            "hu_sha256": hashlib.sha256(np.ascontiguousarray(volume.hu.T).data).hexdigest(),
            "calibrated": volume.calibrated,
        },
        "settings": result.settings.to_dict(),
        "models": list(result.model_ids),
        "device": result.device,
        "backend": result.backend,
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.timings.items()},
        "points": {"stage 1": len(result.sampled), "stage 2": len(result.stage2), "kept": len(result.objects)},
        "findings": result.findings.to_dict(),
        "notes": list(result.notes),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in _LIBRARIES}},
    }
