"""The method `paper`: the published one (docs/explanation/method.md), with its mistakes corrected."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from kidneyseg.imaging.labels import KIDNEY
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.clusters import cluster_cloud
from kidneyseg.points.features import hu_features
from kidneyseg.points.grid import paper_cells
from kidneyseg.points.sampling import sample_bands
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.method import Context, Method, Objects, check_network, register, unite
from kidneyseg.segmentation.networks import Networks
from kidneyseg.settings import BandSettings, CountClusterSettings, Settings


class Paper(Method):
    """Voxels in intensity bands, on the paper's own grid."""

    name = "paper"
    per_class = True

    def check(self, loaded: Networks) -> None:
        """Raise ModelError unless both networks take HU three times and have no grid of their own."""
        check_network(loaded.stage1, self.name, 3, 2, (0.0, 0.0))
        check_network(loaded.stage2, self.name, 3, 3, (0.0, 0.0))

    def sample(self, context: Context) -> list[PointCloud]:
        """The brightest share of all voxels, one cloud per intensity band."""
        assert isinstance(context.settings.sampling, BandSettings)
        return sample_bands(context.volume, context.settings.sampling, progress=context.progress)

    def stage1(self, context: Context, samples: list[PointCloud]) -> list[PointCloud]:
        """Kidney or tissue, band by band."""
        return _label_bands(samples, context.networks.stage1, context)

    def stage2(self, context: Context, detections: list[PointCloud]) -> PointCloud:
        """Tissue, kidney or tumour on the points that stage 1 labelled kidney, band by band."""
        return unite(_label_bands([_kidney_of(band) for band in detections], context.networks.stage2, context))

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


def _label_bands(bands: list[PointCloud], model: Model, context: Context) -> list[PointCloud]:
    """Each band through one network: labels and probabilities for every point."""
    labelled = []
    shares = pairwise(np.linspace(0, 1, len(bands) + 1).tolist())
    for band, (start, end) in zip(bands, shares, strict=True):
        features = hu_features(band.hu, model.network.config["in_channels"])
        cells = paper_cells(band, context.volume)
        progress = context.progress.part(start, end)
        probability = networks.predict(model, cells, features, context.device, progress, context.note)
        labelled.append(replace(band, labels=probability.argmax(1).astype(np.uint8), probability=probability))
    return labelled


register(Paper())
