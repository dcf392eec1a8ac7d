"""Lays out what both installers contain: the program's folder, and the files for the desktop beside it."""

from __future__ import annotations

import gzip
import os
import shutil
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import elf
from components import HERE, Component
from icu import slim
from manual import page
from standard import shorten
from trim import share_copies

from kidneyseg.phantom.sample import sample_case

ICON_SIZES = (32, 48, 64, 128, 256)
GUI = "kidneyseg-gui"


def finish_program(program: Path, parts: Iterable[Component], version: str, commit: str, epoch: int) -> None:
    """Complete PyInstaller's folder: the window's name, the sample case, licences and the bill of materials."""
    from sbom import bill  # noqa: PLC0415 - only the build has cyclonedx

    parts = list(parts)
    (program / GUI).symlink_to("kidneyseg")
    for library in (program / "_internal").rglob("libicudata.so.*"):
        if elf.is_elf(library):
            slim(library)
    for path in sorted((program / "_internal").rglob("*")):
        if elf.is_elf(path):
            elf.strip(path)
    share_copies(program / "_internal")
    contents = tomllib.loads((HERE / "contents.toml").read_text())
    shorten(program / "_internal/highdicom/_standard", contents["dicom"]["written"])
    sample = program / "_internal/kidneyseg/phantom"
    sample.mkdir(parents=True, exist_ok=True)
    sample_case(sample)
    for part in parts:
        part.copy_texts(program / "licences")
    (program / "sbom.cdx.json").write_text(bill(version, commit, epoch, parts))


def lay_out_share(share: Path, assets: Path, version: str, epoch: int) -> None:
    """Fill a folder as /usr/share: desktop entry, icons, MIME types, metadata, man pages."""
    day = datetime.fromtimestamp(epoch, UTC).date().isoformat()
    _copy(assets / "kidneyseg.desktop", share / "applications")
    _copy(assets / "icons/kidneyseg.svg", share / "icons/hicolor/scalable/apps")
    _draw_icons(assets / "icons/kidneyseg.svg", share / "icons/hicolor")
    _copy(HERE / "share/kidneyseg.xml", share / "mime/packages")
    metainfo = (HERE / "share/kidneyseg.metainfo.xml").read_text()
    _write(share / "metainfo/kidneyseg.metainfo.xml", metainfo.replace("@version@", version).replace("@date@", day))
    for name, text in man_pages(version, epoch).items():
        path = share / "man/man1" / f"{name}.1.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def man_pages(version: str, epoch: int) -> dict[str, str]:
    """The man page of each program."""
    from kidneyseg.cli.main import make_parser as command_line  # noqa: PLC0415 - of the version that is packed
    from kidneyseg_gui.__main__ import make_parser as window  # noqa: PLC0415 - likewise of that version

    os.environ["COLUMNS"] = "100"  # argparse wraps to the terminal's width
    return {parser.prog: page(parser, version, epoch) for parser in (command_line(), window())}


def set_modes_and_times(root: Path, epoch: int) -> None:
    """Give all files the same owner's rights and time, whoever builds, and whenever."""
    for path in sorted(root.rglob("*"), reverse=True):
        if not path.is_symlink():
            runs = path.is_dir() or (
                os.access(path, os.X_OK) and not path.name.endswith(".so") and ".so." not in path.name
            )
            path.chmod(0o755 if runs else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)
    root.chmod(0o755)
    os.utime(root, (epoch, epoch))


def _draw_icons(svg: Path, folder: Path) -> None:
    from PySide6.QtCore import QSize  # noqa: PLC0415 - only the build has it
    from PySide6.QtGui import QGuiApplication, QImageReader  # noqa: PLC0415 - only the build has it

    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = QGuiApplication.instance() or QGuiApplication(["icons"])
    for size in ICON_SIZES:
        reader = QImageReader(str(svg))
        reader.setScaledSize(QSize(size, size))
        target = folder / f"{size}x{size}/apps/kidneyseg.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not reader.read().save(str(target)):
            raise OSError(f"the icon {target.name} cannot be drawn: {reader.errorString()}")
    del application


def _copy(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / source.name)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
