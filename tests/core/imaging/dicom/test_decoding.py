"""Compressed frames are decoded elsewhere: what breaks a decoder is one sentence here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from dicom_series import Frames, enhanced, put_pixels, save, slices
from kidneyseg import load
from kidneyseg.errors import Cancelled, InputError
from kidneyseg.imaging.dicom import decoding
from kidneyseg.imaging.dicom.decoding import DecoderPool, Job, compressed_frames
from kidneyseg.imaging.dicom.instances import FileSource, Instance, read_instance
from kidneyseg.imaging.dicom.pixels import pixel_format
from kidneyseg.imaging.dicom.slices import slices_of
from kidneyseg.progress import CallbackProgress, Progress

RLE, JPEG_LOSSLESS, JPEG_LS = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80"


def frames(count: int = 8) -> Frames:
    hu = np.random.default_rng(2).integers(-1000, 900, (count, 32, 32), np.int16)
    return Frames(hu, np.diag([0.8, 0.8, 2.0, 1.0]))


def jobs(folder: Path, count: int = 8) -> tuple[list[Job], Frames]:
    made, found = frames(count), []
    for index, one in enumerate(slices(made)):
        instance = opened(save(one, folder / f"{index}", JPEG_LS))
        with instance.open() as file:
            data = compressed_frames(file, instance, 1)[0]
        found.append(Job(slices_of(instance)[0], pixel_format(instance), data))
    return found, made


def opened(path: Path) -> Instance:
    instance = read_instance(FileSource(path, path.stat().st_size))
    assert instance is not None
    return instance


def test_frames_come_in_order(tmp_path: Path) -> None:
    todo, made = jobs(tmp_path)
    with DecoderPool(Progress()) as pool:
        for numbers, hu in zip(pool.decode(todo), made.hu, strict=True):
            np.testing.assert_array_equal(numbers.astype(int) - 1024, hu)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.57", JPEG_LOSSLESS])
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_jpeg_gives_the_same_volume(tmp_path: Path, syntax: str, signed: bool) -> None:
    """gdcm writes what no other encoder here can."""
    gdcm = pytest.importorskip("gdcm")
    made = frames()
    (tmp_path / "series").mkdir()
    for index, one in enumerate(slices(made)):
        if signed:
            one.PixelRepresentation, one.RescaleIntercept = 1, "0"
            put_pixels(one, made.hu[index])
        plain = save(one, tmp_path / "plain")
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(plain))
        assert reader.Read()
        kind = "JPEGLosslessProcess14" if syntax.endswith("57") else "JPEGLosslessProcess14_1"
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(tmp_path / "series" / f"{index}"))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
    read = load(tmp_path / "series")
    assert read.geometry.headers[0].SOPInstanceUID
    np.testing.assert_array_equal(read.geometry.to_frames(read.hu), made.hu)


def test_frames_in_several_fragments_are_told_apart_by_the_offset_table(tmp_path: Path) -> None:
    one = save(enhanced(frames()), tmp_path / "one", RLE)
    whole = opened(one)
    with whole.open() as file:
        expected = compressed_frames(file, whole, 8)
    header = pydicom.dcmread(one)
    header.PixelData = encapsulate(expected, fragments_per_frame=3, has_bot=True)
    header.save_as(one)
    whole = opened(one)
    with whole.open() as file:
        assert compressed_frames(file, whole, 8) == expected
    header.PixelData = encapsulate(expected, fragments_per_frame=3, has_bot=False)
    header.save_as(one)
    whole = opened(one)
    with whole.open() as file, pytest.raises(InputError, match="where its 8 compressed frames begin"):
        compressed_frames(file, whole, 8)


def test_a_damaged_frame_is_named_and_the_others_are_not_lost(tmp_path: Path) -> None:
    todo, _ = jobs(tmp_path)
    todo[5] = todo[5]._replace(data=todo[5].data[:40])
    with (
        DecoderPool(Progress()) as pool,
        pytest.raises(InputError, match="Image 6 of the series has compressed pixels"),
    ):
        list(pool.decode(todo))


def test_a_frame_that_promises_more_than_memory_is_refused(tmp_path: Path) -> None:
    todo, _ = jobs(tmp_path, 1)
    how = todo[0].how._replace(rows=65535, columns=65535)
    with DecoderPool(Progress()) as pool, pytest.raises(InputError, match="compressed pixels"):
        list(pool.decode([todo[0]._replace(how=how)]))


def answer_of(pool: DecoderPool, job: Job, number: signal.Signals) -> None:
    """Ask a decoder that has got a signal."""
    process = pool._start()
    os.kill(process.pid, number)
    if number == signal.SIGSEGV:
        process.wait()
        decoding._send(process, job)
    pool._receive(process, job)


def test_a_decoder_that_crashes_is_answered(tmp_path: Path) -> None:
    todo, _ = jobs(tmp_path, 1)
    with DecoderPool(Progress()) as pool, pytest.raises(InputError, match="compressed pixels"):
        answer_of(pool, todo[0], signal.SIGSEGV)


def test_a_decoder_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    todo, _ = jobs(tmp_path, 1)
    monkeypatch.setattr(decoding, "_PATIENCE_S", 0.5)
    with DecoderPool(Progress()) as pool, pytest.raises(InputError, match="compressed pixels"):
        answer_of(pool, todo[0], signal.SIGSTOP)
    assert all(process.poll() is not None for process in pool._processes)


def test_decoding_can_be_cancelled_while_a_decoder_hangs(tmp_path: Path) -> None:
    todo, _ = jobs(tmp_path, 1)
    with DecoderPool(CallbackProgress(is_cancelled=lambda: True)) as pool, pytest.raises(Cancelled):
        answer_of(pool, todo[0], signal.SIGSTOP)
    assert all(process.poll() is not None for process in pool._processes)


def test_the_process_ends_with_its_input() -> None:
    command = [sys.executable, "-m", "kidneyseg", "decode-frames"]
    assert subprocess.run(command, input=b"", capture_output=True, timeout=60, check=True).stdout == b""


def test_no_code_is_taken_from_the_folder_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    todo, made = jobs(tmp_path, 1)
    for name in ("kidneyseg", "pydicom", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("import os; os.mkdir('ran')")
    monkeypatch.chdir(tmp_path)
    with DecoderPool(Progress()) as pool:
        (numbers,) = pool.decode(todo)
    np.testing.assert_array_equal(numbers.astype(int) - 1024, made.hu[0])
    assert not (tmp_path / "ran").exists()
