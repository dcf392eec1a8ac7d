"""`kidneyseg evaluate`: segments labelled CTs as a user would, and scores the masks on the CTs' own voxels."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kidneyseg.cli.terminal import add_settings, print_json
from kidneyseg.errors import InputError, KidneySegError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kidneyseg.imaging.volume import Volume
    from kidneyseg.training.dataset import CaseFiles
    from kidneyseg.training.lesions import LesionLibrary

_DESCRIPTION = """\
Segment labelled CTs end to end, each in a process of its own, and score the masks on the CTs' own voxels: Dice as in
KiTS19 (kidney with tumour; tumour), wall-clock seconds and peak memory of the whole process. DATA is laid out as for
`kidneyseg train`. With --lesions, tumours are first inserted into each CT (KiTS shapes of held-out cases, or made-up
ones): figures for inserted tumours say nothing certain about real ones."""

_NAMES = ("kidney", "tumour")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "evaluate",
        help="segment labelled CTs and score the masks",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of labelled CTs")
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--lesions", metavar="DIR", help="insert tumours: a folder of KiTS label maps, or `procedural`")
    parser.add_argument("--lesion-hu", type=Path, metavar="CSV", help="HU statistics of those cases")
    parser.add_argument("--seed", type=int, default=0, help="of the insertion (%(default)s)")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="keep the masks (and CTs with insertions) here"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Segment, score, print a row a case and the means."""
    from kidneyseg.training.dataset import find_cases

    cases = find_cases(arguments.data)
    if arguments.cases:
        unknown = set(arguments.cases) - {case.name for case in cases}
        if unknown:
            raise InputError(f"{arguments.data} has no case {sorted(unknown)[0]}")
        cases = [case for case in cases if case.name in arguments.cases]
    shapes = _shapes(arguments)
    rows = []
    with tempfile.TemporaryDirectory(prefix="kidneyseg-") as temporary:
        folder = arguments.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for case in cases:
            row = _scored(case, shapes, folder, arguments)
            rows.append(row)
            if not arguments.json:
                print(_line(row), flush=True)
    means = _means(rows)
    if arguments.json:
        print_json({"cases": rows, "mean": means})
    else:
        print(_line({"case": "mean", **means}))
    return 0 if all("error" not in row for row in rows) else 1


def _scored(
    case: CaseFiles, shapes: LesionLibrary | None, folder: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    """One case's row; a case that fails is named and the others go on."""
    from kidneyseg.imaging.nifti import load_mask, load_volume
    from kidneyseg.metrics import kits19_dice
    from kidneyseg.training.dataset import load_labels

    try:
        image, volume = case.image, load_volume(case.image)
        truth = load_labels(case, volume)
        if shapes is not None:
            image, truth = _with_lesions(case, volume, truth, shapes, folder, arguments.seed)
        mask = folder / f"{case.name}_mask.nii.gz"
        report, seconds = _segment(image, mask, arguments)
        found = load_mask(mask)[0]
    except KidneySegError as error:
        return {"case": case.name, "error": str(error)}
    dice = kits19_dice(found, truth)
    row: dict[str, Any] = {"case": case.name, "kidney": round(float(dice["kidney"]), 4)}
    if (truth == 2).any():
        row["tumour"] = round(float(dice["tumour"]), 4)
        row["tumours found"] = _found_lesions(found, truth)
    row["false tumour mL"] = round(float(((found == 2) & (truth != 2)).sum()) * volume.voxel_ml, 2)
    return row | {"seconds": round(seconds, 1), "peak MB": report["peak_mb"], "stages": report["seconds"]}


def _segment(image: Path, mask: Path, arguments: argparse.Namespace) -> tuple[dict[str, Any], float]:
    """Run `kidneyseg segment` as a user would; its JSON report and its wall-clock seconds."""
    command = [sys.executable, "-m", "kidneyseg", "segment", str(image), "-o", str(mask), "--json"]
    command += ["--preset", arguments.preset, "--device", arguments.device]
    for flag in ("settings", "kept_percent", "eps_mm", "min_samples", "fill", "closing_mm", "models"):
        value = getattr(arguments, flag)
        if value is not None:
            command += [f"--{flag.replace('_', '-')}", str(value)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise InputError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "segmentation failed")
    return json.loads(done.stdout), seconds


def _shapes(arguments: argparse.Namespace) -> LesionLibrary | None:
    if arguments.lesions is None:
        return None

    from kidneyseg.training.lesions import LesionLibrary

    if arguments.lesions == "procedural":
        return LesionLibrary.procedural(seed=arguments.seed + 1000)
    path = Path(arguments.lesions)
    library = LesionLibrary.load(path) if path.is_file() else LesionLibrary.from_kits(path, arguments.lesion_hu)
    return library.split()[1]


def _with_lesions(
    case: CaseFiles, volume: Volume, truth: NDArray[np.uint8], shapes: LesionLibrary, folder: Path, seed: int
) -> tuple[Path, NDArray[np.uint8]]:
    """The CT with lesions inserted, as a file, and its labels."""
    from dataclasses import replace

    import numpy as np

    from kidneyseg.imaging.nifti import load_mask, save_mask, save_volume
    from kidneyseg.training.lesions import insert_random_lesions

    rng = np.random.default_rng([seed, *case.name.encode()])
    organs = None if case.organs is None else load_mask(case.organs)[0]
    hu, labels = insert_random_lesions(volume.hu, truth, volume.spacing_mm, shapes, rng, organs=organs)[:2]
    image = folder / f"{case.name}_inserted.nii.gz"
    save_volume(replace(volume, hu=np.asfortranarray(hu)), image)
    save_mask(labels, volume, folder / f"{case.name}_inserted_labels.nii.gz")
    return image, labels


def _found_lesions(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> str:
    """How many separate tumours are hit by at least a tenth of their voxels, as "2/3"."""
    import numpy as np
    from scipy import ndimage

    parts, count = ndimage.label(truth == 2)
    if count == 0:
        return "0/0"
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    hits = np.bincount(parts[found == 2].ravel(), minlength=count + 1)[1:]
    return f"{int((hits >= 0.1 * sizes).sum())}/{count}"


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name in (*_NAMES, "false tumour mL", "seconds", "peak MB"):
        values = [row[name] for row in rows if name in row]
        if values:
            means[name] = round(sum(values) / len(values), 4)
    return means


def _line(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"{row['case']:<14}{row['error']}"
    cells = [f"{row['case']:<14}"]
    cells += [f"{name} Dice {row[name]:.3f}  " for name in _NAMES if name in row]
    if "tumours found" in row:
        cells.append(f"tumours found {row['tumours found']}  ")
    cells.append(f"false tumour {row['false tumour mL']:.2f} mL  ")
    return "".join(cells) + f"{row['seconds']:.1f} s  {row['peak MB']:.0f} MB"
