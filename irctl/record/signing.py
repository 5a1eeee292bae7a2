"""SSH signatures: made with a person's own key, and the file that says whose key is whose.

The format is OpenSSH's own (ssh-keygen -Y, PROTOCOL.sshsig), so that anybody can check a signature without irctl.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from irctl.errors import IrctlError, invalid
from irctl.record.allowed_signers import AllowedKey, read_allowed_signers
from irctl.record.manifest_format import read_file
from irctl.record.verify_command import visible
from irctl.trusted_paths import who_else_may_change

SECONDS = 60  # for one ssh-keygen; a key may have to be asked for
LARGEST = 16 << 20  # bytes of an allowed-signers file


@dataclass(frozen=True)
class AllowedFile:
    """An allowed-signers file: the lines that can be used, a sentence for each of the others, and its sha256."""

    path: Path
    keys: tuple[AllowedKey, ...]
    unused: tuple[str, ...]
    sha256: str


def sign(content: bytes, key: Path, namespace: str) -> str:
    """Sign with this private key, or with the agent where it is a public one; return the armoured signature. Raises IrctlError."""
    with tempfile.TemporaryDirectory(prefix="irctl-sign-") as folder:
        message = Path(folder) / "message"
        message.write_bytes(content)
        done = _keygen("-Y", "sign", "-q", "-f", str(key), "-n", namespace, str(message))
        if done.returncode:
            raise IrctlError(f"signing_key: ssh-keygen cannot sign with it: {_stderr(done)} (got '{key}')")
        return message.with_suffix(".sig").read_text()


def read_allowed(path: Path) -> AllowedFile:
    """Read the allowed-signers file. Raises Invalid where it cannot be read, or somebody else could have written it."""
    try:
        if reason := who_else_may_change(path):
            raise invalid("allowed_signers", reason, path)
        content = read_file(path.resolve(), LARGEST)
    except OSError as error:
        raise invalid("allowed_signers", f"cannot be read: {error.strerror}", path) from None
    keys, unused = read_allowed_signers(content)
    return AllowedFile(path, tuple(keys), tuple(unused), hashlib.sha256(content).hexdigest())


def _keygen(*words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", *words], input=given, capture_output=True, timeout=SECONDS)
    except FileNotFoundError:
        raise IrctlError("ssh-keygen is not on this machine: apt-get install openssh-client") from None
    except subprocess.TimeoutExpired:
        raise IrctlError(f"ssh-keygen did not end within {SECONDS} s") from None


def _stderr(done: subprocess.CompletedProcess[bytes]) -> str:
    return visible(" ".join(done.stderr.decode("utf-8", "replace").split()))[:200]
