"""Builds the installers from a clean copy of the sources; packaging/build prepares the environment and calls this."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from components import BuildError, components
from deb import build_deb
from runfile import build_run
from tree import finish_program, lay_out_share

from kidneyseg.version import __version__


def main() -> int:
    """Build what was asked for. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, required=True, help="the clean copy of the sources")
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is made on the way")
    parser.add_argument("--output", type=Path, required=True, help="where the installers go")
    parser.add_argument("--commit", required=True)
    parser.add_argument("--sign", metavar="KEY", help="the GnuPG key that signs the checksums")
    arguments = parser.parse_args()
    try:
        _build(arguments, int(os.environ["SOURCE_DATE_EPOCH"]))
    except (BuildError, subprocess.CalledProcessError) as error:
        print(f"packaging/build: {error}", file=sys.stderr)
        return 1
    return 0


def _build(arguments: argparse.Namespace, epoch: int) -> None:
    work = arguments.work
    program, share = work / "program", work / "share"
    for folder in (work / "pyinstaller", work / "dist", program, share):
        shutil.rmtree(folder, ignore_errors=True)
    _say("PyInstaller collects the program ...")
    spec = Path(__file__).parent / "kidneyseg.spec"
    options = ("--noconfirm", "--log-level", "ERROR", "--distpath", work / "dist", "--workpath", work / "pyinstaller")
    subprocess.run([sys.executable, "-m", "PyInstaller", *options, spec], check=True)
    shutil.move(work / "dist/kidneyseg", program)
    _say("Sample case, licences, bill of materials ...")
    parts = components(work / "pyinstaller/kidneyseg/sources.json")
    finish_program(program, parts, __version__, arguments.commit, epoch)
    lay_out_share(share, arguments.sources / "assets", __version__, epoch)
    _say("Packing the .deb and the .run ...")
    made = [
        build_deb(work / "deb", program, share, parts, __version__, epoch),
        build_run(work / "run", program, share, __version__, epoch),
        *work.glob("wheel/*.whl"),
    ]
    arguments.output.mkdir(parents=True, exist_ok=True)
    made = [Path(shutil.move(path, arguments.output / path.name)) for path in made]
    _check_sums(made, arguments.output, arguments.sign)
    for path in made:
        _say(f"  {path.name}: {path.stat().st_size / 1e6:.0f} MB")
    _say(f"  unpacked: {sum(p.lstat().st_size for p in program.rglob('*') if not p.is_dir()) / 1e6:.0f} MB")


def _check_sums(files: list[Path], folder: Path, key: str | None) -> None:
    lines = sorted(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    sums, signature = folder / "SHA256SUMS", folder / "SHA256SUMS.asc"
    sums.write_text("".join(lines))
    signature.unlink(missing_ok=True)
    if key is None:
        _say("SHA256SUMS is not signed: name a GnuPG key with --sign KEY.")
        return
    command = ("gpg", "--batch", "--yes", "--armor", "--local-user", key, "--output", signature, "--detach-sign", sums)
    subprocess.run(command, check=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
