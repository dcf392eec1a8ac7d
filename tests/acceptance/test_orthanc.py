"""A real PACS: Orthanc sends a real CT to the server and gets the segmentation and the report back, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from certificates import Certificates, make_certificates
from dicom_readers import by_hand
from dicom_series import frames_of, write_series
from kidneyseg.imaging.nifti import load_volume
from server_process import ServerProcess, wait_for

PROGRAM = shutil.which("Orthanc", path=os.environ["PATH"] + ":/usr/sbin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not installed (apt-get install orthanc)")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Orthanc:
    """A running Orthanc and its REST interface."""

    def __init__(self, folder: Path, server_port: int, tls: Certificates) -> None:
        self._http, self.port = free_port(), free_port()
        peer = {"AET": "KIDNEYSEG", "Host": "localhost", "Port": server_port, "UseDicomTls": True}
        settings: dict[str, Any] = {
            **{"Name": "test", "StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store")},
            **{"HttpPort": self._http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": []},
            **{"DicomPort": self.port, "DicomAet": "ORTHANC", "DicomCheckCalledAet": True},
            **{"DicomModalities": {"kidneyseg": peer}, "DicomTlsEnabled": True},
            **{"DicomTlsCertificate": str(tls.peer.certificate), "DicomTlsPrivateKey": str(tls.peer.key)},
            "DicomTlsTrustedCertificates": str(tls.authority),
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        self._folder = folder

    @contextmanager
    def run(self) -> Iterator[Orthanc]:
        assert PROGRAM is not None
        with (self._folder / "orthanc.log").open("wb") as log:
            process = subprocess.Popen([PROGRAM, self._folder / "orthanc.json"], stdout=log, stderr=log)
        try:
            wait_for(self._answers)
            yield self
        finally:
            process.kill()
            process.wait()

    def get(self, path: str) -> Any:
        return json.loads(self.read(path))

    def read(self, path: str, body: bytes | None = None) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}{path}", body, timeout=120) as answer:
            content: bytes = answer.read()
            return content

    def objects(self, modality: str) -> list[str]:
        """The identifiers of all instances of a modality."""
        series = self.get("/series?expand")
        return [one for of in series if of["MainDicomTags"]["Modality"] == modality for one in of["Instances"]]

    def _answers(self) -> bool:
        try:
            return bool(self.get("/system"))
        except OSError:
            return False


def test_a_real_ct_goes_from_orthanc_by_tls_and_its_mask_comes_back(data_dir: Path, tmp_path: Path) -> None:
    tls = make_certificates(tmp_path)
    volume = load_volume(data_dir / "btcv" / "btcv0033_ct.nii.gz")
    files = write_series(tmp_path / "study", frames_of(volume))
    server_port = free_port()
    orthanc = Orthanc(tmp_path, server_port, tls)
    own = ("--tls-cert", tls.own.certificate, "--tls-key", tls.own.key, "--tls-ca", tls.authority)
    peer = f"ORTHANC@localhost:{orthanc.port}"
    options = ("--queue", tmp_path / "queue", "--port", str(server_port), "--allow", "ORTHANC", "--settle", "1")
    with orthanc.run(), ServerProcess("serve-dicom", "--send-to", peer, *options, *own) as running:
        for path in files:
            orthanc.read("/instances", path.read_bytes())
        [study] = orthanc.get("/studies")
        orthanc.read("/modalities/kidneyseg/store", study.encode())
        running.wait_for_state("done")
        assert orthanc.get("/studies") == [study], "the results belong to the study"
        found = {}
        for modality in ("SEG", "SR"):
            [instance] = orthanc.objects(modality)
            found[modality] = tmp_path / f"{modality}.dcm"
            found[modality].write_bytes(orthanc.read(f"/instances/{instance}/file"))
        orthanc.read("/modalities/kidneyseg/store", study.encode())  # with the results, which are left
        running.wait_for_state("done", 2)
        assert len(orthanc.objects("SEG")) == len(orthanc.objects("SR")) == 1, "the same objects"
    command = [sys.executable, "-m", "kidneyseg", "segment", tmp_path / "study", "-o", tmp_path / "alone"]
    (tmp_path / "alone").mkdir()
    subprocess.run([*command, "--format", "seg,sr"], check=True, capture_output=True, timeout=240)
    same(found["SEG"], tmp_path / "alone" / "study_seg.dcm", lambda one: one.PixelData)
    same(found["SR"], tmp_path / "alone" / "study_sr.dcm", lambda one: one.ContentSequence)
    points = by_hand(found["SEG"])
    assert sum(map(len, points.values())) > 10_000
    assert points["Left kidney"][:, 0].mean() > points["Right kidney"][:, 0].mean()
    assert np.isfinite(points["Left kidney"]).all()


def same(one: Path, other: Path, content: Callable[[Any], Any]) -> None:
    first, second = pydicom.dcmread(one), pydicom.dcmread(other)
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert content(first) == content(second)
