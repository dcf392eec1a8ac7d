"""The add-on with torch."""

from __future__ import annotations

from pathlib import Path

import pytest
from components import BuildError
from cuda import lay_out


def tree(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def test_torch_and_what_python_lacks(tmp_path: Path) -> None:
    packages = tree(
        tmp_path / "packages",
        "torch/__init__.py",
        "torch/include/a.h",
        "torch/bin/torch_shm_manager",
        "bin/torchrun",
        "torch-2.dist-info/METADATA",
    )
    library = tree(
        tmp_path / "library", "cProfile.py", "lib-dynload/_lsprof.so", "test/test_os.py", "site-packages/pip.py"
    )
    lay_out(packages, library, tmp_path / "cuda")
    found = {str(path.relative_to(tmp_path / "cuda")) for path in (tmp_path / "cuda").rglob("*") if path.is_file()}
    assert found == {
        "packages/torch/__init__.py",
        "packages/torch/bin/torch_shm_manager",
        "packages/torch-2.dist-info/METADATA",
        "python/cProfile.py",
        "python/lib-dynload/_lsprof.so",
    }


def test_without_torch_there_is_no_add_on(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="there is no torch in"):
        lay_out(tree(tmp_path / "packages", "numpy/__init__.py"), tmp_path, tmp_path / "cuda")
