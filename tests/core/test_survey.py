"""The survey on coarse cells, and what stage 2 is shown of it: the same in training and in a program's run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kidneyseg.cascade import Networks
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import KIDNEY, PointCloud
from kidneyseg.points.features import SURVEYED_CHANNELS, stage2_features
from kidneyseg.points.resample import lattice_for, resample_hu
from kidneyseg.progress import CallbackProgress, Progress
from kidneyseg.refinement import separate_tumour
from kidneyseg.settings import RefineSettings, SamplingSettings
from kidneyseg.sparse import SparseUNet
from kidneyseg.training.finds import CloseUp, close_ups_of
from kidneyseg.training.lesions import LesionLibrary
from kidneyseg.training.refine_samples import Stage2Sampler, plain_stage2

SAMPLING = SamplingSettings(kept_percent=50.0, grid_mm=5.0)
SETTINGS = RefineSettings(grid_mm=2.0, margin_mm=10.0)


class Survey(SparseUNet):
    """Tells kidney and tumour by HU alone, and keeps which cells it was shown."""

    def __init__(self) -> None:
        super().__init__(2, 3, [4, 4])
        self.shown: list[torch.Tensor] = []

    def forward(self, coords: Any, features: Any, spatial_size: Any = None, *, report: Any = None) -> torch.Tensor:
        self.shown.append(coords)
        hu = features[:, :1] * 200 + 75
        return 9.0 * torch.cat([hu <= 60, hu > 150, (hu > 60) & (hu <= 150)], dim=1).float()


class Surveyed(SparseUNet):
    """A stage 2 that says what the survey said, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__(SURVEYED_CHANNELS, 3, [4, 4])
        self.shown: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, coords: Any, features: Any, spatial_size: Any = None, *, report: Any = None) -> torch.Tensor:
        self.shown.append((coords, features))
        if report:
            report(1.0)
        kidney, tumour = features[:, 2:3], features[:, 3:4]
        return 9.0 * torch.cat([1 - kidney - tumour, kidney, tumour], dim=1)


def kidney_with_tumour() -> tuple[Volume, NDArray[np.uint8]]:
    """A kidney of 48 mm with a tumour of 20 mm on it, in tissue, on voxels of 2 mm."""
    hu = np.full((60, 50, 50), 20, np.int16, order="F")
    truth = np.zeros(hu.shape, np.uint8, order="F")
    hu[12:36, 12:36, 12:36], truth[12:36, 12:36, 12:36] = 190, 1
    hu[36:46, 20:30, 20:30], truth[36:46, 20:30, 20:30] = 110, 2
    return Volume(hu, (2.0, 2.0, 2.0), np.diag([2.0, 2.0, 2.0, 1.0])), truth


def find_of(volume: Volume) -> PointCloud:
    """All that is bright, on cells of 5 mm."""
    lattice = lattice_for(volume, 5.0)
    hu = resample_hu(volume, lattice)
    index = np.argwhere(hu > 60).astype(np.int32)
    return PointCloud(lattice, index, hu[tuple(index.T)], np.full(len(index), KIDNEY, np.uint8))


def model(network: SparseUNet) -> Model:
    return Model(network.eval(), "net", "net-1")


def test_stage_2_goes_on_from_what_the_survey_found() -> None:
    volume, _ = kidney_with_tumour()
    survey, stage2 = Survey(), Surveyed()
    shares: list[float] = []
    cloud = separate_tumour(
        find_of(volume),
        volume,
        SETTINGS,
        -40,
        Networks(model(survey), model(survey), model(stage2)),
        torch.device("cpu"),
        CallbackProgress(lambda _, share: shares.append(share)),
    )
    mask = np.zeros(volume.shape, np.uint8)
    mask[tuple(cloud.index.T)] = cloud.labels
    inner = np.zeros(volume.shape, bool)
    inner[38:44, 22:28, 22:28] = True
    assert (mask[inner] == 2).all()
    assert (mask[14:34, 14:34, 14:34] == 1).all()
    assert len(survey.shown) == len(stage2.shown) == 2  # the CT and its mirror image
    assert len(survey.shown[0]) * 6 < len(stage2.shown[0][0])
    assert shares == sorted(shares)


def test_without_a_survey_stage_2_is_shown_hu() -> None:
    volume, _ = kidney_with_tumour()
    stage2 = Survey()
    separate_tumour(
        find_of(volume),
        volume,
        SETTINGS,
        -40,
        Networks(model(stage2), None, model(stage2)),
        torch.device("cpu"),
        Progress(),
    )
    assert len(stage2.shown) == 2
    with pytest.raises(ValueError, match="survey"):
        stage2_features(np.zeros(3, np.int16), 100.0, SURVEYED_CHANNELS)


@pytest.fixture
def close_up() -> CloseUp:
    made = close_ups_of(*kidney_with_tumour(), None, None, 2.0, SAMPLING, None)
    return next(one for one in made if one.shows_kidney)


def test_training_shows_the_survey_as_a_run_does(close_up: CloseUp) -> None:
    volume, _ = kidney_with_tumour()
    index = np.argwhere(close_up.kidney).astype(np.int32)
    find = PointCloud(
        lattice_for(volume, close_up.find_mm), index, np.zeros(len(index), np.int16), np.ones(len(index), np.uint8)
    )
    stage2 = Surveyed()
    networks = Networks(model(stage2), model(Survey()), model(stage2))
    cloud = separate_tumour(find, volume, SETTINGS, -500, networks, torch.device("cpu"), Progress())
    ran = dict(zip(map(tuple, cloud.index), stage2.shown[0][1].numpy(), strict=True))
    sample = plain_stage2(close_up, SETTINGS, Survey().eval())
    assert sample is not None
    trained = dict(zip(map(tuple, sample.cells + close_up.corner), sample.features, strict=True))
    both = ran.keys() & trained.keys()
    assert len(both) > 0.98 * max(len(ran), len(trained))
    apart = np.array([np.abs(ran[cell] - trained[cell]).max() for cell in both])
    assert (apart < 0.02).mean() > 0.98


def test_samples_with_a_survey_move_with_the_patient(close_up: CloseUp) -> None:
    sampler = Stage2Sampler([close_up], SETTINGS, LesionLibrary.procedural(count=5), survey=Survey().eval())
    for seed in range(4):
        sample = sampler.draw(np.random.default_rng(seed))
        assert sample.features.shape[1] == SURVEYED_CHANNELS
        kidney = sample.features[:, 2] + sample.features[:, 3]
        assert kidney[sample.labels > 0].mean() > kidney[sample.labels == 0].mean() + 0.4
    again = sampler.draw(np.random.default_rng(3))
    assert (again.features == sample.features).all()
