"""Builds kidneyseg-cuda: torch and its libraries beside the installed program; packaging/build-cuda calls this."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import sysconfig
from datetime import datetime
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import deb
import elf
import runfile
from components import BuildError

from kidneyseg.version import __version__

#: Parts of Python's own library that torch does not need.
_LEFT_OUT = (
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "dist-packages",
    "site-packages",
)
_OF_THE_SYSTEM = ("sitecustomize.py", "config-*", "__pycache__", "_tkinter*", "readline*", "_gdbm*", "_dbm*")


def main() -> int:
    """Build both installers. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, required=True, help="a folder where pip installed torch")
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is made on the way")
    parser.add_argument("--output", type=Path, required=True, help="where the installers go")
    arguments = parser.parse_args()
    try:
        made = build(arguments.packages, arguments.work, _epoch(arguments.work.parent))
    except BuildError as error:
        print(f"packaging/build-cuda: {error}", file=sys.stderr)
        return 1
    arguments.output.mkdir(parents=True, exist_ok=True)
    for path in made:
        target = Path(shutil.move(path, arguments.output / path.name))
        print(f"  {target.name}: {target.stat().st_size / 1e6:.0f} MB", file=sys.stderr)
    return 0


def build(packages: Path, work: Path, epoch: int) -> list[Path]:
    """Both installers, in `work`. Raises BuildError where `packages` has no torch, or one for another glibc."""
    shutil.rmtree(work, ignore_errors=True)
    lay_out(packages, Path(sysconfig.get_path("stdlib")), work / "run/installed")
    files = [path for path in (work / "run/installed").rglob("*") if elf.is_elf(path)]
    glibc = elf.oldest(files, "GLIBC")
    tree = work / "deb"
    shutil.copytree(work / "run/installed", tree / deb.OPT / "cuda", symlinks=True)
    doc = tree / "usr/share/doc/kidneyseg-cuda"
    doc.mkdir(parents=True)
    licences = sorted(f"{d.metadata['Name']} {d.version}" for d in metadata.distributions(path=[str(packages)]))
    (doc / "copyright").write_text(
        "torch and what it needs, from their wheels, whose licences lie in the folders *.dist-info of\n"
        f"/{deb.OPT}/cuda/packages, and parts of Python's library under the PSF licence:\n\n  "
        + "\n  ".join(licences)
        + "\n"
    )
    kib = sum(path.lstat().st_size for path in tree.rglob("*") if not path.is_dir()) // 1024
    depends = [f"kidneyseg (= {__version__})", f"libc6 (>= {'.'.join(map(str, glibc))})"]
    made = [work / f"kidneyseg-cuda_{__version__}_amd64.deb", work / f"kidneyseg-cuda-{__version__}-x86_64.run"]
    deb.pack(tree, made[0], deb.control(__version__, depends, kib, "control-cuda"), epoch, level=1)
    setup = runfile.setup_script(__version__, ".".join(map(str, glibc)), "")
    runfile.pack(work / "run", made[1], setup, (f"torch for KidneySeg {__version__}", "install-gpu"), epoch, level=1)
    return made


def lay_out(packages: Path, library: Path, folder: Path) -> None:
    """Fill the folder that program.py looks for: torch's packages, and Python's library for what the program lacks."""
    if not (packages / "torch").is_dir():
        raise BuildError(f"there is no torch in {packages}")
    without = shutil.ignore_patterns("__pycache__", "*.pyc", "include")
    shutil.copytree(packages, folder / "packages", symlinks=True, ignore=without)
    shutil.rmtree(folder / "packages/bin", ignore_errors=True)  # commands; torch/bin has a program that torch starts
    unwanted = shutil.ignore_patterns(*_LEFT_OUT, *_OF_THE_SYSTEM)
    shutil.copytree(library, folder / "python", ignore=unwanted)


def _epoch(build_folder: Path) -> int:
    """The time of the program's build, from its bill of materials."""
    bill = json.loads((build_folder / "program/sbom.cdx.json").read_text())
    return int(datetime.fromisoformat(bill["metadata"]["timestamp"]).timestamp())


if __name__ == "__main__":
    sys.exit(main())
