"""Real keys for the tests of signatures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of ana and ben, and one of ana's inside a certificate, made by a key called ca."""
    folder = tmp_path_factory.mktemp("people")
    for who in ("ana", "ben", "ca"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / who], check=True)
    words = ["ssh-keygen", "-q", "-s", folder / "ca", "-I", "ana", "-n", "ben@example.com", folder / "ana.pub"]
    subprocess.run(words, check=True)
    return folder
