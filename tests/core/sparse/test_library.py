"""A library that is missing or broken, and the kernels on other processors."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import torch

from kidneyseg.sparse import SparseUNet, _library, native

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


def test_the_reason_says_whether_the_library_is_missing_or_broken(monkeypatch, tmp_path):
    monkeypatch.setattr(_library, "__file__", str(tmp_path / "_library.py"))
    assert _library._find()[0] is None
    assert "not built" in _library._find()[1]
    (tmp_path / "_kernels.so").write_bytes(b"not a library")
    assert _library._find()[0] is None
    assert "do not load" in _library._find()[1]


def test_without_a_library_the_torch_kernels_run_with_one_warning(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(_library, "__file__", str(tmp_path / "_library.py"))
    monkeypatch.setattr(_library, "_load", cache(_library._load.__wrapped__))
    network = SparseUNet(2, 3, [4, 6]).eval()
    for _ in range(2):
        with torch.no_grad():
            assert network(torch.randint(0, 9, (50, 3)), torch.randn(50, 2)).shape == (50, 3)
    assert [record.getMessage() for record in caplog.records] == [
        "the native kernels were not built; reinstall kidneyseg where there is a C++ compiler. "
        "Until then the slower torch kernels are used."
    ]


@pytest.mark.parametrize(
    ("compiler", "flags", "emulator", "expected"),
    [
        ("g++", ["-DKIDNEYSEG_EMULATE_AVX512"], [], "baseline avx2 avx512 agree"),
        ("aarch64-linux-gnu-g++", ["-static"], ["qemu-aarch64-static"], "baseline baseline baseline agree"),
    ],
)
def test_other_processors(compiler, flags, emulator, expected, tmp_path):
    """AVX-512 emulated by AVX2 and aarch64 in QEMU, against the definition in C++."""
    for tool in (compiler, *emulator):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here")
    if compiler == "g++" and native.instruction_set() == "baseline":
        pytest.skip("this processor has no AVX2, which emulates AVX-512")
    folder, program = Path(native.__file__).parent, tmp_path / "check"
    sources = [Path(__file__).with_name("check_kernels.cpp"), *sorted(folder.glob("_*.cpp"))]
    command = [compiler, "-std=c++17", "-O1", "-Wno-psabi", *flags, *map(str, sources), "-pthread", "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([*emulator, str(program)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == expected
