"""KidneySeg's engine: kidneys and kidney tumours on CT by submanifold sparse convolution."""

__version__ = "0.1.0"
