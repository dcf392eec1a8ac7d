"""`kidneyseg info`: what is installed, or what the file of a CT or of a network holds."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

from kidneyseg.cli.terminal import print_json
from kidneyseg.errors import InputError
from kidneyseg.libraries import NAMED, installed_version
from kidneyseg.plurals import counted
from kidneyseg.version import __version__


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "info",
        help="what is installed, or what a CT or a network holds",
        description="Without FILE: versions, devices, kernels and networks. Of a CT: its geometry and HU. Of a DICOM "
        "study: its CT series, and what else it holds. Of a network (.safetensors): how it was trained.",
    )
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a CT, a DICOM study, or a network")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Collect and print."""
    facts = _program() if arguments.file is None else _held_by(arguments.file)
    if arguments.json:
        print_json(facts)
    else:
        width = max(len(name) for name in facts) + 2
        for name, value in facts.items():
            print(f"{name:<{width}}{', '.join(map(str, value)) or 'none' if isinstance(value, list) else value}")
    return 0


def _held_by(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return _network(path)
    from kidneyseg.imaging.readers import reads_dicom

    return _study(path) if reads_dicom(path) else _image(path)


def _program() -> dict[str, Any]:
    from kidneyseg.models import BUNDLED, load_model
    from kidneyseg.segmentation.devices import cuda_name, no_cuda_reason
    from kidneyseg.sparse import native, threads
    from kidneyseg.sparse.backends import has_sparseconvnet

    kernels = f"native, {native.instruction_set()}" if native.available() else f"torch ({native.reason()})"
    return {
        "kidneyseg": __version__,
        "python": platform.python_version(),
        "torch": installed_version("torch") or "not installed; needed for GPUs and for training",
        "other libraries": [
            f"{name} {version}" for name in (*NAMED[1:], "PySide6-Essentials") if (version := installed_version(name))
        ],
        "threads": threads.count(),
        "CUDA": f"none: {reason}" if (reason := no_cuda_reason()) else cuda_name(),
        "CPU kernels": kernels,
        "backends": ["auto (ours)", f"sparseconvnet ({'installed' if has_sparseconvnet() else 'not installed'})"],
        "networks": [load_model(path.stem).id for path in sorted(BUNDLED.glob("*.safetensors"))],
        "use": "research only, not a medical device",
    }


def _network(path: Path) -> dict[str, Any]:
    from kidneyseg.models import load_model

    if not path.is_file():
        raise InputError(f"There is no file {path}. Check the name.")
    model = load_model(path.stem, path.parent)
    weights = sum(weight.size for name, weight in model.network.weights.items() if "running_" not in name)
    return {"network": model.id, "classes": model.network.config["classes"], "weights": weights, **model.info}


def _study(path: Path) -> dict[str, Any]:
    from kidneyseg.imaging.dicom.series import find_study

    study = find_study(path)
    facts: dict[str, Any] = {"study": study.name}
    for series in study.series:
        spacing = "unknown" if series.spacing_mm is None else " × ".join(f"{size:.3g}" for size in series.spacing_mm)
        facts[f"series {series.id}"] = [
            series.description or "no description",
            counted(len(series.slices), "slice"),
            f"{series.columns} × {series.rows} pixels",
            f"{spacing} mm",
            *([series.phase] if series.phase else []),
            *(["derived"] if series.derived else []),
            *([] if series.axial else ["not axial"]),
            *(["proposed"] if series is study.proposed else []),
        ]
    return facts | {"left": list(study.left)}


def _image(path: Path) -> dict[str, Any]:
    import numpy as np

    from kidneyseg.imaging.nifti import load_volume

    volume = load_volume(path)
    low, middle, high = (int(v) for v in np.percentile(volume.hu[::4, ::4, ::2], [1, 50, 99]))
    return {
        "case": volume.name,
        "voxels": list(volume.shape),
        "spacing (mm)": [round(s, 4) for s in volume.spacing_mm],
        "slices along": "xyz"[volume.slice_axis],
        "stored as": volume.geometry.file_orientation,
        "HU (1 %, median, 99 %)": [low, middle, high],
        "calibrated": "yes" if volume.calibrated else "no: these numbers do not look like HU",
        "HU offset": volume.hu_offset,
        "notes": list(volume.notes),
    }
