"""Certificates for tests of TLS, made by the program openssl: an authority, two that it signed, and a stranger's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest


class Signed(NamedTuple):
    """A certificate and its key, in PEM files."""

    certificate: Path
    key: Path


class Certificates(NamedTuple):
    """Files of one authority. All certificates are for `localhost` and 127.0.0.1."""

    authority: Path
    own: Signed
    peer: Signed
    stranger: Signed  #: of no authority
    locked_key: Path  #: of `own`, with a password


def make_certificates(folder: Path) -> Certificates:
    """Make them, or skip the test where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("no program openssl to make certificates with")
    names = ("subjectAltName=DNS:localhost,IP:127.0.0.1", "basicConstraints=critical,CA:FALSE")

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)

    def request(name: str, *more: str | Path) -> Signed:
        made = Signed(folder / f"{name}.pem", folder / f"{name}.key")
        new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        openssl(*new, "-subj", f"/CN={name}", "-keyout", made.key, "-out", made.certificate, *more)
        return made

    authority = request("authority")
    signed = ["-CA", authority.certificate, "-CAkey", authority.key, "-addext", names[0], "-addext", names[1]]
    own, peer = (request(name, *signed) for name in ("own", "peer"))
    stranger = request("stranger", "-addext", names[0])
    openssl("pkey", "-in", own.key, "-aes128", "-passout", "pass:secret", "-out", folder / "locked.key")
    return Certificates(authority.certificate, own, peer, stranger, folder / "locked.key")
