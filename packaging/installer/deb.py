"""The Debian package: /opt/kidneyseg, links in /usr/bin, and the desktop's files in /usr/share."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from pathlib import Path

import elf
from components import HERE, BuildError, Component
from tree import GUI, set_modes_and_times

OPT = "opt/kidneyseg"
# The compiler release that brought a version of libstdc++, which Debian's packages are named by.
_GCC: dict[tuple[int, ...], int] = {
    (3, 4, 28): 10,
    (3, 4, 29): 11,
    (3, 4, 30): 12,
    (3, 4, 31): 13,
    (3, 4, 32): 13,
    (3, 4, 33): 14,
}
#: VTK opens this library by its name, if there is one, for the pointer's shapes.
POINTER = "libXcursor.so.1"
_FONT = "fonts-dejavu-core | fonts-noto-core | fonts-liberation | fonts-liberation2 | fonts-freefont-ttf"


def dependencies(program: Path) -> list[str]:
    """What the package depends on, from what the libraries need and what is not among them.

    Raises BuildError for a library that is neither shipped nor in the table of contents.toml.
    """
    system: Mapping[str, str] = tomllib.loads((HERE / "contents.toml").read_text())["system"]
    files = [path for path in program.rglob("*") if elf.is_elf(path)]
    shipped = {path.name for path in program.rglob("*")}
    wanted = {name: path for path in files for name in elf.needed(path) if name not in shipped}
    if unknown := sorted(wanted.keys() - system.keys()):
        raise BuildError(
            f"{unknown[0]}, which {wanted[unknown[0]].name} needs, is neither shipped nor in contents.toml"
        )
    packages = {system[name] for name in (*wanted, POINTER)}
    versions = {
        "libc6": ".".join(map(str, elf.oldest(files, "GLIBC"))),
        "libstdc++6": str(_GCC[max(elf.oldest(files, "GLIBCXX"), (3, 4, 28))]),
    }
    packages = {f"{name} (>= {versions[name]})" if name in versions else name for name in packages}
    return [*sorted(packages), _FONT]


def control(version: str, depends: Iterable[str], kib: int, template: str = "control") -> str:
    """The package's description, from a file of share."""
    template = (HERE / "share" / template).read_text()
    return template.replace("@version@", version).replace("@depends@", ", ".join(depends)).replace("@size@", str(kib))


def copyright_file(parts: Iterable[Component]) -> str:
    """Debian's summary of licences; the texts lie in /opt/kidneyseg/licences."""
    lines = [(HERE / "share/copyright").read_text().rstrip(), ""]
    for part in parts:
        if part.name != "kidneyseg":
            lines += [f"  {part.name} {part.version}: {part.licence}"]
    return "\n".join(lines) + "\n"


def build_deb(root: Path, program: Path, share: Path, parts: list[Component], version: str, epoch: int) -> Path:
    """Put the package together in the folder `root` and pack it beside that. Returns the file."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(program, root / OPT, symlinks=True)
    shutil.copytree(share, root / "usr/share")
    (root / "usr/bin").mkdir(parents=True)
    for name in ("kidneyseg", GUI):
        (root / "usr/bin" / name).symlink_to(f"/{OPT}/{name}")
    doc = root / "usr/share/doc/kidneyseg"
    doc.mkdir(parents=True)
    (doc / "copyright").write_text(copyright_file(parts))
    changes = (HERE / "share/changelog").read_text()
    changes = changes.replace("@version@", version).replace("@date@", formatdate(epoch))
    (doc / "changelog.gz").write_bytes(gzip.compress(changes.encode(), 9, mtime=0))
    overrides = root / "usr/share/lintian/overrides"
    overrides.mkdir(parents=True)
    shutil.copyfile(HERE / "share/lintian-overrides", overrides / "kidneyseg")
    depends = dependencies(root / OPT)
    kib = sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir()) // 1024
    target = root.parent / f"kidneyseg_{version}_amd64.deb"
    pack(root, target, control(version, depends, kib), epoch, level=6)
    return target


def pack(root: Path, target: Path, control_file: str, epoch: int, *, level: int) -> None:
    """Pack the folder as a Debian package, with xz at this level."""
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(control_file)
    sums = subprocess.run(
        "find usr opt -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum",
        shell=True,
        cwd=root,
        check=True,
        capture_output=True,
    ).stdout
    (root / "DEBIAN/md5sums").write_bytes(sums)
    set_modes_and_times(root, epoch)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", f"-z{level}", "--threads-max=2", "--build", root, target],
        check=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch)},
        stdout=subprocess.DEVNULL,
    )
