"""A process that `kidneyseg bench` starts: segments a CT twice and prints the seconds of each stage as JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from kidneyseg.cli.machine import Machine
from kidneyseg.cli.terminal import peak_mb
from kidneyseg.errors import KidneySegError
from kidneyseg.imaging.read_ahead import ReadAhead
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.export import export
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import Settings, preset
from kidneyseg.sparse.inference import NativeUNet
from kidneyseg.sparse.passes import Seconds

# The pipeline's stages by their names here.
_STAGES = {
    "points": "sample",
    "stage 1": "stage 1",
    "stage 2": "stage 2",
    "clusters": "clusters",
    "fill": "fill",
    "findings": "findings",
}


def print_times(arguments: argparse.Namespace, reading: ReadAhead, reading_s: list[float]) -> int:
    """Segment `arguments.ct` twice and print both runs' times, the machine and what was segmented.

    Args:
        arguments: of the command.
        reading: has begun to read the CT.
        reading_s: receives the seconds of each reading.
    """
    started_s = time.monotonic() - arguments.started_at
    machine, settings = Machine.here(), preset(arguments.preset)
    pipelines = _Pipelines(arguments, reading, reading_s)
    first = pipelines.run(settings, {"start and imports": started_s}, since=arguments.started_at, cpu_since=0.0)
    following = pipelines.run(settings, {}, since=time.monotonic(), cpu_since=time.process_time())
    print(json.dumps({"machine": machine.to_dict(), "first CT": first, "next CT": following}))
    return 0


class _Pipelines:
    """Segments the CT again and again with the networks of the first time."""

    def __init__(self, arguments: argparse.Namespace, reading: ReadAhead, reading_s: list[float]) -> None:
        self._arguments, self._reading, self._reading_s = arguments, reading, reading_s
        self._latest: Pipeline | None = None

    def run(self, settings: Settings, seconds: dict[str, float], *, since: float, cpu_since: float) -> dict[str, Any]:
        """Read, segment and export once. `seconds` is what was spent since `since` before this."""
        volume = self._read()
        seconds["reading"] = self._reading_s[-1]
        if self._latest is None:
            started = time.monotonic()
            self._latest = Pipeline(volume, device=self._arguments.device, models_dir=self._arguments.models)
            self._latest.networks_of(settings.method)
            seconds["loading networks"] = time.monotonic() - started
        else:
            self._latest = self._latest.for_volume(volume)
        pipeline, passes = self._latest, {}
        for stage, model in zip(("stage 1", "stage 2"), pipeline.networks_of(settings.method).all, strict=True):
            runner = model.runner(pipeline.device)
            if isinstance(runner, NativeUNet):
                runner.seconds = passes[stage] = Seconds()
        result = pipeline.run(settings)
        for stage, name in _STAGES.items():
            seconds[stage] = result.timings[name]
            if stage in passes:
                seconds[f"{stage}: kernel maps"] = passes[stage].maps
                seconds[f"{stage}: convolutions"] = passes[stage].convolutions
        with tempfile.TemporaryDirectory(prefix="kidneyseg-bench-") as folder:
            started = time.monotonic()
            export(result, volume, Path(folder) / "mask.nii.gz")
            ended = time.monotonic()
        seconds |= {"export": ended - started, "total": ended - since, "CPU time": time.process_time() - cpu_since}
        return {
            "seconds": seconds,
            "peak MB": peak_mb(),
            "device": result.device,
            "voxels": list(volume.shape),
            "points": [len(result.sampled), len(result.stage2)],
        }

    def _read(self) -> Volume:
        read = next(self._reading.each([self._arguments.ct])).volume
        if isinstance(read, KidneySegError):
            raise read
        return read
