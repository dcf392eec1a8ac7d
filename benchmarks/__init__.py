"""Times sparse convolution libraries on the same sites and weights: `python -m benchmarks --help`."""
