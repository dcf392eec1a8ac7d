"""`kidneyseg phantom`: write a synthetic CT of the abdomen and its labels."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "phantom",
        help="write a synthetic CT",
        description="Write a procedural CT of the abdomen with kidneys and tumours, and its labels beside it.",
    )
    parser.add_argument("output", type=Path, metavar="CT", help="output file, .nii or .nii.gz")
    parser.add_argument("--seed", type=int, default=0, help="of the anatomy (%(default)s)")
    parser.add_argument(
        "--phase",
        choices=("noncontrast", "arterial", "portal", "excretory"),
        default="portal",
        help="contrast phase (%(default)s)",
    )
    parser.add_argument("--tumours", type=int, default=1, metavar="N", help="number of tumours (%(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the CT and its labels."""
    from kidneyseg.imaging.nifti import case_name, save_mask, save_volume
    from kidneyseg.phantom.abdomen import make_phantom

    volume, labels = make_phantom(arguments.seed, phase=arguments.phase, tumours=arguments.tumours)
    beside = arguments.output.with_name(case_name(arguments.output) + "_labels.nii.gz")
    save_volume(volume, arguments.output)
    save_mask(labels, volume, beside)
    print(f"CT: {arguments.output}\nlabels: {beside}")
    return 0
