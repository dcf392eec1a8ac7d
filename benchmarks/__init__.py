"""Times the sparse engine beside its peers on the same sites and weights: `python -m benchmarks --help`."""
