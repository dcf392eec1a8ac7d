"""KidneySeg: kidneys and kidney tumours on CT by submanifold sparse convolution.

    result = kidneyseg.segment("ct.nii.gz")

`import kidneyseg` is fast: each public name is imported on first use. Inference on a CPU imports no torch.
"""

from typing import TYPE_CHECKING

from kidneyseg.lazy import names_of
from kidneyseg.version import __version__

if TYPE_CHECKING:
    from kidneyseg.errors import KidneySegError
    from kidneyseg.imaging.readers import load, register_reader
    from kidneyseg.imaging.volume import Volume
    from kidneyseg.segmentation.export import export
    from kidneyseg.segmentation.pipeline import Pipeline, Result, segment
    from kidneyseg.settings import Settings, preset

__all__ = [
    "KidneySegError",
    "Pipeline",
    "Result",
    "Settings",
    "Volume",
    "__version__",
    "export",
    "load",
    "preset",
    "register_reader",
    "segment",
]

__getattr__, __dir__ = names_of(
    __name__,
    {
        "KidneySegError": "errors",
        "Pipeline": "segmentation.pipeline",
        "Result": "segmentation.pipeline",
        "Settings": "settings",
        "Volume": "imaging.volume",
        "export": "segmentation.export",
        "load": "imaging.readers",
        "preset": "settings",
        "register_reader": "imaging.readers",
        "segment": "segmentation.pipeline",
    },
)
