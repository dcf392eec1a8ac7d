"""Folds and validation cases: fixed by the cases' names, disjoint from the training cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.datasets.folds import folds, held_out_share, is_kits19, kits19_held_out, split_off
from kidneyseg.errors import InputError, SettingsError


def cases_named(*names: str) -> list[CaseFiles]:
    return [CaseFiles(name, Path(f"{name}_ct.nii.gz"), Path(f"{name}_kidney.nii.gz")) for name in names]


def test_folds_are_fixed_by_name() -> None:
    cases = cases_named("c3", "c1", "c4", "c2", "c5")
    parts = folds(cases, 2)
    assert [[case.name for case in part] for part in parts] == [["c1", "c3", "c5"], ["c2", "c4"]]
    for count in (1, 6):
        with pytest.raises(SettingsError, match="2 to 5 folds"):
            folds(cases, count)


def test_the_kits19_split_stays_what_it_is() -> None:
    names = [f"case_{i:05d}" for i in range(210)]
    held_out = kits19_held_out()
    assert len(held_out) == 40
    assert held_out < set(names)
    assert sorted(held_out)[:3] == ["case_00001", "case_00004", "case_00009"]
    assert is_kits19(names)
    assert is_kits19([name for name in names if name not in ("case_00015", "case_00023")])
    assert not is_kits19([*names, "case_00300"])
    assert not is_kits19(names[:50])


def test_a_share_is_the_same_whatever_the_order() -> None:
    names = [f"case_{number:05d}" for number in range(489)]
    share = held_out_share(names, 20)
    assert len(share) == 98
    assert share == held_out_share(names[::-1], 20)
    assert share < set(names)
    assert len(held_out_share(names[:3], 1)) == 1


@pytest.mark.parametrize("count", [2, 3, 7])
def test_each_case_is_in_one_fold(count: int) -> None:
    cases = cases_named(*(f"c{number}" for number in range(7)))
    names = [case.name for part in folds(cases, count) for case in part]
    assert sorted(names) == [case.name for case in cases]


def test_training_and_validation_share_no_case() -> None:
    cases = cases_named("a", "b", "case_00001", "case_00000")
    for wanted, expected in (
        ({"b"}, ["b"]),
        ({"b", "kits19"}, ["b", "case_00001"]),
        ({"50%"}, sorted(held_out_share(["a", "b", "case_00000", "case_00001"], 50))),
        (set(), []),
    ):
        training, validation = split_off(cases, wanted)
        assert sorted(case.name for case in validation) == expected
        assert sorted([*training, *validation], key=lambda case: case.name) == sorted(cases, key=lambda case: case.name)


def test_validation_cases_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="there is no case x to validate on; there are: a, b"):
        split_off(cases_named("a", "b"), {"x"})
    with pytest.raises(InputError, match="leave some for training"):
        split_off(cases_named("a", "b"), {"a", "b"})
    with pytest.raises(InputError, match="kits19 means case_00000 to case_00209"):
        split_off(cases_named("a", "b"), {"kits19"})
