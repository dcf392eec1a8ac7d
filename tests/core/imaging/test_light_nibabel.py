"""Reading NIfTI imports no DICOM library, and does not keep others from importing one."""

from __future__ import annotations

import subprocess
import sys


def test_reading_nifti_leaves_pydicom_for_later() -> None:
    program = "import sys, kidneyseg.imaging.readers; print('pydicom' in sys.modules); import pydicom; print('yes')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "yes"]
