"""The arguments of `kidneyseg evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from kidneyseg.cli.settings_arguments import add_settings

USAGE = """\
kidneyseg evaluate [options] DATA           segment labelled CTs and score the masks
       kidneyseg evaluate [options] MASKS LABELS   score existing masks"""

DESCRIPTION = """\
Score kidney and tumour masks on the CTs' own voxels: Dice as in KiTS19 and KiTS23, surface Dice, volume errors, lesion
detection and false positives by size, point IoU. Prints a row for each case and a summary: mean with its 95 % bootstrap
interval, median, 5th percentile.

DATA, as for `kidneyseg train`: NAME_ct.nii.gz with NAME_kidney.nii.gz, KiTS' case_XXXXX/imaging.nii.gz with
segmentation.nii.gz, or nnU-Net's imagesTr/ and labelsTr/. Each CT is segmented by a separate `kidneyseg segment`.
LABELS: the same layouts, or plain NAME.nii.gz. MASKS: NAME_mask.nii.gz or NAME.nii.gz, on the voxels of the labels.
Labels: 1 kidney, 2 tumour, 3 cyst.

With --lesions, tumours are inserted into each CT first (shapes of held-out KiTS cases, or synthetic ones). Scores of
inserted tumours do not tell how real tumours are segmented. docs/how-to/evaluation.md explains each score.

Ctrl-C stops and reports the cases scored so far.

exit codes: 0 all cases were scored; 1 some were not; 2 wrong arguments; 3 no case could be used; 130 interrupted"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is scored, how, and with which settings."""
    parser.add_argument("data", type=Path, metavar="DATA | MASKS", help="folder of labelled CTs, or of masks")
    parser.add_argument("labels", type=Path, metavar="LABELS", nargs="?", help="folder of the labels of the masks")
    which = "only these cases: names, a .txt file with a name a line, or kits19: the fixed 40 of KiTS19's 210"
    parser.add_argument("--cases", nargs="+", metavar="NAME", help=which)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write the report (CSV, JSON, Markdown) and new masks to DIR"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--error-budget",
        action="store_true",
        help="measure instead what sampling, stage 1, stage 2, DBSCAN and fill cost on DATA, in one process",
    )
    parser.add_argument(
        "--confidence",
        action="store_true",
        help="measure instead how well the confidence in each predicted tumour is calibrated on DATA, in one process",
    )
    parser.add_argument(
        "--clicks",
        type=int,
        metavar="N",
        help="measure instead how well N simulated clicks mend each error on DATA, in one process",
    )
    parser.add_argument(
        "--cts", type=Path, metavar="DIR", help="the CTs, for the paper's point IoU, if they are not beside LABELS"
    )
    parser.add_argument(
        "--lesions-unlabelled",
        nargs="+",
        metavar="NAME",
        help="CTs with real lesions that are labelled kidney; they are summarised apart",
    )
    group = parser.add_argument_group("inserted tumours", "for DATA without tumour labels")
    group.add_argument("--lesions", metavar="DIR", help="insert tumours: a folder of KiTS label maps, or `procedural`")
    group.add_argument("--lesion-hu", type=Path, metavar="CSV", help="HU statistics of the KiTS cases")
    group.add_argument("--insertions", type=int, metavar="N", help="number of versions with tumours of each CT (1)")
    group.add_argument(
        "--yardstick", action="store_true", help="tumours of each growth type; masses not of a kidney; cysts; slabs"
    )
    group.add_argument(
        "--transplants",
        type=int,
        metavar="N",
        help="number of versions with whole kidneys of the label maps instead of its own, half of them healthy (0)",
    )
    group.add_argument(
        "--lesion-hu-of",
        choices=("held-out", "all"),
        default="held-out",
        help="cases of the table whose HU tumours get (%(default)s)",
    )
    group.add_argument("--originals", action="store_true", help="also score the CTs without insertion")
    group.add_argument("--seed", type=int, default=0, help="random seed of the insertions (%(default)s)")
    add_settings(parser)
