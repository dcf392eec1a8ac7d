"""nibabel without pydicom, which takes longer to import than all the rest of it.

nibabel imports pydicom, where that is installed, for DICOM headers that a NIfTI file may carry. They are not read here.
"""

from __future__ import annotations

import sys

_HIDDEN = "pydicom"
_hide = _HIDDEN not in sys.modules
if _hide:
    # None in its place is how Python is told that there is none; the typeshed knows only modules.
    sys.modules[_HIDDEN] = None  # type: ignore[assignment]
try:
    import nibabel as nib
    from nibabel.spatialimages import HeaderDataError
finally:
    if _hide:
        del sys.modules[_HIDDEN]

__all__ = ["HeaderDataError", "nib"]
