"""Stage 2 learns from what stage 1 finds, cut as inference cuts it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kidneyseg.datasets.cases import CaseFiles, find_cases, whole_grid
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import KIDNEY, TUMOUR, PointCloud
from kidneyseg.points.features import kidney_level, stage2_features
from kidneyseg.points.region import regions_around
from kidneyseg.points.resample import lattice_for, resample_hu
from kidneyseg.points.sampling import LOWEST_HU
from kidneyseg.settings import SamplingSettings, Stage2Settings
from kidneyseg.sparse import SparseUNet
from kidneyseg.synthesis.insertion import LesionLibrary
from kidneyseg.training.detections import Crop, crops, crops_of, stage1_finds
from kidneyseg.training.stage2_sampler import KIDNEY_OR_TUMOUR, Stage2Sampler, plain_stage2, with_lesions
from volumes import abdomen

SAMPLING = SamplingSettings(kept_percent=50.0)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> CaseFiles:
    """One CT: two bright balls in a box, one of them with a brighter one inside."""
    where = tmp_path_factory.mktemp("data")
    volume, truth = abdomen()
    save_volume(volume, where / "a_ct.nii.gz")
    save_mask(truth, volume, where / "a_kidney.nii.gz")
    return find_cases(where)[0]


class ByBrightness(SparseUNet):
    """Calls kidney whatever is brighter than `above` HU."""

    def __init__(self, above: float) -> None:
        super().__init__(1, 2, [4, 4])
        self.above = (above - 75.0) / 200.0

    def forward(self, coords: torch.Tensor, features: torch.Tensor, spatial_size: int | None = None) -> torch.Tensor:
        return torch.cat([torch.full_like(features, self.above), features], dim=1)


def test_stage1_finds_lie_on_the_case(case: CaseFiles, tmp_path: Path) -> None:
    scene = whole_grid(case, 4.0, tmp_path)
    plain = list(stage1_finds(scene, ByBrightness(100.0), SAMPLING, 0, np.random.default_rng(0)))
    assert len(plain) == 1
    assert (plain[0] == (scene.hu > 100)).all()
    changed = list(stage1_finds(scene, ByBrightness(100.0), SAMPLING, 4, np.random.default_rng(0)))
    assert len(changed) == 4
    assert all((find & (scene.labels > 0)).sum() > 0.9 * find.sum() for find in changed)
    assert len({find.tobytes() for find in changed}) > 1


@pytest.fixture
def with_false_find() -> tuple[Volume, NDArray[np.uint8]]:
    """Two kidneys and, far away, something as bright that is none."""
    volume, _ = abdomen((200, 80, 30))
    truth = np.zeros(volume.shape, np.uint8, order="F")
    truth[volume.hu == 150] = 1
    truth[volume.hu == 250] = 2
    volume.hu[180:188, 20:60, 5:25] = 150
    return volume, truth


def test_close_ups_show_kidneys_and_false_finds(with_false_find: tuple[Volume, NDArray[np.uint8]]) -> None:
    volume, truth = with_false_find
    made = crops_of(volume, truth, None, None, 2.0, SAMPLING, ByBrightness(100.0), count=0, coarse_mm=4.0)
    true = [one for one in made if one.scene.labels.any()]
    false = [one for one in made if not one.scene.labels.any()]
    assert len(true) == 2
    assert any((one.scene.hu > 100).any() for one in false)
    there = resample_hu(volume, lattice_for(volume, 2.0))
    for one in made:
        box = tuple(slice(a, a + n) for a, n in zip(one.corner, one.scene.hu.shape, strict=True))
        assert (there[box] == one.scene.hu).all()


def test_close_ups_are_cached_by_network(case: CaseFiles, tmp_path: Path) -> None:
    first = crops(case, 2.0, SAMPLING, ByBrightness(100.0), tmp_path, count=2, coarse_mm=4.0)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = crops(case, 2.0, SAMPLING, None, tmp_path, count=2, coarse_mm=4.0)
    assert again[0].finds == []
    assert len(list(tmp_path.iterdir())) == len(files) + 1
    torch.manual_seed(0)
    finder = ByBrightness(100.0)
    one = crops(case, 2.0, SAMPLING, finder, tmp_path, count=2, coarse_mm=4.0)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    two = crops(case, 2.0, SAMPLING, finder, tmp_path, count=2, coarse_mm=4.0)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert all((a.scene.hu == b.scene.hu).all() for a, b in zip(one, two, strict=True))
    assert len(one[0].finds) == len(first[0].finds) == 2


def test_a_plain_sample_is_what_inference_cuts(case: CaseFiles, tmp_path: Path) -> None:
    volume, _ = abdomen()
    finder = ByBrightness(100.0)
    made = [
        one for one in crops(case, 2.0, SAMPLING, finder, tmp_path, count=0, coarse_mm=4.0) if one.scene.labels.any()
    ]
    whole = whole_grid(case, 4.0, tmp_path)
    index = np.argwhere(made[0].finds[0])
    labels = np.full(len(index), KIDNEY, np.uint8)
    find = PointCloud(lattice_for(volume, 4.0), index.astype(np.int32), whole.hu[tuple(index.T)], labels)
    expected, shown = {}, {}
    for region in regions_around(find, volume, 2.0, 10.0):
        hu = resample_hu(volume, region.lattice)
        kept = region.inside & (hu >= LOWEST_HU)
        origin = np.rint(np.array(region.lattice.origin_mm) / 2.0).astype(int)
        features = stage2_features(hu[kept], kidney_level(hu[kept], region.found[kept]), 2)
        expected |= dict(zip(map(tuple, np.argwhere(kept) + origin), features, strict=True))
    for one in made:
        # The tumour is added to the find, which holds it here anyway.
        sample = plain_stage2(one, Stage2Settings(margin_mm=10.0))
        assert sample is not None
        shown |= dict(zip(map(tuple, sample.cells + one.corner), sample.features, strict=True))
    assert len(shown.keys() ^ expected.keys()) < 0.02 * len(expected)
    assert all(np.allclose(shown[cell], expected[cell], atol=1e-3) for cell in shown.keys() & expected.keys())


def test_every_draw_is_one_find_with_its_labels(with_false_find: tuple[Volume, NDArray[np.uint8]]) -> None:
    made = crops_of(*with_false_find, None, None, 2.0, SAMPLING, ByBrightness(100.0), count=3, coarse_mm=4.0)
    sampler = Stage2Sampler(made, Stage2Settings(), LesionLibrary.procedural(count=5))
    seen = [sampler.draw(np.random.default_rng(seed)) for seed in range(12)]
    assert all(len(sample.cells) >= 500 for sample in seen)
    kidney = [bool((sample.labels > 0).any()) for sample in seen]
    assert any(kidney)
    assert not all(kidney)
    assert max(int(sample.labels.max()) for sample in seen) == 2


def test_kidneys_with_unlabelled_lesions_may_be_tumour(with_false_find: tuple[Volume, NDArray[np.uint8]]) -> None:
    volume, truth = with_false_find
    made = crops_of(
        volume, np.minimum(truth, 1), None, None, 2.0, SAMPLING, ByBrightness(100.0), count=1, coarse_mm=4.0
    )
    sampler = Stage2Sampler(made, Stage2Settings(), LesionLibrary.procedural(count=20), frozenset({made[0].scene.case}))
    seen = np.unique(np.concatenate([sampler.draw(np.random.default_rng(seed)).labels for seed in range(24)]))
    assert seen.tolist() == [0, TUMOUR, KIDNEY_OR_TUMOUR], "what was inserted is a tumour for certain"


def test_changes_are_shared_by_steps_and_replaced_as_they_pass(
    with_false_find: tuple[Volume, NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = crops_of(*with_false_find, None, None, 2.0, SAMPLING, ByBrightness(100.0), count=1, coarse_mm=4.0)
    seen: list[tuple[int, ...]] = []

    def changed(one: Crop, _lesions: LesionLibrary | None, *number: int) -> tuple[NDArray, NDArray]:
        seen.append(number)
        return one.scene.hu, one.scene.labels

    monkeypatch.setattr("kidneyseg.training.stage2_sampler._changed", changed)

    def at(step: int, seed: int = 0) -> set[tuple[int, ...]]:
        seen.clear()
        sampler = Stage2Sampler(made, Stage2Settings(), seed=seed)
        for chance in range(60):
            sampler.draw(np.random.default_rng(chance), step)
        return set(seen)

    assert at(0) == at(10)
    assert 0 < len(at(0) - at(100)) < len(at(0))
    assert not at(0) & at(1000)
    assert not at(0) & at(0, seed=1), "a run that goes on with another seed sees other patients"


def test_lesions_are_inserted_once(case: CaseFiles, tmp_path: Path) -> None:
    one = next(
        one for one in crops(case, 2.0, SAMPLING, None, tmp_path, coarse_mm=4.0) if (one.scene.labels == 1).any()
    )
    changed = with_lesions(one, LesionLibrary.procedural(count=5), np.random.default_rng(1))
    assert isinstance(changed, Crop)
    assert (changed.scene.labels == 2).sum() > (one.scene.labels == 2).sum()
    assert plain_stage2(changed, Stage2Settings()) is not None
