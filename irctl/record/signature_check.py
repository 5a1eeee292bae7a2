"""An SSH signature: whether it is of this content, whose it is, and whether its key was valid when it was made.

Part of verify.py: it needs Python 3.8 or later, the standard library, and ssh-keygen, which is the judge.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irctl.record.allowed_signers import AllowedKey, fingerprint_of, ssh_strings
from irctl.record.contents import Difference
from irctl.record.manifest_format import LARGEST_SIGNATURE, NAMESPACE, SIGNATURE, TIMESTAMP, canonical, read_file, stamped_of

BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"\n-----END SSH SIGNATURE-----\n"
VALIDITY = ("valid-after", "valid-before")
SECONDS = 60  # for one ssh-keygen


@dataclass(frozen=True)
class Verdict:
    """What a signature proves. `fault` is '' where it holds, else changed, unknown, expired or forbidden, and `reason` says why.

    `key` is the fingerprint; `signer` the line that names it, None where there is none. `retired` says that the key was valid
    at the time asked about and is not valid now.
    """

    key: str
    signer: AllowedKey | None = None
    fault: str = ""
    reason: str = ""
    retired: str = ""


def judge_signature(content: bytes, armour: bytes, namespace: str, allowed: Sequence[AllowedKey] | None, at: str = "") -> Verdict:
    """Judge a signature at a time such as 20261121022311Z, '' for now; without `allowed` only whether it fits the content.

    Raises SubprocessError where ssh-keygen cannot be run.
    """
    key, purpose = key_and_namespace(armour)
    if not key:
        return Verdict("", fault="changed", reason="it is no signature as OpenSSH writes one")
    if purpose != namespace:
        return Verdict(key, fault="forbidden", reason=f"it was made for the namespace {purpose!r:.80}, not for {namespace}")
    if not _is_good(_keygen(content, armour, "-Y", "check-novalidate", "-n", namespace)):
        return Verdict(key, fault="changed", reason="it is not a signature of these words")
    if allowed is None:
        return Verdict(key)
    verdict = Verdict(key, fault="unknown", reason=f"nobody is named with the key {key}")
    for line in allowed:
        if line.fingerprint == key:
            verdict = _judge_line(content, armour, namespace, line, at)
            if not verdict.fault:
                break
    return verdict


def _judge_line(content: bytes, armour: bytes, namespace: str, line: AllowedKey, at: str) -> Verdict:
    if _verifies(content, armour, namespace, line.as_line(("namespaces", *VALIDITY)), at):
        dates = [f"{name} {value}" for name, value in line.options if name in VALIDITY]
        valid = not at or not dates or _verifies(content, armour, namespace, line.as_line(("namespaces", *VALIDITY)), "")
        return Verdict(line.fingerprint, line, retired="" if valid else f"{' and '.join(dates)}, line {line.line}")
    options = ", ".join(f'{name}="{value}"' for name, value in line.options)
    if not _verifies(content, armour, namespace, line.as_line(()), ""):
        return Verdict(line.fingerprint, line, "changed", "ssh-keygen does not accept it")
    if not _verifies(content, armour, namespace, line.as_line(("namespaces",)), ""):
        why = f"the key of {line.who} may not sign for {namespace} (line {line.line}: {options})"
        return Verdict(line.fingerprint, line, "forbidden", why)
    when = f"on {at}" if at else "now"
    return Verdict(line.fingerprint, line, "expired", f"the key of {line.who} is not valid {when} (line {line.line}: {options})")


def _verifies(content: bytes, armour: bytes, namespace: str, allowed: str, at: str) -> bool:
    with tempfile.NamedTemporaryFile(prefix="irctl-verify-") as file:
        file.write(allowed.encode())
        file.flush()
        words = ["-Y", "verify", "-f", file.name, "-I", "signer", "-n", namespace]
        words += ["-O", f"verify-time={at}"] if at and "valid-" in allowed else []
        return _is_good(_keygen(content, armour, *words))


def _is_good(done: subprocess.CompletedProcess[bytes]) -> bool:
    """Not by the return code alone: where SIGCHLD is ignored, which is inherited, every child seems to have ended with 0."""
    return done.returncode == 0 and done.stdout.startswith(b"Good ")


def _keygen(content: bytes, armour: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    with tempfile.NamedTemporaryFile(prefix="irctl-verify-") as file:
        file.write(armour)
        file.flush()
        command = ["ssh-keygen", *words, "-s", file.name]
        try:
            return subprocess.run(command, input=content, capture_output=True, timeout=SECONDS, check=False)
        except OSError as error:
            raise subprocess.SubprocessError(f"ssh-keygen cannot be run: {error.strerror}") from None


def key_of(armour: bytes) -> str:
    """The fingerprint of the key in an SSHSIG, or '' where it is not, byte for byte, as OpenSSH writes one for evidence."""
    key, namespace = key_and_namespace(armour)
    return key if namespace == NAMESPACE else ""


def key_and_namespace(armour: bytes) -> tuple[str, str]:
    """The fingerprint of the key in an SSHSIG and its namespace; '' and '' where its bytes are not as OpenSSH writes them."""
    try:
        blob = base64.b64decode(armour[len(BEGIN) : -len(END)].replace(b"\n", b""), validate=True)
        if blob[:10] != b"SSHSIG\0\0\0\1":
            return "", ""
        fields = ssh_strings(blob[10:])  # public key, namespace, reserved, hash algorithm, signature
        text = base64.b64encode(blob)
        wrapped = b"\n".join(text[at : at + 70] for at in range(0, len(text), 70))
        sound = armour == BEGIN + wrapped + END and len(fields) == 5 and fields[2] == b"" and fields[3] in (b"sha256", b"sha512")
        return (fingerprint_of(fields[0]), fields[1].decode("ascii")) if sound else ("", "")
    except (ValueError, IndexError, struct.error):
        return "", ""


# The signature and the timestamp of a pack


def signature_differences(
    folder: Path, manifest: dict[str, Any], allowed: Sequence[AllowedKey] | None = None, at: str = ""
) -> tuple[list[Difference], Verdict]:
    """Whether the signature is the one that the manifest promises, and was that of an allowed key when the pack was sealed.

    `at` is another time to judge it at than the one that the manifest names.
    """
    path = folder / SIGNATURE
    if not manifest["signed"]:
        why = "it was sealed without one" if allowed is not None else ""
        return _unsigned(os.path.lexists(path), why), Verdict("")
    try:
        armour = read_file(path, LARGEST_SIGNATURE)
        when = at or manifest["sealed"].replace("-", "").replace(":", "").replace("T", "")[:14] + "Z"
        verdict = judge_signature(canonical(manifest) + b"\n", armour, NAMESPACE, allowed, when)
    except FileNotFoundError:
        return [Difference("missing", SIGNATURE)], Verdict("")
    except subprocess.SubprocessError as error:
        return [Difference("unchecked", f"{SIGNATURE}: {error}")], Verdict("")
    except OSError:
        return [Difference("changed", SIGNATURE)], Verdict("")
    if verdict.key != manifest["signed"] or verdict.fault == "changed":
        return [Difference("changed", SIGNATURE)], Verdict("")
    return ([Difference(verdict.fault, f"{SIGNATURE} ({verdict.reason})")] if verdict.fault else []), verdict


def _unsigned(added: bool, why: str) -> list[Difference]:
    if added:
        return [Difference("added", SIGNATURE)]
    return [Difference("unsigned", f"{SIGNATURE} ({why})")] if why else []


def timestamp_differences(folder: Path, manifest: dict[str, Any]) -> list[Difference]:
    """Whether the token is the one that was sealed, and is for this manifest. Who made it, only openssl can say."""
    stamp, path = manifest["timestamp"], folder / TIMESTAMP
    if not stamp:
        return [Difference("added", TIMESTAMP)] if os.path.lexists(path) else []
    try:
        content = read_file(path, LARGEST_SIGNATURE)
    except FileNotFoundError:
        return [Difference("missing", TIMESTAMP)]
    except OSError:
        return [Difference("changed", TIMESTAMP)]
    actual = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "of": stamped_of(manifest)}
    return [] if actual == stamp and bytes.fromhex(stamp["of"]) in content else [Difference("changed", TIMESTAMP)]
