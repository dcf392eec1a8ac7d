"""Prepared cases: found again by content, made anew when damaged, made once by several processes."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.datasets.cache import Arrays, cache_size, cached
from kidneyseg.datasets.cases import error_context, find_cases, prepare, whole_grid
from kidneyseg.datasets.folds import folds, held_out_share, is_kits19, kits19_held_out
from kidneyseg.errors import CaseError, InputError
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.synthesis.insertion import LesionLibrary
from kidneyseg.synthesis.lesion_cache import kits_library
from kidneyseg.training.batches import Loader, Sample
from volumes import abdomen


class Maker:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Arrays:
        self.count += 1
        return {"a": np.arange(1000), "b": np.ones((2, 3), np.uint8)}


def test_what_counts_is_content_and_settings(tmp_path: Path) -> None:
    source, cache, make = tmp_path / "ct", tmp_path / "cache", Maker()
    source.write_bytes(b"one")

    def ask(kind: str = "whole-4", path: Path = source) -> Arrays:
        return cached(cache, "case", kind, [path], make)

    first = ask()
    assert [np.array_equal(first[name], array) for name, array in Maker()().items()] == [True, True]
    os.utime(source, ns=(1, 1))
    shutil.copy(source, tmp_path / "copy")
    ask(path=tmp_path / "copy")
    assert make.count == 1
    ask(kind="whole-5")
    assert make.count == 2
    stamp = source.stat().st_mtime_ns
    source.write_bytes(b"two")
    os.utime(source, ns=(stamp + 1, stamp + 1))
    ask()
    assert make.count == 3
    files, size = cache_size(cache)
    assert files == 3
    assert size == sum(path.stat().st_size for path in cache.glob("*.npz"))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    source, make = tmp_path / "ct", Maker()
    source.write_bytes(b"one")
    cached(tmp_path, "case", "k", [source], make)
    (file,) = tmp_path.glob("*.npz")
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 255
    file.write_bytes({"cut": content[:-100], "flipped": content, "empty": b"", "text": b"hello"}[damage])
    again = cached(tmp_path, "case", "k", [source], make)
    assert make.count == 2
    assert np.array_equal(again["a"], np.arange(1000))
    assert "made anew" in caplog.text
    cached(tmp_path, "case", "k", [source], make)
    assert make.count == 2


def test_a_full_disk_is_told_of_once_and_costs_no_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source, make = tmp_path / "ct", Maker()
    source.write_bytes(b"one")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    for name in ("a", "b"):
        with error_context(name):
            assert np.array_equal(cached(tmp_path / "full", name, "k", [source], make)["a"], np.arange(1000))
    assert make.count == 2
    assert caplog.text.count("No space left on device") == 1
    assert "give --cache" in caplog.text
    assert cache_size(tmp_path / "full") == (0, 0)


def test_what_a_killed_process_left_behind_goes(tmp_path: Path) -> None:
    source, make = tmp_path / "ct", Maker()
    source.write_bytes(b"one")
    cached(tmp_path, "case", "k", [source], make)
    (file,) = tmp_path.glob("*.npz")
    leftover = file.rename(tmp_path / ".kidneyseg-0123.part")
    assert cache_size(tmp_path) == (0, 0)
    cached(tmp_path, "case", "k", [source], make)
    assert not leftover.exists()
    assert cache_size(tmp_path)[0] == 1


def test_two_processes_make_it_once(tmp_path: Path) -> None:
    (tmp_path / "ct").write_bytes(b"one")
    code = """
import sys, time
from pathlib import Path
import nibabel as nib
import numpy as np
from kidneyseg.datasets.cache import cached
def make():
    print("made", flush=True)
    time.sleep(1)
    return {"a": np.arange(3)}
folder = Path(sys.argv[1])
print(cached(folder, "case", "k", [folder / "ct"], make)["a"])
"""
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = "".join(process.communicate()[0] for process in both)
    assert said.count("made") == 1
    assert said.count("[0 1 2]") == 2


def test_cases_that_cannot_be_used_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    volume, truth = abdomen()
    for name in ("good", "cut", "text", "elsewhere"):
        save_volume(volume, tmp_path / f"{name}_ct.nii.gz")
        save_mask(truth, volume, tmp_path / f"{name}_kidney.nii.gz")
    image = tmp_path / "cut_ct.nii.gz"
    image.write_bytes(image.read_bytes()[:5000])
    (tmp_path / "text_ct.nii.gz").write_text("no CT")
    small, other = abdomen((80, 80, 30))
    save_mask(other, small, tmp_path / "elsewhere_kidney.nii.gz")
    cases = find_cases(tmp_path)
    told: list[tuple[int, int]] = []
    made = prepare(
        cases, lambda case: whole_grid(case, 4.0, tmp_path / "cache"), lambda done, of: told.append((done, of))
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert list(made) == ["good"]
    assert all(f"{name}: " in caplog.text for name in ("cut", "text", "elsewhere"))
    assert made["good"].case == "good"
    with pytest.raises(InputError, match="none of the 1 cases can be used"):
        prepare(cases[:1], lambda case: whole_grid(case, 4.0, tmp_path / "cache"))


def test_no_memory_for_a_case_is_said_of_that_case() -> None:
    with pytest.raises(CaseError, match=r"^case_7: out of memory$"), error_context("case_7"):
        raise MemoryError
    with pytest.raises(TypeError), error_context("case_7"):
        raise TypeError  # a mistake in the program is no case's fault


class Fragile:
    """Fails for one in three samples, which one following from the chance it is given."""

    def draw(self, rng: np.random.Generator, step: int = 0) -> Sample:
        value = float(rng.random())
        with error_context(f"case_{value:.3f}"):
            if value < 0.33:
                raise MemoryError
        return Sample(np.zeros((1, 3), np.int64), np.full((1, 1), value, np.float32), np.zeros(1, np.uint8))


def test_batches_do_not_depend_on_who_draws_them(caplog: pytest.LogCaptureFixture) -> None:
    def values(loader: Loader, first: int = 0) -> list[list[float]]:
        return [batch.features[:, 0].tolist() for batch in loader.batches(0, range(first, 12))]

    alone = values(Loader(Fragile(), 3, range(4)))
    assert "another sample is drawn instead" in caplog.text
    for workers in (1, 3):
        assert values(Loader(Fragile(), 3, range(4), workers)) == alone
    assert values(Loader(Fragile(), 3, range(4), 2), first=5) == alone[5:]
    shares = [values(Loader(Fragile(), 3, range(rank, 4, 2), 1)) for rank in range(2)]
    assert [[a[0], b[0], a[1], b[1]] for a, b in zip(*shares, strict=True)] == alone


def test_lesions_are_cut_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    built = []

    def from_kits(masks: Path, hu_csv: Path | None = None) -> LesionLibrary:
        built.append(masks)
        return LesionLibrary.procedural(count=3)

    monkeypatch.setattr(LesionLibrary, "from_kits", staticmethod(from_kits))
    masks, cache = tmp_path / "masks", tmp_path / "cache"
    masks.mkdir()
    (masks / "case_00001.nii.gz").write_bytes(b"1")
    assert [len(kits_library(masks, None, cache)) for _ in range(2)] == [3, 3]
    assert len(built) == 1
    (file,) = cache.glob("lesions-*.npz")
    file.write_bytes(b"damaged")
    kits_library(masks, None, cache)
    (masks / "case_00002.nii.gz").write_bytes(b"2")
    kits_library(masks, None, cache)
    assert len(built) == 3
    assert "made anew" in caplog.text


def test_folds_are_fixed_by_name(tmp_path: Path) -> None:
    for number in (3, 1, 4, 2, 5):
        for kind in ("ct", "kidney"):
            (tmp_path / f"c{number}_{kind}.nii.gz").touch()
    cases = find_cases(tmp_path)
    parts = folds(cases[::-1], 2)
    assert [[case.name for case in part] for part in parts] == [["c1", "c3", "c5"], ["c2", "c4"]]
    for count in (1, 6):
        with pytest.raises(ValueError, match="2 to 5 folds"):
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


def test_kits_axes_make_the_same_scene(tmp_path: Path) -> None:
    volume, truth = abdomen()
    save_volume(volume, tmp_path / "a_ct.nii.gz")
    save_mask(truth, volume, tmp_path / "a_kidney.nii.gz")
    # KiTS' arrays run (slices, rows, columns) towards inferior, posterior, left.
    x, y, z = volume.shape
    to_ours = np.array([[0, 0, -1, x - 1], [0, -1, 0, y - 1], [-1, 0, 0, z - 1], [0, 0, 0, 1]])
    (tmp_path / "case_00000").mkdir()
    for array, name in ((volume.hu, "imaging"), (truth, "segmentation")):
        turned = np.ascontiguousarray(array[::-1, ::-1, ::-1].transpose(2, 1, 0))
        image = nib.Nifti1Image(turned, volume.affine @ to_ours)
        assert nib.aff2axcodes(image.affine) == ("I", "P", "L")
        nib.save(image, tmp_path / "case_00000" / f"{name}.nii.gz")
    ours, kits = (whole_grid(case, 4.0, tmp_path / "cache") for case in find_cases(tmp_path))
    assert kits.case == "case_00000"
    assert np.array_equal(ours.hu, kits.hu)
    assert np.array_equal(ours.labels, kits.labels)
    assert (kits.labels > 0).sum() > 50


def test_a_share_is_the_same_whatever_the_order() -> None:
    names = [f"case_{number:05d}" for number in range(489)]
    share = held_out_share(names, 20)
    assert len(share) == 98
    assert share == held_out_share(names[::-1], 20)
    assert share < set(names)
    assert len(held_out_share(names[:3], 1)) == 1
