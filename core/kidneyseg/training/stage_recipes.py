"""What a recipe says about one network, by the sampler that draws its samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kidneyseg.training.augmentation import Augmentation
from kidneyseg.training.spatial import Affine, FieldOfView

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class StageRecipe:
    """How one network is trained.

    Attributes:
        channels: input channels of the network.
        planes: channels of each level of the network.
        class_weights: of the cross-entropy, one per class.
        steps: optimiser steps.
        batch: samples per step.
        learning_rate: its peak.
        schedule: "cosine" or "step"; see `TrainingPlan`.
        weight_decay: of AdamW.
        gradient_clip: largest norm of all gradients together.
        dice_weight: of the soft Dice loss beside the cross-entropy.
        dice_smooth: smoothing term of the soft Dice, in points.
        ema_decay: of the exponential moving average of the weights.
        freeze_norms_at: share of the steps after which BatchNorm's statistics are fixed.
        norm_samples: batches over which they are measured.
        check_every: steps between validations.
    """

    channels: int
    planes: tuple[int, ...]
    class_weights: tuple[float, ...]
    steps: int
    batch: int
    learning_rate: float
    schedule: Literal["cosine", "step"]
    weight_decay: float
    gradient_clip: float
    dice_weight: float
    dice_smooth: float
    ema_decay: float
    freeze_norms_at: float
    norm_samples: int
    check_every: int


@dataclass(frozen=True, kw_only=True)
class WholeCTRecipe(StageRecipe):
    """Stage 1 of method `default`: samples are fields of view of whole CTs.

    Attributes:
        grid_mm: edge of the cells.
        anatomy: augmentations of kind "anatomy".
        intensity: augmentations of kind "intensity".
        affine: random affine transform.
        field_of_view: random field of view.
        kept_percent_jitter: the kept share of the cells varies by as many percentage points.
    """

    grid_mm: float
    anatomy: tuple[Augmentation, ...]
    intensity: tuple[Augmentation, ...]
    affine: Affine
    field_of_view: FieldOfView
    kept_percent_jitter: float


@dataclass(frozen=True)
class View:
    """The part of a region that a sample shows.

    Attributes:
        probability: of a part rather than the whole region.
        edge_mm: edge of the part.
        tumour_probability: that it lies on a tumour, where there is one, rather than anywhere on the kidney.
        jitter_mm: how far its centre may lie from that voxel along each axis.
        away_jitter_mm: how far it may lie from the region's centre where there is no kidney.
    """

    probability: float
    edge_mm: float
    tumour_probability: float
    jitter_mm: float
    away_jitter_mm: float


@dataclass(frozen=True)
class DetectionCTs:
    """The augmented versions of a CT on which stage 1 is run to collect its detections.

    Attributes:
        count: how many.
        kept_percent_jitter: the kept share of the cells varies by as many percentage points.
        anatomy: augmentations of kind "anatomy"; they must leave the labels as they are.
        field_of_view: random field of view.
    """

    count: int
    kept_percent_jitter: float
    anatomy: tuple[Augmentation, ...]
    field_of_view: FieldOfView


@dataclass(frozen=True)
class DetectionErrors:
    """What differs between the regions of training and stage 1's detections.

    Attributes:
        detection_probability: of one of stage 1's detections rather than the labels.
        missing_probability: that a ball of the kidney is missing.
        missing_radius_mm: range of its radius.
        max_spills: most balls that are detected falsely.
        spill_radius_mm: range of their radius.
        tumour_probability: that the whole tumour is added, as inference does by growing its regions.
        kidney_part_probability: of the part with most kidney, where a region has several parts.
        margin_jitter_mm: range of what is added to the margin.
        margin_wave_mm: range of the SD of a smooth random field that is added to it.
        margin_wave_length_mm: SD of that field's Gaussian kernel.
    """

    detection_probability: float
    missing_probability: float
    missing_radius_mm: Range
    max_spills: int
    spill_radius_mm: Range
    tumour_probability: float
    kidney_part_probability: float
    margin_jitter_mm: Range
    margin_wave_mm: Range
    margin_wave_length_mm: float


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe(StageRecipe):
    """Stage 2 of method `default`, and its coarse network: samples are regions around stage 1's detections.

    Attributes:
        grid_mm: edge of the cells.
        anatomy: augmentations of kind "anatomy". They take longer than a step, so steps share their results.
        intensity: augmentations of kind "intensity".
        affine: random affine transform.
        kidney_probability: of a kidney rather than a false detection.
        variants: augmented anatomies of each crop that steps choose from.
        samples_per_variant: after as many samples one of them is replaced.
        max_variants: augmented crops that are kept in memory.
        kidney_hu_sd: SD of the error of the kidney's level.
        min_hu_jitter: the lower bound of HU varies upward by as much.
        min_sample_ml: smallest volume that a sample shows.
        view: the part that is shown.
        detection_cts: the CTs on which stage 1 is run.
        detection_errors: what is added to its detections.
    """

    grid_mm: float
    anatomy: tuple[Augmentation, ...]
    intensity: tuple[Augmentation, ...]
    affine: Affine
    kidney_probability: float
    variants: int
    samples_per_variant: int
    max_variants: int
    kidney_hu_sd: float
    min_hu_jitter: float
    min_sample_ml: float
    view: View
    detection_cts: DetectionCTs
    detection_errors: DetectionErrors


@dataclass(frozen=True, kw_only=True)
class BandRecipe(StageRecipe):
    """Both stages of method `paper`: samples are boxes of intensity bands.

    Attributes:
        max_points: most points of a sample.
        kidney_probability: that a box lies on a kidney.
        near_kidney_probability: that only points near the labels are shown, as after an imperfect stage 1.
        detection_reach_cells: how near.
        darken_probability: of darker points.
        darken: range of the factor on HU above air.
        scale_probability: of another size.
        scale: range of its factor.
        flip_probability: of a left-right flip.
    """

    max_points: int
    kidney_probability: float
    near_kidney_probability: float
    detection_reach_cells: int
    darken_probability: float
    darken: Range
    scale_probability: float
    scale: Range
    flip_probability: float
