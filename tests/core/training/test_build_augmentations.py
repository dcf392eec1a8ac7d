"""A training run uses what its recipe names: 200 samples of each sampler, with counting spies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from donors import kidney_library
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training import detections, stage2_sampler
from kidneyseg.training.augmentation import REGISTRY, Augmentation
from kidneyseg.training.detections import Crop, crops_of, detect
from kidneyseg.training.spatial import Affine, FieldOfView
from kidneyseg.training.stage1_sampler import Stage1Sampler
from kidneyseg.training.stage2_sampler import Stage2Sampler
from training_cases import DETECTOR, only, stage1_recipe, stage2_recipe, whole_ct, with_false_detection

SAMPLES = 200
LIBRARY = replace(LesionLibrary.procedural(12), kidneys=kidney_library())
STAGE2 = stage2_recipe(grid_mm=4.0, samples_per_variant=1, batch=1)


def about(count: int, of: int, probability: float) -> bool:
    """Whether a count is what a probability gives, to 3.5 standard deviations, and of enough trials to tell."""
    return of >= 100 and abs(count - of * probability) <= 3.5 * np.sqrt(of * probability * (1 - probability))


class Spies:
    """Count how often each registered augmentation could have been used, and how often it was."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.possible: Counter[str] = Counter()
        self.used: Counter[str] = Counter()
        for entries in REGISTRY.values():
            for name, entry in entries.items():
                monkeypatch.setitem(
                    entries,
                    name,
                    entry._replace(
                        applies=self.counting(self.possible, name, entry.applies),
                        function=self.counting(self.used, name, entry.function),
                    ),
                )

    @staticmethod
    def counting(counter: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **more: Any) -> Any:
            result = function(*arguments, **more)
            counter[name] += result is not False
            return result

        return counted

    def check(self, augmentations: tuple[Augmentation, ...]) -> None:
        for one in augmentations:
            used, possible = self.used[one.name], self.possible[one.name]
            assert about(used, possible, one.probability), f"{one.name}: {used} of {possible}, not {one.probability}"


def test_stage_1_uses_its_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, boxes, matrices = stage1_recipe(), [], []
    spies = Spies(monkeypatch)
    field_of_view, affine = FieldOfView.draw, Affine.draw
    monkeypatch.setattr(FieldOfView, "draw", lambda *given: boxes.append(field_of_view(*given)) or boxes[-1])
    monkeypatch.setattr(Affine, "draw", lambda *given: matrices.append(affine(*given)) or matrices[-1])
    grid = whole_ct()
    sampler = Stage1Sampler([grid], recipe, 65.0, LIBRARY)
    for seed in range(SAMPLES):
        sampler.draw(np.random.default_rng(seed))
    spies.check(recipe.anatomy + recipe.intensity)
    assert spies.used["lesions"] > 50
    assert len(boxes) == len(matrices) == SAMPLES
    volume = [np.prod([side.stop - side.start for side in box]) / grid.hu.size for box in boxes]
    assert max(volume) > 0.8
    assert min(volume) < 0.25
    assert about(sum(np.linalg.det(matrix) < 0 for matrix in matrices), SAMPLES, recipe.affine.flip_probability)


class CountingList(list[Any]):
    """Detections that count how often one of them was taken."""

    taken = 0

    def __getitem__(self, index: Any) -> Any:
        self.taken += 1
        return super().__getitem__(index)


@pytest.fixture(scope="module")
def made() -> list[Crop]:
    return crops_of(*with_false_detection(tumour=False), STAGE2, DETECTOR, count=2)


def test_stage_2_uses_its_recipe(made: list[Crop], monkeypatch: pytest.MonkeyPatch) -> None:
    spies, errors = Spies(monkeypatch), STAGE2.detection_errors
    shown = [replace(crop, detections=CountingList(crop.detections)) for crop in made]
    found: list[np.ndarray] = []
    margins: list[float] = []
    sizes: list[np.ndarray] = []
    matrices: list[np.ndarray] = []
    field, view, affine = stage2_sampler.margin_field, Stage2Sampler._view, Affine.draw
    recipe = replace(STAGE2, view=replace(STAGE2.view, edge_mm=40.0))

    def noting_margin(detection: np.ndarray, cell_mm: float, margin_mm: float) -> np.ndarray:
        found.append(detection.copy())
        margins.append(margin_mm)
        return field(detection, cell_mm, margin_mm)

    def noting_view(*given: Any) -> Any:
        middle, size, slab = view(*given)
        sizes.append(size)
        return middle, size, slab

    monkeypatch.setattr(stage2_sampler, "margin_field", noting_margin)
    monkeypatch.setattr(Stage2Sampler, "_view", noting_view)
    monkeypatch.setattr(Affine, "draw", lambda *given: matrices.append(affine(*given)) or matrices[-1])
    sampler = Stage2Sampler(shown, recipe, 10.0, LIBRARY)
    seen = [sampler.draw(np.random.default_rng(seed), step=20 * seed) for seed in range(SAMPLES)]
    spies.check(STAGE2.anatomy + STAGE2.intensity)
    drawn = len(margins)
    assert SAMPLES <= drawn < 1.3 * SAMPLES
    taken = sum(crop.detections.taken for crop in shown)  # type: ignore[attr-defined]
    assert about(taken, drawn, errors.detection_probability)
    assert 7.0 <= min(margins) < 7.5
    assert 13.5 < max(margins) <= 14.0
    assert len(matrices) >= SAMPLES
    assert about(sum((size <= 10).all() for size in sizes), len(sizes), STAGE2.view.probability)
    assert about(sum(sample.labels.any() for sample in seen), SAMPLES, STAGE2.kidney_probability)
    tumour = sum((sample.labels == TUMOUR).any() for sample in seen)
    assert 0.25 * SAMPLES < tumour < 0.75 * SAMPLES


def test_stage_2_trains_on_imperfect_detections(made: list[Crop], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the labels' kidney, parts are missing and others are added; the tumour is added as inference does."""
    errors = STAGE2.detection_errors
    crop = next(crop for crop in made if crop.shows_kidney)
    alone = replace(crop, detections=[])
    labels = np.where(alone.grid.labels > 0, np.uint8(1), np.uint8(0))
    corner = tuple(slice(0, 4) for _ in range(3))
    labels[corner] = TUMOUR  # away from the kidney
    variant = stage2_sampler._Variant(alone.grid.hu, labels, replaced=False, own=True, mass=None)
    monkeypatch.setattr(Stage2Sampler, "variant", lambda *_: variant)
    found: list[np.ndarray] = []
    field = stage2_sampler.margin_field

    def noting(detection: np.ndarray, *more: Any) -> np.ndarray:
        found.append(detection.copy())
        return field(detection, *more)

    monkeypatch.setattr(stage2_sampler, "margin_field", noting)
    sampler = Stage2Sampler([alone], STAGE2, 10.0)
    for seed in range(SAMPLES):
        sampler.draw(np.random.default_rng(seed))
    low, window = stage2_sampler.coarse_box(alone, 10.0)
    kidney = alone.kidney[window]
    tumour = stage2_sampler.coarse_cells(labels == TUMOUR, alone, low, kidney.shape)
    missing = sum((kidney & ~detection).any() for detection in found)
    spilled = sum((detection & ~kidney & ~tumour).any() for detection in found)
    assert about(sum(detection[tumour].all() for detection in found), len(found), errors.lesion_probability)
    # A spill may fill what is missing, or lie in the kidney: somewhat fewer are seen than drawn.
    assert 0.15 * len(found) < missing <= 0.4 * len(found)
    assert 0.55 * len(found) < spilled <= 0.85 * len(found)


def test_detections_are_collected_in_augmented_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    spies, boxes, shares = Spies(monkeypatch), [], []
    field_of_view, kept_inside = FieldOfView.draw, detections.kept_inside
    monkeypatch.setattr(FieldOfView, "draw", lambda *given: boxes.append(field_of_view(*given)) or boxes[-1])
    monkeypatch.setattr(detections, "kept_inside", lambda *given: shares.append(given[2]) or kept_inside(*given))
    grid = whole_ct()
    versions = SAMPLES // 2
    assert len(list(detect(grid, DETECTOR, STAGE2, versions, np.random.default_rng(0)))) == versions
    spies.check(STAGE2.detection_cts.anatomy + STAGE2.intensity)
    whole = tuple(slice(0, n) for n in grid.hu.shape)
    assert about(sum(box != whole for box in boxes), versions, STAGE2.detection_cts.field_of_view.probability)
    assert 40 <= min(shares) < 42
    assert 58 < max(shares) <= 60


@pytest.mark.parametrize("name", [*REGISTRY["anatomy"], *REGISTRY["intensity"]])
def test_what_an_augmentation_changes_reaches_the_sample(name: str, made: list[Crop]) -> None:
    """Mutants that call an augmentation and drop its result die here."""
    recipe, bare = STAGE2, replace(STAGE2, anatomy=(), intensity=())
    if name in {"transplant", "extrarenal_mass"}:  # which the recipe switches off
        recipe = replace(recipe, anatomy=(Augmentation("anatomy", name, 1.0),))
    with_it = replace(recipe, anatomy=only(recipe.anatomy, name), intensity=only(recipe.intensity, name))
    stage1 = stage1_recipe(anatomy=only(recipe.anatomy, name), intensity=only(recipe.intensity, name))
    plain1, grid = replace(stage1, anatomy=(), intensity=()), whole_ct()
    for with_one, without in (
        [Stage2Sampler(made, how, 10.0, LIBRARY) for how in (with_it, bare)],
        [Stage1Sampler([grid], how, 65.0, LIBRARY) for how in (stage1, plain1)],
    ):
        pairs = [[one.draw(np.random.default_rng(seed)) for one in (with_one, without)] for seed in range(6)]
        assert any(not np.array_equal(a.features, b.features) for a, b in pairs)


def changes_of(recipe: Any, **values: Any) -> list[tuple[str, Any]]:
    """The recipe with each of the values in turn; "view.edge_mm" is written view__edge_mm."""
    result = []
    for name, value in values.items():
        group, _, field = name.partition("__")
        result.append(
            (name, replace(recipe, **{group: replace(getattr(recipe, group), **{field: value}) if field else value}))
        )
    return result


def test_every_number_of_the_recipe_changes_samples() -> None:
    quiet = replace(STAGE2, anatomy=(), intensity=(), samples_per_variant=160)
    shown = crops_of(*with_false_detection(tumour=True), STAGE2, DETECTOR, count=1)

    def drawn2(recipe: Any) -> list[bytes]:
        sampler = Stage2Sampler(shown, recipe, 10.0)
        return [sampler.draw(np.random.default_rng(seed), 7).features.tobytes() for seed in range(12)]

    def drawn1(recipe: Any) -> list[bytes]:
        sampler = Stage1Sampler([grid], recipe, 65.0)
        return [sampler.draw(np.random.default_rng(seed)).features.tobytes() for seed in range(4)]

    grid, plain1 = whole_ct(), stage1_recipe(anatomy=(), intensity=only(STAGE2.intensity, "noise"))
    for plain, drawn, changes in (
        (
            quiet,
            drawn2,
            changes_of(
                quiet,
                kidney_probability=0.1,
                kidney_hu_sd=1.0,
                min_hu_jitter=5.0,
                min_sample_ml=300.0,
                affine__rotation_deg=(1.0, 1.0, 1.0),
                affine__scale=(0.9, 1.0),
                affine__stretch=0.01,
                affine__flip_probability=1.0,
                view__probability=1.0,
                view__edge_mm=50.0,
                view__lesion_probability=0.0,
                view__jitter_mm=4.0,
                view__away_jitter_mm=4.0,
                view__slab_probability=1.0,
                detection_errors__missing_probability=1.0,
                detection_errors__missing_radius_mm=(18.0, 20.0),
                detection_errors__max_spills=1,
                detection_errors__spill_radius_mm=(6.0, 7.0),
                detection_errors__kidney_part_probability=0.0,
                detection_errors__margin_jitter_mm=(4.0, 5.0),
                detection_errors__margin_wave_mm=(3.0, 4.0),
                detection_errors__margin_wave_length_mm=20.0,
            ),
        ),
        (
            plain1,
            drawn1,
            changes_of(
                plain1,
                kept_percent_jitter=1.0,
                field_of_view__min_share=0.9,
                field_of_view__max_cells=5000.0,
                field_of_view__slab_probability=1.0,
                affine__scale=(0.9, 1.0),
            ),
        ),
    ):
        before = drawn(plain)
        for name, changed in changes:
            assert drawn(changed) != before, name
