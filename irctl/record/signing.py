"""SSH signatures: made with a person's own key, checked against a file that says whose key is whose and who may approve what.

The format is OpenSSH's own (ssh-keygen -Y, PROTOCOL.sshsig), so that anybody can check a signature without irctl.
"""

from __future__ import annotations

import re
import stat
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from irctl.errors import Invalid, IrctlError, invalid

PRINCIPAL = re.compile(r"[a-z0-9][a-z0-9._+@-]{0,99}", re.ASCII)
ROLE = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
SECONDS = 60  # for one ssh-keygen; a key may have to be asked for


@dataclass(frozen=True)
class Signer:
    """One line of the allowed-signers file: who, with which public key ('ssh-ed25519 AAAA...'), in which roles.

    `options` are OpenSSH's, such as valid-before="20270101".
    """

    principal: str
    key: str
    roles: frozenset[str]
    options: str = ""


def sign(content: bytes, key: Path, namespace: str) -> str:
    """Sign with this private key, or with the agent where it is a public one; return the armoured signature. Raises IrctlError."""
    with tempfile.TemporaryDirectory(prefix="irctl-sign-") as folder:
        message = Path(folder) / "message"
        message.write_bytes(content)
        done = _keygen("-Y", "sign", "-q", "-f", str(key), "-n", namespace, str(message))
        if done.returncode:
            raise IrctlError(f"signing_key: ssh-keygen cannot sign with it: {_said(done)} (got '{key}')")
        return message.with_suffix(".sig").read_text()


def signer_of(content: bytes, signature: str, allowed: Path, namespace: str) -> str:
    """The principal whose valid signature of this content it is, or ''. Raises Invalid where the file is of no use."""
    with tempfile.TemporaryDirectory(prefix="irctl-sign-") as folder:
        path = Path(folder) / "signature"
        path.write_text(signature)
        for signer in signers(allowed):
            line = Path(folder) / "allowed"
            line.write_text(f"{signer.principal} {signer.options} {signer.key}\n")
            words = ("-Y", "verify", "-q", "-f", str(line), "-I", signer.principal, "-n", namespace, "-s", str(path))
            if _keygen(*words, given=content).returncode == 0:
                return signer.principal
    return ""


def signers(allowed: Path) -> list[Signer]:
    """Read the allowed-signers file: `principal [options] key-type key roles=ROLE,ROLE`. Raises Invalid."""
    try:
        about = allowed.stat()
        lines = allowed.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise invalid("allowed_signers", f"cannot be read: {error}", allowed) from None
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise invalid("allowed_signers", "others can write to it, so it proves nothing; chmod go-w", allowed)
    found = list(_signers(lines, allowed))
    for attribute in ("principal", "key"):
        values = [getattr(signer, attribute) for signer in found]
        if twice := next((value for value in values if values.count(value) > 1), ""):
            raise invalid("allowed_signers", f"a {attribute} stands in it twice", twice)
    return found


def _signers(lines: list[str], path: Path) -> Iterator[Signer]:
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        at = next((place for place, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-", "sk-"))), 0)
        if not PRINCIPAL.fullmatch(words[0]) or not at or len(words) <= at + 1:
            why = "one principal in lower case, a key type, a key and roles=... are needed"
            raise Invalid(f"{path}: line {number}: {why}")
        said = [word.removeprefix("roles=") for word in words[at + 2 :] if word.startswith("roles=")]
        roles = frozenset(role for part in said for role in part.split(",") if role)
        if bad := next((role for role in roles if not ROLE.fullmatch(role)), ""):
            raise Invalid(f"{path}: line {number}: not the name of a role: {bad!r}")
        options = " ".join(words[1:at])
        if "cert-authority" in options:
            raise Invalid(f"{path}: line {number}: cert-authority is not taken; name each person's own key")
        yield Signer(words[0], " ".join(words[at : at + 2]), roles, options)


def folded(principal: str) -> str:
    """The form in which two names for one person are the same: letter case, width and accents do not tell people apart."""
    plain = unicodedata.normalize("NFKD", principal)
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold()


def fingerprint(key: str) -> str:
    """'SHA256:...' of a public key. Raises IrctlError."""
    done = _keygen("-l", "-f", "-", given=key.encode())
    if done.returncode:
        raise IrctlError(f"not a public key: {_said(done)}")
    return done.stdout.decode().split()[1]


def _keygen(*words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", *words], input=given, capture_output=True, timeout=SECONDS)
    except FileNotFoundError:
        raise IrctlError("ssh-keygen is not on this machine: apt-get install openssh-client") from None
    except subprocess.TimeoutExpired:
        raise IrctlError(f"ssh-keygen did not end within {SECONDS} s") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join(done.stderr.decode("utf-8", "replace").split())[:200].encode("unicode_escape").decode()
