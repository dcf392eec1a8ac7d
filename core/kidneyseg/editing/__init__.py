"""Corrections of a mask by hand: gestures become changed voxels, which can be taken back and journalled.

Each name is imported on first use, since some of their modules import scipy and the window imports this package.
"""

from typing import TYPE_CHECKING

from kidneyseg.lazy import names_of

if TYPE_CHECKING:
    from kidneyseg.editing.brush import Brush, paint, threshold_ball
    from kidneyseg.editing.change import Change, Voxels, merged
    from kidneyseg.editing.click import Click, fix
    from kidneyseg.editing.interpolate import interpolate_slices
    from kidneyseg.editing.lasso import fill_polygon
    from kidneyseg.editing.mask import EditedMask
    from kidneyseg.editing.pieces import Piece, keep_only_piece, piece_at, relabel_piece
    from kidneyseg.editing.shape import fill_holes, grow, smooth

__all__ = [
    "Brush",
    "Change",
    "Click",
    "EditedMask",
    "Piece",
    "Voxels",
    "fill_holes",
    "fill_polygon",
    "fix",
    "grow",
    "interpolate_slices",
    "keep_only_piece",
    "merged",
    "paint",
    "piece_at",
    "relabel_piece",
    "smooth",
    "threshold_ball",
]

__getattr__, __dir__ = names_of(
    __name__,
    {
        "Brush": "brush",
        "Change": "change",
        "Click": "click",
        "EditedMask": "mask",
        "Piece": "pieces",
        "Voxels": "change",
        "fill_holes": "shape",
        "fill_polygon": "lasso",
        "fix": "click",
        "grow": "shape",
        "interpolate_slices": "interpolate",
        "keep_only_piece": "pieces",
        "merged": "change",
        "paint": "brush",
        "piece_at": "pieces",
        "relabel_piece": "pieces",
        "smooth": "shape",
        "threshold_ball": "brush",
    },
)
