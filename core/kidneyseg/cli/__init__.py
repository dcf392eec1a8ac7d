"""The command line: `kidneyseg segment | train | evaluate | phantom | bench | info`."""

from kidneyseg.cli.main import main

__all__ = ["main"]
