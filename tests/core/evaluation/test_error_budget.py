import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.evaluation import (
    STEPS,
    CaseBudget,
    ClassBudget,
    Failure,
    Segmenting,
    budget_as_markdown,
    error_budget_of,
    measure_error_budget,
    write_budget,
)
from kidneyseg.evaluation.end_to_end import CaseVariant
from kidneyseg.evaluation.error_budget import _filled
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import preset
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture
def models(tmp_path):
    return tiny_models(tmp_path)


@pytest.fixture
def network(monkeypatch):
    """Stands in for both networks: labels by HU, with `fool(stage, hu, label)` to make mistakes."""

    def install(fool=lambda stage, hu, label: label):
        def predict(model, cells, features, device, progress, note=None):
            classes = model.network.config["classes"]
            hu = 75 + 200 * features[:, 0]  # as `hu_features` scales them
            label = fool(classes - 1, hu, (hu > 100).astype(int) + (hu > 200))
            return np.eye(3, dtype=np.float16)[label.clip(max=classes - 1)][:, :classes]

        monkeypatch.setattr(networks, "predict", predict)

    return install


def steps(models, settings, volume=None, truth=None):
    own = abdomen()
    volume, truth = volume or own[0], own[1] if truth is None else truth
    result = Pipeline(volume, models_dir=models).run(settings)
    return error_budget_of(result, CaseVariant("box", "g", volume, truth)), result


@pytest.mark.parametrize("name", ["default", "paper"])
def test_networks_without_mistakes_lose_only_what_the_grid_does(models, network, name):
    network()
    measured, result = steps(models, preset(name))
    kidney, tumour = measured.classes["kidney"], measured.classes["tumour"]
    assert kidney.sampled > (0.99 if name == "default" else 0.9)
    assert kidney.left[0] > 0.95
    assert kidney.left[2:] == pytest.approx(kidney.left[1:2] * 4, abs=0.02)
    assert tumour.left[0] > 0.9
    assert tumour.stage1_dice is None
    assert len(kidney.left) == len(tumour.left) == len(STEPS)
    assert (measured.name, measured.group) == ("box", "g")
    assert np.sum(measured.stage1_points) == len(result.sampled)
    assert np.sum(measured.stage2_points) == len(result.stage2)


@pytest.mark.parametrize("name", ["default", "paper"])
def test_filling_the_kept_points_gives_the_programs_own_mask(models, network, name):
    """What stands for the fill here is the pipeline's fill: else the last two steps could not be compared."""
    network()
    _, result = steps(models, preset(name))
    kept = result.objects if name == "paper" else result.stage2
    assert np.array_equal(_filled(kept, abdomen()[0], preset(name)), result.mask)


def test_a_step_pays_for_its_own_mistakes(models, network):
    volume, truth = abdomen()
    settings = preset("default")

    def lost(fool=lambda stage, hu, label: label, changed=settings, ct=volume):
        network(fool)
        left = steps(models, changed, ct, truth)[0].classes["kidney"].left
        return dict(zip(STEPS, -np.diff(left, prepend=1.0), strict=True))

    good = lost()
    # One kidney darker than all that is sampled: as if the share were far too small.
    dark = volume.hu.copy(order="K")
    dark[:50][truth[:50] > 0] = -110
    costs = lost(ct=replace(volume, hu=dark), changed=settings.with_(sampling={"kept_percent": 20.0}))
    assert costs["sampling"] > 0.3
    assert abs(costs["missed by stage 1"]) < 0.05
    # Stage 1 overlooks the kidney without a tumour.
    half = volume.hu.copy(order="K")
    half[:50][truth[:50] > 0] = 120

    def overlooks(stage, hu, label):
        return np.where((stage == 1) & (hu < 140), 0, label)

    costs = lost(overlooks, ct=replace(volume, hu=half))
    assert costs["missed by stage 1"] > 0.3
    assert abs(costs["sampling"]) < 0.02
    # Stage 2 takes all that it is shown for kidney.
    costs = lost(lambda stage, hu, label: np.maximum(label, stage - 1))
    assert costs["stage 2"] > good["stage 2"] + 0.1
    # Something beside the kidneys is as bright: both networks fall for it, and DBSCAN cannot tell.
    false = volume.hu.copy(order="K")
    false[40:60, 10:20, 2:14] = 150
    costs = lost(ct=replace(volume, hu=false))
    assert costs["false finds"] > 0.03
    assert costs["DBSCAN"] < -0.03  # it is smaller than the kidneys, so the choice of two mends it
    assert abs(costs["stage 2"]) < 0.02


def test_no_find_at_all(models, network):
    network(lambda stage, hu, label: label * 0)
    measured, _ = steps(models, preset("default"))
    kidney = measured.classes["kidney"]
    assert kidney.left[1] > 0.9
    assert kidney.left[2:] == (0.0, 0.0, 0.0, 0.0)
    assert (kidney.reached, kidney.stage2_dice, kidney.stage1_recall) == (0.0, 0.0, 0.0)


def test_cysts_count_as_kidney_and_no_tumour_as_no_class(models, network):
    network()
    truth = abdomen()[1]
    with_cyst = np.where(truth == 2, 3, truth).astype(np.uint8)
    measured, _ = steps(models, preset("default"), truth=with_cyst)
    assert set(measured.classes) == {"kidney"}
    assert measured.stage2_points[2] == (0, 0, 0)


def test_cases_on_disk(models, network, tmp_path):
    network()
    volume, truth = abdomen()
    case = CaseFiles("a", tmp_path / "a_ct.nii.gz", tmp_path / "a_kidney.nii.gz")
    save_volume(volume, case.image)
    save_mask(truth, volume, case.labels)
    torn = replace(case, name="b", labels=tmp_path / "b_kidney.nii.gz")
    torn.labels.write_bytes(b"torn")
    one, two = measure_error_budget([case, torn], Segmenting(preset("default"), models))
    assert isinstance(one, CaseBudget)
    assert one.case == "a"
    assert isinstance(two, Failure)
    assert "b_kidney.nii.gz" in two.error


def test_tables_add_up(tmp_path):
    def case(name, *left):
        scores = ClassBudget(0.9, 0.8, 0.7, 0.6, 0.95, 0.5, 0.4, left)
        return CaseBudget(name, {"kidney": scores}, ((8, 2), (0, 10)), ((5, 0, 0), (5, 10, 0), (0, 0, 0)))

    outcomes = [
        case("a", 1.0, 0.98, 0.96, 0.9, 0.8, 0.85),
        case("b", 0.98, 0.98, 0.94, 0.8, 0.8, 0.75),
        Failure("c", "why"),
    ]
    page = budget_as_markdown(outcomes)
    (lost,) = [line for line in page.splitlines() if line.startswith("| lost")]
    assert [float(cell) for cell in lost.split("|")[2:-1]] == pytest.approx([0.01, 0.01, 0.03, 0.1, 0.05, 0.0])
    assert "**c**: why" in page
    (iou,) = [line for line in page.splitlines() if line.startswith("| stage 1")]
    assert [cell.strip() for cell in iou.split("|")[2:-1]] == ["0.800", "0.833", "-"]
    files = {file.name: file.read_text() for file in write_budget(tmp_path, outcomes)}
    assert json.loads(files["steps.json"])["cases"][1]["classes"]["kidney"]["left"][-1] == 0.75
    rows = list(csv.DictReader(files["steps.csv"].splitlines()))
    assert [row["Dice left: stage 2"] for row in rows] == ["0.9", "0.8"]
