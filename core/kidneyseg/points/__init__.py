"""A Volume becomes point clouds, a labelled cloud becomes a mask. Knows no network."""
