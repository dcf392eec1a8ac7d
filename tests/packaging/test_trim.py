"""What is taken out of PyInstaller's findings again."""

from __future__ import annotations

from pathlib import Path

import elf
import pytest
from trim import share_copies, trimmed_binaries, trimmed_data

CONTENTS = {
    "python": {"exclude_data": ["PySide6/Qt/translations"]},
    "vtk": {"keep": ["vtkCommonCore"]},
    "qt": {"plugins": ["platforms/qxcb"]},
    "system": {"libX11.so.6": "libx11-6"},
}
NEEDS = {
    "vtkCommonCore.cpython-311-x86_64-linux-gnu.so": {"libvtkCommonCore.so", "libc.so.6"},
    "libvtkCommonCore.so": {"libvtkloguru.so"},
    "vtkIOMovie.cpython-311-x86_64-linux-gnu.so": {"libvtkIOMovie.so"},
    "libqxcb.so": {"libQt6XcbQpa.so.6", "libX11.so.6"},
    "libqgtk3.so": {"libgtk-3.so.0"},
}


@pytest.fixture(autouse=True)
def needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elf, "needed", lambda path: frozenset(NEEDS.get(path.name, set())))


def entries(*targets: str, kind: str = "BINARY") -> list[tuple[str, str, str]]:
    return [(target, f"/somewhere/{Path(target).name}", kind) for target in targets]


def test_only_what_is_kept_and_needed_stays() -> None:
    modules = ("vtkmodules/vtkCommonCore", "vtkmodules/vtkIOMovie")
    found = [
        *entries(*(f"{name}.cpython-311-x86_64-linux-gnu.so" for name in modules), kind="EXTENSION"),
        *entries("vtkmodules/libvtkCommonCore.so", "vtkmodules/libvtkloguru.so", "vtkmodules/libvtkIOMovie.so"),
        *entries("PySide6/Qt/plugins/platforms/libqxcb.so", "PySide6/Qt/plugins/platformthemes/libqgtk3.so"),
        *entries("PySide6/Qt/lib/libQt6XcbQpa.so.6", "libX11.so.6", "libgtk-3.so.0", "libpython3.11.so.1.0"),
        *entries("kidneyseg/sparse/_kernels.cpython-311-x86_64-linux-gnu.so"),
        ("libvtkloguru.so", "vtkmodules/libvtkloguru.so", "SYMLINK"),
        ("libvtkIOMovie.so", "vtkmodules/libvtkIOMovie.so", "SYMLINK"),
    ]
    assert {target for target, _, _ in trimmed_binaries(found, CONTENTS)} == {
        "vtkmodules/vtkCommonCore.cpython-311-x86_64-linux-gnu.so",
        "vtkmodules/libvtkCommonCore.so",
        "vtkmodules/libvtkloguru.so",
        "PySide6/Qt/plugins/platforms/libqxcb.so",
        "PySide6/Qt/lib/libQt6XcbQpa.so.6",
        "libpython3.11.so.1.0",
        "kidneyseg/sparse/_kernels.cpython-311-x86_64-linux-gnu.so",
        "libvtkloguru.so",
    }


def test_data_without_translations_tests_and_stubs() -> None:
    found = entries(
        "kidneyseg/models/a.safetensors",
        "PySide6/Qt/translations/qt_de.qm",
        "numpy/a.pyi",
        "x/tests/a.nii",
        "a/b.cpp",
        "a-1.dist-info/direct_url.json",
        "a-1.dist-info/METADATA",
        "a-1.dist-info/licenses/LICENSE.txt",
        kind="DATA",
    )
    assert [target for target, _, _ in trimmed_data(found, CONTENTS)] == [
        "kidneyseg/models/a.safetensors",
        "a-1.dist-info/METADATA",
    ]


def test_the_same_library_is_kept_once(tmp_path: Path) -> None:
    for folder in ("numpy.libs", "scipy.libs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "libgfortran.so.5").write_bytes(b"\x7fELF the same")
        (tmp_path / folder / "libopenblas.so").write_bytes(b"\x7fELF of " + folder.encode())
        (tmp_path / folder / "libtext.so").write_bytes(b"no library")
    share_copies(tmp_path)
    links = [path for path in tmp_path.rglob("*") if path.is_symlink()]
    assert [str(path.relative_to(tmp_path)) for path in links] == ["scipy.libs/libgfortran.so.5"]
    assert str(links[0].readlink()) == "../numpy.libs/libgfortran.so.5"
    assert links[0].read_bytes() == b"\x7fELF the same"
