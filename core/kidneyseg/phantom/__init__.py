"""A synthetic abdominal CT with labels, for tests and as the sample case."""

from kidneyseg.phantom.abdomen import make_phantom
from kidneyseg.phantom.sample import sample_case

__all__ = ["make_phantom", "sample_case"]
