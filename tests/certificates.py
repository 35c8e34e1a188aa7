"""Certificates of this machine alone, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of a certificate for localhost and of its key."""

    certificate: Path
    key: Path


def make_certificate(folder: Path, name: str = "tls") -> Certificate:
    """Make a certificate that signs itself; a machine without openssl skips the test."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-keyout", str(made.key), "-out", str(made.certificate), "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
    )
    return made


def encrypt_key(certificate: Certificate, path: Path) -> Path:
    """Write its key with a password, and return where."""
    _openssl("ec", "-in", str(certificate.key), "-aes256", "-passout", "pass:password", "-out", str(path))
    return path


def _openssl(*arguments: str) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine")
    subprocess.run([openssl, *arguments], check=True, capture_output=True, timeout=30)
