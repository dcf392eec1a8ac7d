"""The command line: `kidneyseg segment | train | evaluate | phantom | info`."""

from kidneyseg.cli.main import main

__all__ = ["main"]
