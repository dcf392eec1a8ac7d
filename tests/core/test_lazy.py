from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kidneyseg import editing
from kidneyseg.lazy import names_of, quick_imports


def test_a_name_is_imported_when_it_is_first_used() -> None:
    code = (
        "import sys; from kidneyseg import editing; before = 'scipy' in sys.modules; editing.fill_holes;"
        "print(before, 'scipy' in sys.modules, 'fill_holes' in vars(editing))"
    )
    assert run(code) == "False True True"


def test_all_names_are_listed_and_others_are_refused() -> None:
    assert set(editing.__all__) <= set(dir(editing))
    with pytest.raises(AttributeError, match=r"'kidneyseg\.editing' has no attribute 'paintbrush'"):
        _ = editing.paintbrush
    get, _ = names_of("kidneyseg.editing", {"Brush": "brush"})
    assert get("Brush") is editing.Brush


def test_quick_imports_leave_out_what_scipy_does_not_use_and_put_it_back() -> None:
    listed = list(np.__all__)
    switch = sys.getswitchinterval()
    with quick_imports():
        assert sys.getswitchinterval() < switch
        assert "f2py" not in np.__all__
    assert list(np.__all__) == listed
    assert sys.getswitchinterval() == switch
    code = (
        "import sys; from kidneyseg.lazy import quick_imports\n"
        "with quick_imports():\n    from scipy import ndimage\nprint('numpy.f2py' in sys.modules)"
    )
    assert run(code) == "False"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
