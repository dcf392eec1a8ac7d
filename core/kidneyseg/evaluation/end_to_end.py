"""Segment labelled CTs with `kidneyseg segment`, each in its own process, and score the masks."""

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

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import InputError, ResourceError
from kidneyseg.evaluation.masks import read_labels
from kidneyseg.evaluation.reach import reach_of
from kidneyseg.evaluation.scores import CHANGED, UNUSABLE, Outcome, failed, score_case
from kidneyseg.evaluation.variants import CaseVariant, Variants, case_variants
from kidneyseg.files import make_folder
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.segmentation.networks import load_networks
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import Settings

_RETRY = "close other programs, then run the command again"


@dataclass(frozen=True)
class SegmentationSpec:
    """How CTs are segmented."""

    settings: Settings  #: a preset or a modified one
    models: Path | None = None  #: folder of the networks, None for the bundled ones
    device: str = "auto"  #: "auto", "cpu" or "cuda"


def segment_and_score(
    cases: Sequence[CaseFiles], spec: SegmentationSpec, variants: Variants | None = None, *, keep: Path | None = None
) -> Iterator[Outcome]:
    """Segment every version of every CT with `kidneyseg segment` and score the masks, one after the other.

    Args:
        cases: labelled CTs.
        spec: settings, networks and device.
        variants: the versions; None takes the original CTs.
        keep: folder in which masks (NAME_mask.nii.gz), CTs with insertions and their labels are left; None keeps none.

    Yields:
        A score or a Failure of each, as soon as it is known. Where tumours are of a growth type, stage 1's reach is
        measured besides, by segmenting the version once more in this process.
    """
    with tempfile.TemporaryDirectory(prefix="kidneyseg-") as temporary:
        settings = Path(temporary) / "settings.json"
        settings.write_text(spec.settings.to_json(), encoding="utf-8")
        folder = keep or Path(temporary)
        make_folder(folder)
        reach = _Reach(spec)
        for case in cases:
            try:
                for variant in case_variants(case, variants or Variants()):
                    yield _scored(case, variant, spec, settings, folder, reach)
            except UNUSABLE as error:
                yield failed(error, case.name, case.name)


def seen_in_training(cases: Sequence[CaseFiles], spec: SegmentationSpec) -> list[str]:
    """Names of the cases that the networks were trained on: their scores do not show how unseen CTs are segmented.

    Raises:
        ModelError: when a network is missing or damaged.
    """
    networks = load_networks(spec.settings.method, spec.models)
    known = {case for model in networks.all for case in model.info.get("trained on", ())}
    return [case.name for case in cases if case.name in known]


class _Reach:
    """Stage 1's reach for tumours of a growth type, with networks that are loaded once."""

    def __init__(self, spec: SegmentationSpec) -> None:
        self._spec = spec
        self._pipeline: Pipeline | None = None

    def of(self, variant: CaseVariant) -> float | None:
        """None where the version has no tumours of a growth type."""
        if not variant.growth:
            return None
        spec = self._spec
        self._pipeline = self._pipeline or Pipeline(variant.volume, device=spec.device, models_dir=spec.models)
        return reach_of(self._pipeline, variant, spec.settings)


def _scored(
    case: CaseFiles, variant: CaseVariant, spec: SegmentationSpec, settings: Path, folder: Path, reach: _Reach
) -> Outcome:
    mask = folder / f"{variant.name}_mask.nii.gz"
    try:
        image = case.image
        if variant.group in CHANGED:
            image = folder / f"{variant.name}.nii.gz"
            save_volume(variant.volume, image)
            save_mask(variant.truth, variant.volume, folder / f"{variant.name}_labels.nii.gz")
        peak_mb, seconds = _segment(image, mask, spec, settings)
        score = score_case(
            read_labels(mask, variant.volume),
            variant.truth,
            variant.volume.spacing_mm,
            name=variant.name,
            hu=variant.volume.hu,
            case=case.name,
            group=variant.group,
            growth=variant.growth,
            extrarenal=variant.extrarenal,
        )
        score = replace(score, reach=reach.of(variant))
    except UNUSABLE as error:
        return failed(error, variant.name, case.name, variant.group)
    return replace(score, seconds=seconds, peak_mb=peak_mb)


def _segment(image: Path, mask: Path, spec: SegmentationSpec, settings: Path) -> tuple[float, float]:
    """Run `kidneyseg segment` as a user would. Returns its peak memory in MB and its wall-clock seconds.

    Raises:
        InputError: it failed; the message is the last line that it printed.
        ResourceError: it was killed, or could not be started.
    """
    command = [sys.executable, "-m", "kidneyseg", "segment", str(image), "-o", str(mask), "--json"]
    command += ["--settings", str(settings), "--device", spec.device]
    if spec.models is not None:
        command += ["--models", str(spec.models)]
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ResourceError(f"the segmentation could not be started ({error.strerror}); {_RETRY}") from error
    seconds = time.perf_counter() - started
    rerun = f"run it alone to see the reason: kidneyseg segment {image}"
    if done.returncode == -signal.SIGKILL:
        raise ResourceError(f"the segmentation was killed by SIGKILL, most likely for lack of memory; {_RETRY}")
    if done.returncode < 0:
        raise ResourceError(
            f"the segmentation was killed by signal {-done.returncode} ({signal.strsignal(-done.returncode)}); {rerun}"
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise InputError(lines[-1] if lines else f"the segmentation failed without a message; {rerun}")
    return float(json.loads(done.stdout)["peak_mb"]), seconds
