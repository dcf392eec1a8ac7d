"""What `crossvalidate` scores on."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import torch

from kidneyseg.cli.bench import Bench
from kidneyseg.cli.crossvalidate import _scoring, _variants
from kidneyseg.training.distributed import Ranks
from kidneyseg.training.lesions import LesionLibrary


def test_networks_of_other_seeds_are_scored_on_the_same_insertions() -> None:
    shapes = LesionLibrary.procedural(count=3)

    def bench(seed: int, insertions: int = 2) -> Bench:
        asked = Namespace(preset="default", seed=seed, insertions=insertions, lesions_unlabelled=["a"])
        return Bench(asked, torch.device("cpu"), Ranks(), None, shapes, Path("cache"))

    assert _variants(bench(0)) == _variants(bench(1))
    assert _scoring(bench(0)) == _scoring(bench(1))
    assert _scoring(bench(0)) != _scoring(bench(0, insertions=3))
