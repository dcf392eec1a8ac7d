"""One call from a CT to a mask."""

from __future__ import annotations

import os
from pathlib import Path

from kidneyseg.imaging.readers import load
from kidneyseg.imaging.volume import Volume
from kidneyseg.progress import Progress
from kidneyseg.segmentation.pipeline import Pipeline, Result
from kidneyseg.settings import Settings, preset


def segment(
    ct: Volume | str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    device: str = "auto",
    models: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Segment the kidneys and kidney tumours on one CT.

    To try several settings on the same CT, use a `Pipeline`: it repeats only the steps that a changed setting affects.

    Args:
        ct: a Volume, or the path of a file that `load` can read.
        settings: what to use; `preset("default")` if None.
        device: "auto" (CUDA where there is a GPU, else CPU), "cpu" or "cuda".
        models: a folder with networks of your own; the bundled ones if None.
        progress: receives the step and the fraction done, and may cancel; see `kidneyseg.progress`.

    Returns:
        The result; `result.mask` is uint8 (X, Y, Z) in RAS order: 0 background, 1 kidney, 2 tumour.

    Raises:
        InputError: the file cannot be used as a CT.
        SettingsError: a setting is out of range.
        ModelError: a network is missing or damaged.
        ResourceError: the device is not available, or there is too little memory.
        Cancelled: `progress` asked to stop.
    """
    volume = ct if isinstance(ct, Volume) else load(ct)
    pipeline = Pipeline(volume, device=device, models_dir=None if models is None else Path(models))
    return pipeline.run(settings or preset("default"), progress)
