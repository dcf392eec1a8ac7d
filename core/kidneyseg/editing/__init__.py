"""Corrections of a mask by hand: gestures become changed voxels, which can be taken back and journalled."""

from kidneyseg.editing.change import Change, Voxels, merged
from kidneyseg.editing.click import Click, fix
from kidneyseg.editing.mask import EditedMask

__all__ = ["Change", "Click", "EditedMask", "Voxels", "fix", "merged"]
