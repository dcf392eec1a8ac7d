"""The scanner's look: noise that is alike over some mm, air that stays air."""

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import HU_WINDOW
from kidneyseg.training.augmentation import Tone, scanner, streaky_noise


def alike(noise: NDArray[np.float32], axis: int, mm: float, cell_mm: float = 2.0) -> float:
    """How far noise correlates with itself so many mm along an axis."""
    moved = np.roll(noise, round(mm / cell_mm), axis)
    return float(np.corrcoef(noise.ravel(), moved.ravel())[0, 1])


def test_streaky_noise_has_sd_1_and_reaches_farthest_from_side_to_side() -> None:
    drawn = [streaky_noise((40, 40, 40), 2.0, np.random.default_rng(seed)) for seed in range(24)]

    assert all(abs(float(noise.std()) - 1.0) < 1e-3 for noise in drawn)
    reach = [np.mean([alike(noise, axis, 4.0) for noise in drawn]) for axis in range(3)]
    assert reach[0] > reach[2] > reach[1] > 0.1


def test_streaks_reach_as_many_mm_on_coarser_cells() -> None:
    fine, coarse = (
        np.mean([alike(streaky_noise((40, 40, 40), mm, np.random.default_rng(n)), 0, 4.0, mm) for n in range(24)])
        for mm in (2.0, 4.0)
    )

    assert abs(fine - coarse) < 0.15


def test_scanner_leaves_air_at_the_windows_bottom_and_shows_even_tissue_with_fine_noise_and_with_lumps() -> None:
    hu = np.full((32, 32, 32), 130.0, np.float32)
    hu[:4] = HU_WINDOW[0]
    plain = Tone(1.0, 0.0, 1.0)
    shown = [scanner(hu, 2.0, np.random.default_rng(seed), plain) for seed in range(40)]

    assert all((grey[:3] == HU_WINDOW[0]).all() for grey in shown)
    # Of noise that differs from cell to cell, means of 2 x 2 x 2 cells keep .35 of the SD.
    noisy = [grey[8:] for grey in shown if grey[8:].std() > 0.5]
    kept = [tissue.reshape(12, 2, 16, 2, 16, 2).mean((1, 3, 5)).std() / tissue.std() for tissue in noisy]
    assert min(kept) < 0.4
    assert max(kept) > 0.6
