"""DICOM for prove.

`make CT FOLDER SYNTAX...` writes a CT as series, `same EXPECTED FOUND` compares the objects of two folders, and
`serve EXPECTED STUDY SYSTEM` sends a study to the server that is installed in a system and compares what it sends back.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path

import gdcm  # type: ignore[import-untyped]  # which has no types
from pydicom import Dataset, dcmread
from pydicom.uid import SegmentationStorage

import kidneyseg
from dicom_peers import Pacs, send
from dicom_series import frames_of, save, slices
from server_process import ServerProcess, wait_for

UNCOMPRESSED = "1.2.840.10008.1.2.1"
SYNTAXES = {
    "uncompressed": UNCOMPRESSED,
    "jpeg-lossless": "1.2.840.10008.1.2.4.70",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg-2000": "1.2.840.10008.1.2.4.90",
}
TIMES = ("DA", "TM", "DT")


def make(ct: Path, folder: Path, syntaxes: Iterable[str]) -> None:
    """Write the CT as an axial series, once in each of these transfer syntaxes, with the same identifiers."""
    series = slices(frames_of(kidneyseg.load(ct)), "2.25.1", study="2.25.2")
    for number, one in enumerate(series):
        one.SOPInstanceUID = f"2.25.3.{number}"
    for name in syntaxes:
        for number, one in enumerate(series):
            file = folder / name / f"{number:04}.dcm"
            if name == "jpeg-lossless":  # which pydicom cannot write
                _save_jpeg(save(one, file), SYNTAXES[name])
            else:
                save(deepcopy(one), file, SYNTAXES[name])  # which compresses its pixels


def _save_jpeg(file: Path, syntax: str) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(file))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    writer = gdcm.ImageWriter()
    if not reader.Read():
        raise OSError(f"gdcm cannot read {file}")
    change.SetInput(reader.GetImage())
    writer.SetFileName(str(file))
    writer.SetFile(reader.GetFile())
    if change.Change():
        writer.SetImage(change.GetOutput())
        if writer.Write():
            return
    raise OSError(f"gdcm cannot write {file}")


def differences(expected: Path, found: Path) -> Iterator[str]:
    """What differs between the objects of two folders, but for dates and times."""
    names = [sorted(path.name for path in folder.glob("*.dcm")) for folder in (expected, found)]
    if names[0] != names[1] or not names[0]:
        yield f"the files are {names[1]}, not {names[0]}"
        return
    for name in names[0]:
        ours, theirs = (_without_times(dcmread(folder / name)) for folder in (expected, found))
        if ours != theirs:
            yield f"{name}: " + ", ".join(str(e.tag) for e in ours if e.tag not in theirs or theirs[e.tag] != e)


def _without_times(dataset: Dataset) -> Dataset:
    dataset.walk(lambda within, element: within.__delitem__(element.tag) if element.VR in TIMES else None)
    return dataset


def serve(expected: Path, study: Path, system: str) -> Iterator[str]:
    """What is wrong with the results of `kidneyseg serve-dicom`, which is killed between receiving and sending."""
    user = ("HOME=/home/reader", "PATH=/usr/bin:/bin", "LANG=C.UTF-8")
    start = ("chroot", "--userspec=1000:1000", system, "env", "-i", *user, "kidneyseg")
    with Pacs() as pacs:
        options = ("--queue", "/home/reader/queue", "--send-to", pacs.peer, "--port", "0", "--settle", "2")
        with ServerProcess("serve-dicom", *options, start=start) as server:
            statuses = set(send(server.port, sorted(study.iterdir())))
            server.kill()
        if statuses != {0}:
            yield f"the server answered {statuses}"
            return
        with ServerProcess("serve-dicom", *options, start=start) as server:
            wait_for(lambda: len(pacs.received) == 2)
            if code := server.stop():
                yield f"it ended with {code}"
    with tempfile.TemporaryDirectory() as folder:
        wanted, found = Path(folder) / "wanted", Path(folder) / "found"
        for place in (wanted, found):
            place.mkdir()
        for one in pacs.received:
            name = "seg.dcm" if one.SOPClassUID == SegmentationStorage else "sr.dcm"
            one.save_as(found / name, enforce_file_format=True)
        for name in ("seg.dcm", "sr.dcm"):
            (wanted / name).write_bytes(next(expected.glob(f"*_{name}")).read_bytes())
        yield from differences(wanted, found)


def main() -> int:
    """Do what the first argument says. Returns the exit status."""
    command, first, second, *more = sys.argv[1:]
    if command == "make":
        make(Path(first), Path(second), more)
        return 0
    if command == "serve":
        found = list(serve(Path(first), Path(second), more[0]))
    else:
        found = list(differences(Path(first), Path(second)))
    print(*found or [f"{len(list(Path(second).glob('*.dcm')))} files"], sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
