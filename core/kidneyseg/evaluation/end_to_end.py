"""Segmenting labelled CTs as a user would, each in a process of its own, and scoring the masks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import InputError, ResourceError
from kidneyseg.evaluation.masks import read_labels
from kidneyseg.evaluation.scores import AS_IS, LESIONS_UNLABELLED, UNUSABLE, Outcome, failed, score_case
from kidneyseg.imaging.files import make_folder
from kidneyseg.imaging.nifti import load_mask, load_volume, save_mask, save_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.networks import load_networks
from kidneyseg.settings import Settings
from kidneyseg.synthesis.insertion import LesionLibrary, insert_random_lesions

INSERTED = "with inserted tumours"

_DRAWS = 20
_ANEW = "close other programs, then run the command again"


@dataclass(frozen=True)
class Segmenting:
    """How CTs are segmented.

    Attributes:
        settings: a preset or a change of one.
        models: folder of the networks, None for the bundled ones.
        device: "auto", "cpu" or "cuda".
    """

    settings: Settings
    models: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Variants:
    """Which versions of each CT are segmented.

    Attributes:
        shapes: lesions to insert; None inserts none.
        insertions: how many versions with lesions of each CT there are; each draws 1-3 tumours, mostly one.
        as_is: the CT as it is, too. Without `shapes` it is taken in any case.
        seed: insertion i of a CT is drawn from seed + i and the CT's name, whatever other CTs there are.
        lesions_unlabelled: names of CTs with real lesions that their labels call kidney: as they are, they are
            summarised apart, since a tumour found there may be true.
    """

    shapes: LesionLibrary | None = None
    insertions: int = 1
    as_is: bool = False
    seed: int = 0
    lesions_unlabelled: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class CaseVariant:
    """A version of a CT: the volume, its labels 0 ... 3 (X, Y, Z), and how it is called and grouped."""

    name: str
    group: str
    volume: Volume
    truth: NDArray[np.uint8]


def segment_and_score(
    cases: Sequence[CaseFiles], how: Segmenting, variants: Variants | None = None, *, keep: Path | None = None
) -> Iterator[Outcome]:
    """Segment every version of every CT with `kidneyseg segment` and score the masks, one after the other.

    Args:
        cases: labelled CTs.
        how: settings and networks.
        variants: which versions; None takes each CT as it is.
        keep: where masks (NAME_mask.nii.gz), CTs with insertions and their labels are left; None leaves nothing.

    Yields:
        A score for each, as soon as there is one, or a Failure; the others go on.
    """
    with tempfile.TemporaryDirectory(prefix="kidneyseg-") as temporary:
        settings = Path(temporary) / "settings.json"
        settings.write_text(how.settings.to_json(), encoding="utf-8")
        folder = keep or Path(temporary)
        make_folder(folder)
        for case in cases:
            try:
                for patient in patients(case, variants or Variants()):
                    yield _scored(case, patient, how, settings, folder)
            except UNUSABLE as error:
                yield failed(error, case.name, case.name)


def learnt_from(cases: Sequence[CaseFiles], how: Segmenting) -> list[str]:
    """Names of the cases that the networks say they were trained on: scores of these say little of unseen CTs.

    Raises:
        ModelError: when a network is missing or damaged.
    """
    networks = load_networks(how.settings.method, how.models)
    known = {case for model in networks.all for case in model.info.get("trained on", ())}
    return [case.name for case in cases if case.name in known]


def patients(case: CaseFiles, variants: Variants) -> Iterator[CaseVariant]:
    """The versions of a CT, read once. Raises InputError when its files cannot be used."""
    volume = load_volume(case.image)
    truth = read_labels(case.labels, volume)
    if variants.as_is or variants.shapes is None:
        group = LESIONS_UNLABELLED if case.name in variants.lesions_unlabelled else AS_IS
        yield CaseVariant(case.name, group, volume, truth)
    if variants.shapes is None:
        return
    organs = None if case.organs is None else load_mask(case.organs)[0]
    for i in range(variants.insertions):
        rng = np.random.default_rng([variants.seed + i, *case.name.encode()])
        hu, labels = _with_lesions(case.name, volume, truth, organs, variants.shapes, rng)
        name = f"{case.name}_inserted{i if variants.insertions > 1 else ''}"
        yield CaseVariant(name, INSERTED, replace(volume, hu=np.asfortranarray(hu)), labels)


def _with_lesions(
    name: str,
    volume: Volume,
    truth: NDArray[np.uint8],
    organs: NDArray[np.uint8] | None,
    shapes: LesionLibrary,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """HU and labels with at least one tumour more: a draw that finds no room for any is drawn again."""
    for _ in range(_DRAWS):
        hu, labels, done = insert_random_lesions(volume.hu, truth, volume.spacing_mm, shapes, rng, organs=organs)
        if any(insertion.kind == "tumour" for insertion in done):
            return hu, labels
    raise InputError(f"no tumour finds room in {name}; take smaller shapes, or leave its files out of DATA")


def _scored(case: CaseFiles, patient: CaseVariant, how: Segmenting, settings: Path, folder: Path) -> Outcome:
    mask = folder / f"{patient.name}_mask.nii.gz"
    try:
        image = case.image
        if patient.group == INSERTED:
            image = folder / f"{patient.name}.nii.gz"
            save_volume(patient.volume, image)
            save_mask(patient.truth, patient.volume, folder / f"{patient.name}_labels.nii.gz")
        peak_mb, seconds = _segment(image, mask, how, settings)
        found = read_labels(mask, patient.volume)
        score = score_case(
            found,
            patient.truth,
            patient.volume.spacing_mm,
            name=patient.name,
            hu=patient.volume.hu,
            case=case.name,
            group=patient.group,
        )
    except UNUSABLE as error:
        return failed(error, patient.name, case.name, patient.group)
    return replace(score, seconds=seconds, peak_mb=peak_mb)


def _segment(image: Path, mask: Path, how: Segmenting, settings: Path) -> tuple[float, float]:
    """Run `kidneyseg segment` as a user would; its peak memory in MB and its wall-clock seconds.

    Raises:
        InputError: with what it said, where it failed.
        ResourceError: it was killed, or could not be started.
    """
    command = [sys.executable, "-m", "kidneyseg", "segment", str(image), "-o", str(mask), "--json"]
    command += ["--settings", str(settings), "--device", how.device]
    if how.models is not None:
        command += ["--models", str(how.models)]
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ResourceError(f"the segmentation could not be started ({error.strerror}); {_ANEW}") from error
    seconds = time.perf_counter() - started
    if done.returncode < 0:
        raise ResourceError(_killed_by(-done.returncode, image))
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise InputError(said[-1] if said else f"the segmentation failed without a word; {_by_itself(image)}")
    return float(json.loads(done.stdout)["peak_mb"]), seconds


def _killed_by(number: int, image: Path) -> str:
    """A sentence with the mend on a segmentation that a signal ended."""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if name == "SIGKILL":
        return f"the segmentation was killed by SIGKILL, most likely for lack of memory; {_ANEW}"
    return f"the segmentation was killed by {name}; {_by_itself(image)}"


def _by_itself(image: Path) -> str:
    return f"see what it says by itself: kidneyseg segment {image}"
