"""Where the files of the program come from: Python packages, Debian packages, and their licences."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

HERE = Path(__file__).parent
LICENCE_NAMES = ("licen", "copying", "copyright", "notice")
COMMON = Path("/usr/share/common-licenses")


class BuildError(Exception):
    """What is wrong with the build, as a sentence."""


@dataclass(frozen=True, order=True)
class Component:
    """Something that was copied into the program."""

    kind: str  #: "pypi" or "deb"
    name: str
    version: str
    licence: str  #: an SPDX expression
    texts: tuple[tuple[str, Path], ...] = ()  #: its licence files: the name to give to each, and where it is

    def copy_texts(self, folder: Path) -> None:
        """Copy its licence texts to `folder`/<name>/."""
        target = folder / self.name
        target.mkdir(parents=True, exist_ok=True)
        for name, text in self.texts:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(text, target / name)
        if self.licence.startswith("LGPL-3.0"):  # it refers to the text of the GPL
            for name in ("LGPL-3", "GPL-3"):
                shutil.copyfile(COMMON / name, target / name)


def components(sources: Path) -> list[Component]:
    """The origins of the files that PyInstaller used, from the list that kidneyseg.spec wrote.

    Raises BuildError for a file of unknown origin or licence.
    """
    files = {Path(name) for name in json.loads(sources.read_text())}
    distributions = _distributions()
    names = {distributions[file] for file in files if file in distributions} | {"pyinstaller"}
    derived = sources.parent  # what PyInstaller made out of Python's own library
    others = sorted(file for file in files if file not in distributions and not {HERE, derived} & {*file.parents})
    found = [_python(name) for name in names] + [_debian(name) for name in debian_packages(others)]
    return sorted(found)


def _distributions() -> dict[Path, str]:
    """The distribution of every file in this environment."""
    return {
        Path(str(found.locate_file(file))).resolve(): found.metadata["Name"]
        for found in metadata.distributions()
        for file in found.files or ()
    }


def _python(name: str) -> Component:
    found = metadata.distribution(name)
    places = {str(file): Path(str(found.locate_file(file))) for file in found.files or ()}
    texts = [(within, places[file]) for file in places if (within := licence_name(file)) and places[file].is_file()]
    return Component("pypi", name, found.version, _licence("python", name), tuple(sorted(texts)))


def licence_name(file: str) -> str | None:
    """The name to give to a file of a distribution among the licences; None where it is no licence.

    Those of parts that the distribution took over lie in folders, and several have the same name.
    """
    _, _, within = file.partition(".dist-info/")
    known = any(word in PurePosixPath(within).name.lower() for word in LICENCE_NAMES)
    return within.removeprefix("licenses/").removeprefix("license_files/") if known else None


def _debian(name: str) -> Component:
    version = _ask("dpkg-query", "--show", "--showformat", "${Version}", name)
    return Component(
        "deb", name, version, _licence("debian", name), (("copyright", Path(f"/usr/share/doc/{name}/copyright")),)
    )


def _licence(kind: str, name: str) -> str:
    known: dict[str, str] = tomllib.loads((HERE / "licences.toml").read_text())[kind]
    if name not in known:
        raise BuildError(f"{name} would be shipped, and its licence is not in licences.toml; add it or leave it out")
    return known[name]


def debian_packages(files: Iterable[Path]) -> set[str]:
    """The packages that these files belong to. Raises BuildError for a file that belongs to none."""
    packages: set[str] = set()
    for file in files:
        # Debian has moved /lib to /usr/lib; the database of packages may still name the old place.
        candidates = (str(file), str(file).removeprefix("/usr"), f"/usr{file}")
        for candidate in candidates:
            done = subprocess.run(["dpkg-query", "--search", candidate], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                packages.add(done.stdout.split(":")[0].split(",")[0])
                break
        else:
            raise BuildError(f"nobody knows where {file} comes from, so its licence is unknown; leave it out")
    return packages


def _ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
