"""What a recipe says about one network, by the sampler that draws its samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kidneyseg.arrays import Doubles, Range, Rng
from kidneyseg.training.augmentation import Augmentation
from kidneyseg.training.plan import TrainingPlan
from kidneyseg.training.spatial import Affine, FieldOfView


@dataclass(frozen=True, kw_only=True)
class StageRecipe(TrainingPlan):
    """One network and how it is trained."""

    channels: int  #: input channels of the network
    planes: tuple[int, ...]  #: channels of each level of the network


@dataclass(frozen=True, kw_only=True)
class GridRecipe(StageRecipe):
    """A network of method `default`: samples are cells of augmented CTs on a grid."""

    grid_mm: float  #: edge of the cells
    anatomy: tuple[Augmentation, ...]  #: augmentations of kind "anatomy"
    intensity: tuple[Augmentation, ...]  #: augmentations of kind "intensity"
    affine: Affine  #: random affine transform


@dataclass(frozen=True, kw_only=True)
class WholeCTRecipe(GridRecipe):
    """Stage 1: samples are fields of view of whole CTs."""

    field_of_view: FieldOfView  #: random field of view
    kept_percent_jitter: float  #: the kept share of the cells varies by as many percentage points


@dataclass(frozen=True)
class View:
    """The part of a region that a sample shows."""

    probability: float  #: of a part rather than the whole region
    edge_mm: float  #: edge of the part
    lesion_probability: float  #: that it lies on a tumour or cyst, where there is one, rather than on the kidney
    jitter_mm: float  #: how far its centre may lie from that voxel along each axis
    away_jitter_mm: float  #: how far it may lie from the region's centre where there is no kidney
    slab_probability: float  #: of a slab of the region, or of the part: as if the scan ended above and below it
    slab_mm: Range  #: range of the slab's height

    def draw(self, rng: Rng) -> Doubles | None:
        """Largest edges (3,) in mm of what is shown, inf for no limit; None for the whole region."""
        edges = np.full(3, self.edge_mm if rng.random() < self.probability else np.inf)
        if self.slab_probability > 0 and rng.random() < self.slab_probability:
            edges[2] = min(edges[2], rng.uniform(*self.slab_mm))
        return edges if np.isfinite(edges).any() else None


@dataclass(frozen=True)
class DetectionCTs:
    """The augmented versions of a CT on which stage 1 is run to collect its detections."""

    count: int  #: how many
    kept_percent_jitter: float  #: the kept share of the cells varies by as many percentage points
    anatomy: tuple[Augmentation, ...]  #: augmentations of kind "anatomy"; they must leave the labels as they are
    field_of_view: FieldOfView  #: random field of view


@dataclass(frozen=True)
class DetectionErrors:
    """What differs between the regions of training and stage 1's detections."""

    detection_probability: float  #: of one of stage 1's detections rather than the labels
    missing_probability: float  #: that a ball of the kidney is missing
    missing_radius_mm: Range  #: range of its radius
    max_spills: int  #: most balls that are detected falsely
    spill_radius_mm: Range  #: range of their radius
    lesion_probability: float  #: that tumours and cysts are added whole, as inference does by growing its regions
    mass_probability: float  #: that a mass beside the kidney is detected with it
    kidney_part_probability: float  #: of the part with most kidney, where a region has several parts
    margin_jitter_mm: Range  #: range of what is added to the margin
    margin_wave_mm: Range  #: range of the SD of a smooth random field that is added to it
    margin_wave_length_mm: float  #: SD of that field's Gaussian kernel


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe(GridRecipe):
    """Stage 2 and its coarse network: samples are regions around stage 1's detections.

    Augmenting an anatomy takes longer than a step, so steps share the results.
    """

    kidney_probability: float  #: of a kidney rather than a false detection
    variants: int  #: augmented anatomies of each crop that steps choose from
    samples_per_variant: int  #: after as many samples one of them is replaced
    max_variants: int  #: augmented crops that are kept in memory
    kidney_hu_sd: float  #: SD of the error of the kidney's level
    min_hu_jitter: float  #: the lower bound of HU varies upward by as much
    min_sample_ml: float  #: smallest volume that a sample shows
    view: View  #: the part that is shown
    detection_cts: DetectionCTs  #: the CTs on which stage 1 is run
    detection_errors: DetectionErrors  #: what is added to its detections


@dataclass(frozen=True)
class OtherBands:
    """Bands besides those of inference's initial settings, as the window offers them."""

    probability: float  #: that a sample is of such a band
    kept_percent: Range  #: range of the share of all voxels that is cut into bands, in percent
    count: tuple[int, int]  #: fewest and most bands that it is cut into


@dataclass(frozen=True, kw_only=True)
class BandRecipe(StageRecipe):
    """Both stages of method `paper`: samples are boxes of intensity bands of augmented CTs.

    Augmenting a CT takes longer than a step, so steps share the results.
    """

    anatomy: tuple[Augmentation, ...]  #: augmentations of kind "anatomy" of a CT's versions
    intensity: tuple[Augmentation, ...]  #: augmentations of kind "intensity" of its versions
    field_of_view: FieldOfView  #: of its versions
    versions: int  #: of each CT, which are shown in turn
    samples_per_version: int  #: about so many samples are drawn from a version in a row
    versions_in_memory: int  #: at most so many are drawn from at a time
    other_bands: OtherBands  #: bands other than inference's initial ones
    points: tuple[int, int]  #: least and most points of a box; their number is uniform in the logarithm
    kidney_probability: float  #: that a box lies on a kidney
    darken_probability: float  #: of darker points
    darken: Range  #: range of the factor on HU above air
    scale_probability: float  #: of another size
    scale: Range  #: range of its factor
    flip_probability: float  #: of a left-right flip
    #: in stage 2, that a box's points near the labels are shown, rather than those that stage 1 detects
    near_kidney_probability: float
    near_kidney_cells: int  #: how near
    #: stage 2 is shown the points to which stage 1 gives at least this probability of kidney
    kept_probability: float
    #: in stage 2, for so many steps the samples of a case are of one box, each with its own augmentation
    detection_steps: int
    #: in the training of stage 2, the range of what stands for `kept_probability`, so that it need not be exact
    detection_threshold: Range
