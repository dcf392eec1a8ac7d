"""Labelled CTs on disk, their cache of prepared arrays, and cross-validation folds."""
