"""The method `paper`: the published one (docs/explanation/method.md), with its mistakes corrected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.labels import KIDNEY
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.clusters import cluster_cloud
from kidneyseg.points.features import hu_features
from kidneyseg.points.grid import paper_cells
from kidneyseg.points.sampling import sample_bands
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.method import Context, Method, Objects, check_network, register, unite
from kidneyseg.segmentation.networks import Networks
from kidneyseg.settings import BandSettings, CountClusterSettings, Settings
from kidneyseg.sparse import memory

Probability = NDArray[np.floating]


class Paper(Method):
    """Voxels in intensity bands, on the paper's own grid."""

    name = "paper"
    per_class = True

    def check(self, loaded: Networks) -> None:
        """Raise ModelError unless both networks take HU three times and have no grid of their own."""
        check_network(loaded.stage1, self.name, 3, (2,), (0.0, 0.0))
        check_network(loaded.stage2, self.name, 3, (3,), (0.0, 0.0))

    def sample(self, context: Context) -> list[PointCloud]:
        """The brightest share of all voxels, one cloud per intensity band."""
        assert isinstance(context.settings.sampling, BandSettings)
        return sample_bands(context.volume, context.settings.sampling, progress=context.progress)

    def stage1(self, context: Context, samples: list[PointCloud]) -> list[PointCloud]:
        """Kidney or tissue, band by band; kidney is what stage 2 is to see, see `Model.kept_probability`."""
        kept = np.float32(context.networks.stage1.kept_probability)
        return _label_bands(
            samples, len(samples), context.networks.stage1, context, lambda probability: probability[:, KIDNEY] >= kept
        )

    def stage2(self, context: Context, detections: list[PointCloud]) -> PointCloud:
        """Tissue, kidney or tumour on the points that stage 1 labelled kidney, band by band."""
        bands = (_kidney_of(replace(band, probability=None)) for band in detections)
        return unite(_label_bands(bands, len(detections), context.networks.stage2, context))

    def stage2_points(self, detections: PointCloud, volume: Volume, settings: Settings, lattice: Lattice) -> PointCloud:
        """The points that stage 1 labelled kidney."""
        return replace(_kidney_of(detections), labels=None, probability=None)

    def cluster(self, context: Context, cloud: PointCloud) -> Objects:
        """Kidney and tumour points each by themselves; all clusters stay."""
        clusters = context.settings.clusters
        assert isinstance(clusters, CountClusterSettings)
        return cluster_cloud(
            cloud, clusters.eps_mm, clusters.min_samples, per_class=self.per_class, progress=context.progress
        )


def _kidney_of(cloud: PointCloud) -> PointCloud:
    return cloud.select(cloud.labelled(KIDNEY))


def _most_probable(probability: Probability) -> NDArray[np.integer]:
    return np.asarray(probability.argmax(1))


def _label_bands(
    bands: Iterable[PointCloud],
    count: int,
    model: Model,
    context: Context,
    label: Callable[[Probability], NDArray[Any]] = _most_probable,
) -> list[PointCloud]:
    """Each of `count` bands through one network; nothing but its labels and probabilities outlives a band's turn.

    `label` makes labels (N,) of probabilities (N, classes).
    """
    labelled = []
    shares = pairwise(np.linspace(0, 1, count + 1).tolist())
    for band, (start, end) in zip(bands, shares, strict=True):
        labelled.append(_label_band(band, model, context, context.progress.part(start, end), label))
        memory.release()  # the bands' buffers differ in size, so that few would be used again
    return labelled


def _label_band(
    band: PointCloud, model: Model, context: Context, progress: Progress, label: Callable[[Probability], NDArray[Any]]
) -> PointCloud:
    features = hu_features(band.hu, model.network.config["in_channels"])
    cells = paper_cells(band, context.volume)
    probability = networks.predict(model, cells, features, context.device, progress, context.note)
    return replace(band, labels=label(probability).astype(np.uint8), probability=probability)


register(Paper())
