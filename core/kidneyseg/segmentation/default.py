"""The method `default`: coarse cells inside the body, then fine cells around the detections; best in validation."""

from __future__ import annotations

from kidneyseg.errors import ModelError
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.appearance import refine_lesions, relabel_kidney_parts
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.clusters import cluster_cloud
from kidneyseg.points.cystic import label_cystic_lesions
from kidneyseg.points.objects import cut_thin_bridges, keep_kidneys, remove_small_lesions
from kidneyseg.points.resample import lattice_for
from kidneyseg.points.sampling import sample_body
from kidneyseg.segmentation.method import Context, Method, Objects, check_network, register, unite
from kidneyseg.segmentation.networks import Networks
from kidneyseg.segmentation.stage1 import detect_kidneys
from kidneyseg.segmentation.stage2 import region_points, separate_tumour
from kidneyseg.settings import Settings, Stage2Settings, min_samples_of


class Default(Method):
    """The grids are those that the networks were trained on."""

    name = "default"

    def check(self, loaded: Networks) -> None:
        """Raise ModelError unless stage 1 takes HU on cells of 1-10 mm, stage 2 HU and kidney level on finer ones."""
        check_network(loaded.stage1, self.name, 1, (2,), (1.0, 10.0))
        check_network(loaded.stage2, self.name, 2, (3, 4), (0.5, 5.0))
        one, two = loaded.all
        if _grid_mm(two) >= _grid_mm(one):
            raise ModelError(
                f"{two.id} does not fit {one.id}: stage 2 needs finer cells than stage 1's, {one.grid_mm:g} mm"
            )

    def sample(self, context: Context) -> list[PointCloud]:
        """The brightest share of the cells inside the body, in one cloud."""
        lattice = lattice_for(context.volume, _grid_mm(context.networks.stage1))
        kept_percent = context.settings.sampling.kept_percent
        return [sample_body(context.volume, lattice, kept_percent, progress=context.progress)]

    def stage1(self, context: Context, samples: list[PointCloud]) -> list[PointCloud]:
        """Kidney or tissue; see `detect_kidneys`."""
        return [detect_kidneys(unite(samples), context)]

    def stage2(self, context: Context, detections: list[PointCloud]) -> PointCloud:
        """Tissue, kidney, tumour or cyst on fine cells near the detections; see `separate_tumour`."""
        return separate_tumour(unite(detections), _margin_mm(context.settings), context)

    def stage2_points(self, detections: PointCloud, volume: Volume, settings: Settings, lattice: Lattice) -> PointCloud:
        """The cells within the margin of the detections."""
        return region_points(detections, volume, lattice, _margin_mm(settings))

    def cluster(self, context: Context, cloud: PointCloud) -> Objects:
        """Kidneys and lesions together: keeps kidneys with theirs, tells cysts from tumours, removes small lesions.

        Of the others it refines the borders. First, tumours that are parts of healthy kidneys become kidney.
        """
        cloud, clusters = relabel_kidney_parts(cloud), context.settings.clusters
        needed = min_samples_of(clusters, cloud.lattice.step_mm[0])
        objects = cluster_cloud(cloud, clusters.eps_mm, needed, progress=context.progress)
        kept, ids = cut_thin_bridges(*keep_kidneys(*objects))
        return refine_lesions(remove_small_lesions(label_cystic_lesions(kept))), ids


def _grid_mm(model: Model) -> float:
    """The grid of a network that passed `check`."""
    assert model.grid_mm is not None
    return float(model.grid_mm)


def _margin_mm(settings: Settings) -> float:
    assert isinstance(settings.stage2, Stage2Settings)
    return settings.stage2.margin_mm


register(Default())
