"""From a CT to a mask: the methods behind one interface, and the pipeline that runs them. Importing registers both."""

from kidneyseg.segmentation import default, paper

__all__ = ["default", "paper"]
