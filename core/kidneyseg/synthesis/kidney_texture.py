"""What a transplanted kidney looks like: cortex and medulla, tumours and cysts in the host's phase, sinus and fat."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import Doubles, Floats, Range, Rng
from kidneyseg.synthesis.texture import Texture, TumourHU, gaussian_random_field


class KidneyHU(NamedTuple):
    """The HU that a kidney with its lesions is given."""

    cortex: float  #: of the cortex
    medulla: float  #: of the medulla
    cyst: float  #: of its cysts
    tumour: TumourHU  #: of its tumours
    vessel: float  #: of the vessels in its sinus
    fat: float  #: of the fat in its sinus and around it
    sinus_fat: float  #: the share of its sinus that is fat, 0...1


def parenchyma(depth: Floats, hu: KidneyHU, spacing: Doubles, rng: Rng, *, thickness_mm: Range = (5.0, 8.5)) -> Floats:
    """HU of kidney tissue without noise: cortex outside, pyramids of medulla inside, float32.

    Args:
        depth: float32 (X, Y, Z), mm below the kidney's outer surface.
        thickness_mm: range of the cortex' thickness.
    """
    # Columns of cortex reach down between the pyramids, which are some 12 mm wide; the outermost part is all cortex.
    columns = gaussian_random_field(depth.shape, float(rng.uniform(3.5, 5.0)), spacing, rng)
    below = depth + 4.0 * columns * np.clip((depth - 4.0) / 4.0, 0.0, 1.0)
    outer = 1.0 / (1.0 + np.exp(np.clip((below - rng.uniform(*thickness_mm)) / 1.2, -30.0, 30.0)))
    # No kidney takes up the agent evenly.
    uneven = 1.0 + 0.03 * gaussian_random_field(depth.shape, 14.0, spacing, rng)
    return np.asarray((hu.medulla + (hu.cortex - hu.medulla) * outer) * uneven, np.float32)


def sinus_texture(depth: Floats, hu: KidneyHU, spacing: Doubles, rng: Rng) -> Floats:
    """HU of a renal sinus without noise: fat with branching vessels and calices, float32.

    Args:
        depth: float32 (X, Y, Z), mm below the surface of the kidney with its sinus: near it there is fat only.
    """
    fat = fat_texture(depth.shape, hu.fat, spacing, rng)
    # The zero set of a random field is a curved sheet; where two meet, they look like vessels cut at all angles.
    vessels = np.abs(gaussian_random_field(depth.shape, 4.0, spacing, rng))
    vessels += np.abs(gaussian_random_field(depth.shape, 5.0, spacing, rng))
    filled = 0.4 + 1.6 * (1.0 - hu.sinus_fat) + rng.uniform(0.0, 0.4)
    share = 1.0 / (1.0 + np.exp(np.clip((vessels - filled) / 0.07, -30.0, 30.0)))
    share *= np.clip((depth - 2.0) / 4.0, 0.0, 1.0)
    urine = gaussian_random_field(depth.shape, 6.0, spacing, rng) > rng.uniform(-0.5, 1.0)
    blood = rng.uniform(min(hu.medulla, hu.vessel), hu.vessel)
    fluid = np.where(urine, np.float32(rng.uniform(5.0, 30.0)), np.float32(blood))
    return np.asarray(fat + share * (ndimage.gaussian_filter(fluid, 1.0 / spacing) - fat), np.float32)


def fat_texture(shape: tuple[int, ...], fat_hu: float, spacing: Doubles, rng: Rng) -> Floats:
    """HU of fat without noise: a little uneven, with a few thin strands, float32."""
    hu = fat_hu + 3.0 * gaussian_random_field(shape, 8.0, spacing, rng)
    ridge = np.abs(gaussian_random_field(shape, 6.0, spacing, rng))
    where = np.clip(gaussian_random_field(shape, 12.0, spacing, rng) - rng.uniform(0.2, 1.2), 0.0, 1.0)
    return np.asarray(hu + rng.uniform(15.0, 50.0) * where * np.exp(-((ridge / 0.12) ** 2)), np.float32)


def lesions_over(
    grey: Floats,
    tumour: Floats,
    cyst: Floats,
    hu: KidneyHU,
    noise_sd: float,
    texture: Texture,
    spacing: Doubles,
    rng: Rng,
) -> Floats:
    """A kidney's HU (X, Y, Z) with its tumours and cysts, whose shares of each voxel are given.

    Each tumour is drawn with `texture` on its own.
    """
    result = grey + cyst * (hu.cyst - grey)
    parts, count = ndimage.label(tumour >= 0.5)
    for number, box in zip(range(1, count + 1), ndimage.find_objects(parts), strict=True):
        wide = tuple(slice(max(side.start - 4, 0), side.stop + 4) for side in box)
        share = tumour[wide] * ndimage.binary_dilation(parts[wide] == number, iterations=3)
        if np.count_nonzero(share >= 0.5) < 8:
            continue
        body = texture(share, hu.tumour, noise_sd, spacing, rng)
        result[wide] += share * (body - result[wide])
    return np.asarray(result, np.float32)
