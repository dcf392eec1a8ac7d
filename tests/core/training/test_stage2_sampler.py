"""Samples of stage 2: regions around stage 1's detections, cut as inference cuts them."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from donors import kidney_library
from kidneyseg.datasets.cases import LabelledGrid, whole_grid
from kidneyseg.errors import CaseError
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.features import kidney_level, stage2_features
from kidneyseg.points.region import regions_around
from kidneyseg.points.resample import lattice_for, resample_hu
from kidneyseg.points.sampling import LOWEST_HU
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.subject import Subject
from kidneyseg.training.augmentation import Augmentation
from kidneyseg.training.batches import ANY_FOREGROUND, Sample
from kidneyseg.training.detections import Crop, coarse_cells, crops, crops_of
from kidneyseg.training.stage2_sampler import Stage2Sampler, plain_stage2, with_lesions
from training_cases import DETECTOR, NO_DETECTOR, save_case, stage2_recipe, with_false_detection
from volumes import abdomen

COARSE = stage2_recipe(grid_mm=4.0)
LIBRARY = replace(LesionLibrary.procedural(12), kidneys=kidney_library())


@pytest.fixture(scope="module")
def made() -> list[Crop]:
    """Two kidneys without tumour labels and a false detection, on cells of 4 mm."""
    return crops_of(*with_false_detection(tumour=False), COARSE, DETECTOR, count=2)


def test_a_plain_sample_is_what_inference_cuts(tmp_path: Path) -> None:
    case, (volume, _) = save_case(tmp_path), abdomen()
    kidneys = [crop for crop in crops(case, stage2_recipe(), DETECTOR, tmp_path, count=0) if crop.grid.labels.any()]
    whole = whole_grid(case, 4.0, tmp_path)
    index = np.argwhere(kidneys[0].detections[0])
    labels = np.full(len(index), KIDNEY, np.uint8)
    detection = PointCloud(lattice_for(volume, 4.0), index.astype(np.int32), whole.hu[tuple(index.T)], labels)
    expected, shown = {}, {}
    for region in regions_around(detection, volume, 2.0, 10.0):
        hu = resample_hu(volume, region.lattice)
        kept = region.inside & (hu >= LOWEST_HU)
        origin = np.rint(np.array(region.lattice.origin_mm) / 2.0).astype(int)
        features = stage2_features(hu[kept], kidney_level(hu[kept], region.detected[kept]), 2)
        expected |= dict(zip(map(tuple, np.argwhere(kept) + origin), features, strict=True))
    for crop in kidneys:
        # The tumour is added to the detection, which holds it here anyway.
        sample = plain_stage2(crop, 10.0, 3)
        assert sample is not None
        shown |= dict(zip(map(tuple, sample.cells + crop.corner), sample.features, strict=True))
    assert len(shown.keys() ^ expected.keys()) < 0.02 * len(expected)
    assert all(np.allclose(shown[cell], expected[cell], atol=1e-3) for cell in shown.keys() & expected.keys())


def test_every_sample_is_one_detection_with_its_labels(made: list[Crop]) -> None:
    sampler = Stage2Sampler(made, COARSE, 10.0, LIBRARY)
    seen = [sampler.draw(np.random.default_rng(seed)) for seed in range(24)]
    assert all(len(sample.cells) * 4.0**3 >= 4000 for sample in seen)
    kidney = [bool((sample.labels > 0).any()) for sample in seen]
    assert 0.5 < np.mean(kidney) < 1.0
    assert max(int(sample.labels.max()) for sample in seen) == TUMOUR
    assert all((np.abs(sample.features).max(0) <= [1.0, 2.0]).all() for sample in seen)
    again = sampler.draw(np.random.default_rng(3))
    assert np.array_equal(again.features, seen[3].features)


def test_a_slab_shows_its_ends_repeated(made: list[Crop]) -> None:
    """As inference does with the ends of a scan: 20 mm, five cells."""
    view = replace(COARSE.view, probability=0.0, slab_probability=1.0, slab_mm=(30.0, 40.0))
    sampler = Stage2Sampler(made, replace(COARSE, view=view, anatomy=(), kidney_probability=1.0), 10.0, LIBRARY)
    repeated = 0
    for seed in range(8):
        sample = sampler.draw(np.random.default_rng(seed))
        z = sample.cells[:, 2]
        ends = [np.column_stack([sample.cells[z == k, :2], sample.labels[z == k]]) for k in (z.max() - 5, z.max())]
        if np.array_equal(*ends) and (ends[0][:, 2] == KIDNEY).any():
            repeated += 1
    assert repeated >= 4, "a slab of the kidneys' middle ends in them"


def test_kidneys_with_unlabelled_lesions_may_be_tumour(made: list[Crop]) -> None:
    sampler = Stage2Sampler(made, COARSE, 10.0, LIBRARY, frozenset({made[0].grid.case}))
    seen = np.unique(np.concatenate([sampler.draw(np.random.default_rng(seed)).labels for seed in range(24)]))
    assert seen.tolist() == [0, TUMOUR, ANY_FOREGROUND], "what was inserted is a tumour for certain"


def test_a_kidney_of_another_patient_has_no_unlabelled_lesions(made: list[Crop]) -> None:
    transplant = Augmentation("anatomy", "transplant", 1.0, {"lesion_probability": 1.0})
    recipe = replace(COARSE, anatomy=(transplant,), kidney_probability=1.0)
    sampler = Stage2Sampler(made, recipe, 10.0, LIBRARY, frozenset({made[0].grid.case}))
    assert not any(sampler.variant(crop, 0).own for crop in made if crop.shows_kidney)
    seen = np.unique(np.concatenate([sampler.draw(np.random.default_rng(seed)).labels for seed in range(8)]))
    assert KIDNEY in seen
    assert ANY_FOREGROUND not in seen


def test_only_kidneys_without_tumour_labels_get_lesions(made: list[Crop], monkeypatch: pytest.MonkeyPatch) -> None:
    given: set[tuple[str, bool, bool]] = set()
    of = Subject.of

    def noting(anatomy: object, lesions: LesionLibrary | None = None) -> Subject:
        grid = anatomy.grid  # type: ignore[attr-defined]
        given.add((grid.case, bool(grid.labels.any()), lesions is not None))
        return of(anatomy, lesions)  # type: ignore[arg-type]

    own = [
        replace(crop, grid=replace(crop.grid, case="own"))
        for crop in crops_of(*with_false_detection(tumour=True), COARSE, DETECTOR, count=1)
    ]
    monkeypatch.setattr(Subject, "of", noting)
    sampler = Stage2Sampler([*made, *own], COARSE, 10.0, LIBRARY)
    for seed in range(30):
        sampler.draw(np.random.default_rng(seed))
    assert given == {("", True, True), ("", False, False), ("own", True, False), ("own", False, False)}


def test_variants_are_shared_by_steps_and_replaced_as_they_pass(
    made: list[Crop], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[int] = []

    def noting(_: Stage2Sampler, _crop: Crop, number: int, _rng: np.random.Generator) -> Sample:
        numbers.append(number)
        return Sample(np.zeros((1, 3), np.int64), np.zeros((1, 2), np.float32), np.zeros(1, np.uint8))

    monkeypatch.setattr(Stage2Sampler, "_augmented", noting)

    def at(step: int) -> set[int]:
        numbers.clear()
        for chance in range(60):
            Stage2Sampler(made, COARSE, 10.0).draw(np.random.default_rng(chance), step)
        return set(numbers)

    assert at(0) == at(39) == set(range(12))
    assert at(40) == set(range(1, 13)), "one is replaced after 160 samples, 40 steps of 4"
    assert not at(0) & at(1000)


def test_a_variant_is_the_same_for_its_number_and_seed(made: list[Crop]) -> None:
    one, again, other = (Stage2Sampler(made, COARSE, 10.0, LIBRARY, seed=seed) for seed in (0, 0, 1))
    first, repeated = one.variant(made[0], 3), again.variant(made[0], 3)
    assert all(np.array_equal(a, b) for a, b in zip(first, repeated, strict=True))
    assert not np.array_equal(first[0], one.variant(made[0], 4)[0])
    assert not np.array_equal(first[0], other.variant(made[0], 3)[0]), "another seed sees other anatomies"


def test_variants_are_bounded_and_freed_with_the_sampler(made: list[Crop]) -> None:
    sampler = Stage2Sampler(made, replace(COARSE, max_variants=2), 10.0)
    made_of = [weakref.ref(sampler.variant(made[0], number)[0]) for number in range(4)]
    gc.collect()
    assert [one() is not None for one in made_of] == [False, False, True, True]
    crop = replace(made[0])
    kept = weakref.ref(crop)
    sampler.variant(crop, 0)
    del sampler, crop
    gc.collect()
    assert not any(one() is not None for one in made_of)
    assert kept() is None


def test_a_case_of_air_is_an_error_of_that_case() -> None:
    shape = (30, 30, 30)
    grid = LabelledGrid(np.full(shape, -125, np.int16), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), 4.0)
    kidney = np.zeros(shape, bool)
    crop = Crop(replace(grid, case="air"), np.zeros(3, np.int64), kidney, [], 4.0)
    with pytest.raises(CaseError, match="air: 50 samples in a row show too little tissue"):
        Stage2Sampler([crop], COARSE, 10.0).draw(np.random.default_rng(0))


def test_lesions_are_inserted_once_for_validation(tmp_path: Path) -> None:
    made = crops(save_case(tmp_path), stage2_recipe(), NO_DETECTOR, tmp_path)
    crop = next(crop for crop in made if (crop.grid.labels == KIDNEY).any())
    changed = with_lesions(crop, LesionLibrary.procedural(count=5), np.random.default_rng(1))
    assert (changed.grid.labels == TUMOUR).sum() > (crop.grid.labels == TUMOUR).sum()
    assert plain_stage2(changed, 10.0, 3) is not None


def test_regions_lie_around_a_transplanted_kidney_not_around_the_one_it_replaces(made: list[Crop]) -> None:
    """Stage 1's detections are of the CT as it was."""
    transplant = Augmentation("anatomy", "transplant", 1.0, {"lesion_probability": 1.0})
    recipe = replace(COARSE, anatomy=(transplant,), intensity=(), kidney_probability=1.0)
    recipe = replace(recipe, detection_errors=replace(recipe.detection_errors, max_spills=1, missing_probability=0.0))
    crop = next(crop for crop in made if crop.shows_kidney)
    shifted = replace(crop, detections=[np.roll(crop.kidney, 6, axis=2)])  # a detection that would miss it
    sampler = Stage2Sampler([shifted], recipe, 10.0, LIBRARY)
    variant = sampler.variant(shifted, 0)
    hu, labels = variant.hu, variant.labels
    assert variant.replaced
    assert (labels == TUMOUR).any()
    assert not np.array_equal(hu, crop.grid.hu)
    for seed in range(4):
        detection, kidney, low = sampler._detection(shifted, variant, np.random.default_rng(seed))
        expected = coarse_cells(labels == KIDNEY, shifted, low, kidney.shape)
        np.testing.assert_array_equal(kidney, expected)
        assert detection[expected].all()


def test_only_a_recipe_of_four_classes_tells_cysts_from_kidney(made: list[Crop]) -> None:
    cysts = Augmentation("anatomy", "lesions", 1.0, {"tumour_odds": (1.0,), "cyst_odds": (0.0, 1.0)})
    crop = next(crop for crop in made if crop.shows_kidney)
    seen = []
    for weights in ((1.0,) * 3, (1.0,) * 4):
        sampler = Stage2Sampler([crop], replace(COARSE, anatomy=(cysts,), class_weights=weights), 10.0, LIBRARY)
        seen.append(sampler.variant(crop, 0).labels)
        inserted = replace(crop, grid=replace(crop.grid, labels=seen[-1]))
        plain = plain_stage2(inserted, 10.0, len(weights))
        assert plain is not None
        assert (CYST in plain.labels) == (len(weights) == 4)
    assert (seen[1] == CYST).any()
    np.testing.assert_array_equal(seen[0], np.where(seen[1] == CYST, KIDNEY, seen[1]))


def test_a_mass_beside_the_kidney_is_tissue_and_may_be_detected_with_it(made: list[Crop]) -> None:
    beside = Augmentation("anatomy", "extrarenal_mass", 1.0, {"volume_ml": (20.0, 40.0)})
    recipe = replace(COARSE, anatomy=(beside,), intensity=())
    errors = replace(recipe.detection_errors, max_spills=0, missing_probability=0.0, detection_probability=0.0)
    crop = next(crop for crop in made if crop.shows_kidney)
    found = {}
    for probability in (0.0, 1.0):
        how = replace(recipe, detection_errors=replace(errors, mass_probability=probability))
        sampler = Stage2Sampler([crop], how, 10.0, LIBRARY)
        variant = next(one for one in (sampler.variant(crop, i) for i in range(8)) if one.mass is not None)
        found[probability] = sampler._detection(crop, variant, np.random.default_rng(0))[0]
    assert variant.mass is not None
    assert variant.mass.sum() > 20
    assert set(np.unique(variant.labels)) <= {0, KIDNEY}
    np.testing.assert_array_equal(found[1.0], found[0.0] | variant.mass)
    assert found[1.0].sum() > found[0.0].sum() + 10
