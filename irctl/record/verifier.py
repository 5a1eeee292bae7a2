"""Check a sealed folder of irctl, or a copy of one: python3 verifier.py FOLDER [--allowed-signers FILE].

It needs Python 3.9 or later and, for a signed pack, ssh-keygen; nothing else of irctl, no network. A pack carries a copy of
this file as verify.py: whoever may have changed the pack may have changed that too, so bring your own to be sure.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]  # the folder of this file, which is what is to be checked: nothing in it may be imported

import argparse
import base64
import hashlib
import json
import os
import re
import stat
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

SCHEMA = "irctl/manifest/1"
NAMESPACE = "irctl-evidence"
MANIFEST, SIGNATURE, TIMESTAMP, JOURNAL = "manifest.json", "manifest.json.sig", "manifest.json.tsr", "journal.jsonl"
APART = {MANIFEST, SIGNATURE, TIMESTAMP, JOURNAL}  # of a pack; what the manifest does not list as a file
FIRST = "0" * 64
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9][a-z0-9-]{0,60}-[0-9a-f]{6}", re.ASCII)
INCIDENT_ID = re.compile(r"INC-[0-9]{4}-[0-9]{4}-[0-9]{3}", re.ASCII)
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}", re.ASCII)
OF_BOTH = {"schema", "sealed", "files", "empty", "digest"}
OF_A_PACK = {"incident", "previous", "journal", "signed", "timestamp"}
LARGEST_MANIFEST = 256 << 20
LARGEST_SIGNATURE = 64 << 10
BUFFER = 1 << 20
OK, NOT_AS_SEALED = 0, 8


class NotSealed(Exception):
    """The folder has no manifest that sealing could have written. One line."""


@dataclass(frozen=True)
class Difference:
    """One thing in a folder that is not as its manifest says: changed, missing, added or reordered."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


@dataclass
class Report:
    """What checking a folder found. `later` are the journal's lines after the sealed ones, as far as their chain holds."""

    about: dict[str, Any]
    digest: str
    differences: list[Difference] = field(default_factory=list)
    later: list[Difference] = field(default_factory=list)
    signer: str = ""

    @property
    def name(self) -> str:
        """The run's or the incident's id."""
        return str(self.about.get("incident") or self.about["run"])


def canonical(document: Any) -> bytes:
    """The one byte form of a JSON document that hashes are taken of."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def check(folder: Path, allowed: Path | None = None) -> Report:
    """Hold a folder against its manifest: files, journal, timestamp, signature. Raises NotSealed."""
    about, digest = manifest(folder)
    report = Report(about, digest, differences(folder, about))
    if "incident" in about:
        found, report.later = _journal_of(folder, **about["journal"])
        report.differences += found
        report.differences += _timestamp_differences(folder, about)
        found, report.signer = signature_differences(folder, about, allowed)
        report.differences += found
    return report


# The manifest


def manifest(folder: Path) -> tuple[dict[str, Any], str]:
    """Read a folder's manifest and its sha256. Raises NotSealed where it is not, byte for byte, one that sealing wrote."""
    path = folder / MANIFEST
    try:
        content = _content(path, LARGEST_MANIFEST)
        found = json.loads(content, object_pairs_hook=_no_twice)
        wrong = _wrong(found) or (
            "" if canonical(found) + b"\n" == content else "its bytes are not in the form that sealing writes"
        )
    except FileNotFoundError:
        raise NotSealed(f"{folder} is not sealed: it has no {MANIFEST}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        wrong = " ".join(str(error).split())[:120] or type(error).__name__
    if wrong:
        raise NotSealed(f"{path} is not a manifest: {wrong}")
    return found, hashlib.sha256(content).hexdigest()


def _wrong(found: dict[str, Any]) -> str:
    """Why this is no manifest, or ''. May raise what reading a shape that it does not have raises."""
    pack = "incident" in found
    if found["schema"] != SCHEMA:
        return "its schema is unknown"
    if set(found) != OF_BOTH | (OF_A_PACK if pack else {"run"}):
        return "it lacks a key or has one too many"
    if not (INCIDENT_ID.fullmatch(found["incident"]) if pack else RUN_ID.fullmatch(found["run"])):
        return "not the id of a run or an incident"
    if not TIME.fullmatch(found["sealed"]):
        return "not the time of a sealing"
    if not all(_inside(name) for name in [*found["files"], *found["empty"]]) or found["empty"] != sorted(set(found["empty"])):
        return "it names a file outside its folder"
    if pack and not _sound_pack(found):
        return "what it says about the pack is malformed"
    if not all(_sound_file(about) for about in found["files"].values()) or not HASH.fullmatch(found["digest"]):
        return "a hash or a size is malformed"
    return "" if found["digest"] == digest_of(found) else "its own content is not what its digest says"


def _sound_file(about: dict[str, Any]) -> bool:
    sound = set(about) == {"sha256", "bytes"} and type(about["bytes"]) is int and about["bytes"] >= 0
    return bool(sound and HASH.fullmatch(about["sha256"]))


def _sound_pack(found: dict[str, Any]) -> bool:
    head, stamp = found["journal"], found["timestamp"]
    return bool(
        set(head) == {"seq", "head"}
        and (type(head["seq"]) is int and head["seq"] > 0 and HASH.fullmatch(head["head"]))
        and (found["previous"] is None or HASH.fullmatch(found["previous"]))
        and (found["signed"] is None or KEY.fullmatch(found["signed"]))
        and (stamp is None or (_sound_file({key: stamp[key] for key in set(stamp) - {"of"}}) and HASH.fullmatch(stamp["of"])))
        and not APART & set(found["files"])
    )


def digest_of(about: dict[str, Any]) -> str:
    """The hash of a manifest's content, without the field that holds it."""
    return hashlib.sha256(canonical({key: value for key, value in about.items() if key != "digest"})).hexdigest()


def stamped_of(about: dict[str, Any]) -> str:
    """The hash that a timestamp is for: the manifest's content as it was before the timestamp came."""
    return digest_of({**about, "timestamp": None})


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and path.as_posix() == name and "\0" not in name


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands in it twice")
    return dict(pairs)


def _content(path: Path, most: int = 1 << 40) -> bytes:
    """A regular file's bytes; links are not followed, pipes not waited for. Raises OSError."""
    descriptor = _open(path)
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > most:
            raise OSError(0, "it is too large", str(path))
        return file.read()


def _open(path: str | os.PathLike[str]) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file", str(path))
    return descriptor


# Files


def differences(folder: Path, about: dict[str, Any]) -> list[Difference]:
    """Hold every file and empty folder against a manifest."""
    listed, empty = about["files"], set(about["empty"])
    there, nothing_in = contents(folder)
    there -= APART if "incident" in about else {MANIFEST}
    same = digests(folder, [name for name in listed if name in there], listed)
    found = [Difference("missing", name) for name in listed if name not in there]
    found += [Difference("added", name) for name in there if name not in listed]
    found += [Difference("changed", name) for name in listed if name in there and same.get(name) != listed[name]]
    found += [Difference("missing", f"{name}/") for name in empty - nothing_in if not (folder / name).is_dir()]
    emptied = {str(parent) for name in listed for parent in PurePosixPath(name).parents}
    found += [Difference("added", f"{name}/") for name in nothing_in - empty - emptied]
    return sorted(found, key=lambda difference: (difference.name, difference.kind))


def contents(folder: Path) -> tuple[set[str], set[str]]:
    """The names of all files, links and other things below a folder, and of the folders with nothing in them."""
    files: set[str] = set()
    empty: set[str] = set()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, below)) as entries:
                found = list(entries)
        except OSError:  # it cannot be looked into, so nothing in it is there
            found = []
        if below and not found:
            empty.add(below)
        for entry in found:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append(name)
            else:
                files.add(name)
    return files, empty


def digests(folder: Path, names: Iterable[str], expected: dict[str, Any] | None = None) -> dict[str, dict[str, Any] | None]:
    """Size and sha256 of each file, on all processors; None for one that cannot be read or has not the expected size."""
    found: dict[str, dict[str, Any] | None] = {}
    left = iter(list(names))
    workers = [threading.Thread(target=_hash_some, args=(folder, left, expected, found)) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


def _hash_some(folder: Path, left: Iterator[str], expected: dict[str, Any] | None, found: dict[str, Any]) -> None:
    buffer = memoryview(bytearray(BUFFER))
    for name in left:
        try:
            found[name] = _digest(os.path.join(folder, name), expected[name]["bytes"] if expected else None, buffer)
        except (OSError, ValueError):
            found[name] = None


def _digest(path: str, expected: int | None, buffer: memoryview) -> dict[str, Any] | None:
    descriptor = _open(path)
    try:
        if expected is not None and os.fstat(descriptor).st_size != expected:
            return None
        digest, size = hashlib.sha256(), 0
        while read := os.readv(descriptor, [buffer]):
            digest.update(buffer[:read])
            size += read
        return {"sha256": digest.hexdigest(), "bytes": size}
    finally:
        os.close(descriptor)


# The journal


@dataclass(frozen=True)
class Line:
    """One line of a journal: where it stands, what it is, and which number and chain it claims."""

    at: int
    hash: str
    seq: int
    prev: str


def lines_of(folder: Path) -> list[Line]:
    """The lines of a folder's journal; none where it cannot be read."""
    try:
        return lines(_content(folder / JOURNAL))
    except OSError:
        return []


def lines(content: bytes) -> list[Line]:
    """The lines of a journal; one that claims no number has 0, and one that claims no chain ''."""
    found = []
    for at, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            entry = json.loads(line)
            seq, prev = entry["seq"], entry["prev"]
            sound = type(seq) is int and seq > 0 and isinstance(prev, str)
        except (ValueError, KeyError, TypeError, RecursionError):
            sound = False
        found.append(Line(at, hashlib.sha256(line).hexdigest(), seq if sound else 0, prev if sound else ""))
    return found


def _journal_of(folder: Path, seq: int, head: str) -> tuple[list[Difference], list[Difference]]:
    try:
        return journal_differences(_content(folder / JOURNAL), seq, head)
    except FileNotFoundError:
        return [Difference("missing", JOURNAL)], []
    except OSError:
        return [Difference("changed", JOURNAL)], []


def journal_differences(content: bytes, seq: int, head: str) -> tuple[list[Difference], list[Difference]]:
    """What is wrong with a journal whose line `seq` was sealed with the hash `head`, and the lines that follow in its chain."""
    there = lines(content)
    whole = _chained(there)
    torn = [_line("changed", f"line {len(there) + 1} has no end")] if not content.endswith(b"\n") and content else []
    if whole >= seq and there[seq - 1].hash == head:
        later = [_line("added", f"line {line.at} is later than the seal") for line in there[seq:whole]]
        return [_line("added", f"line {line.at}") for line in there[whole:]] + torn, later
    return (_named(there, seq, head) or [_line("changed", "the chain of its lines is broken")]) + torn, []


def _line(kind: str, what: str) -> Difference:
    return Difference(kind, f"{JOURNAL}: {what}")


def _chained(there: list[Line]) -> int:
    """How many lines from the first on are numbered and chained as they must be."""
    previous = FIRST
    for number, line in enumerate(there, 1):
        if line.seq != number or line.prev != previous:
            return number - 1
        previous = line.hash
    return len(there)


def _named(there: list[Line], seq: int, head: str) -> list[Difference]:
    """Follow the chain back from the sealed head, and name each line that is not where and what it was."""
    left = _Left(there)
    genuine: dict[int, int] = {}
    changed, missing = [], []
    expected = head
    for number in range(seq, 0, -1):
        # where the line after this one is lost, its hash is lost too, and its own claim is all there is
        if line := left.take_hash(expected) if expected else left.take_claim(number):
            genuine[number] = line.at
        elif line := left.take_claim(number) or left.take_place(number, seq):
            changed.append(number)
        else:
            missing.append(number)
        expected = line.prev if line else ""
    found = [_line("changed", f"line {number}") for number in reversed(changed)] + _missing(missing[::-1], seq)
    numbers, places = sorted(genuine), sorted(genuine.values())
    found += [_line("reordered", f"line {genuine[n]} was line {n}") for i, n in enumerate(numbers) if genuine[n] != places[i]]
    return found + [_line("added", f"line {at}") for at in sorted(left.places)]


class _Left:
    """The lines that are not accounted for yet."""

    def __init__(self, there: list[Line]) -> None:
        self.places = {line.at: line for line in there}
        self._hashes: dict[str, list[Line]] = {}
        self._claims: dict[int, list[Line]] = {}
        for line in reversed(there):
            self._hashes.setdefault(line.hash, []).append(line)
            self._claims.setdefault(line.seq, []).append(line)

    def take_hash(self, expected: str) -> Line | None:
        return self._take(self._hashes.get(expected, []))

    def take_claim(self, number: int) -> Line | None:
        return self._take(self._claims.get(number, []))

    def take_place(self, number: int, seq: int) -> Line | None:
        """The line in this place, where its own number is none or is claimed by another line too."""
        line = self.places.get(number)
        odd = line and (not 0 < line.seq <= seq or len(self._claims[line.seq]) > 1)
        return self.places.pop(number) if odd else None

    def _take(self, lines: list[Line]) -> Line | None:
        while lines:
            line = lines.pop()
            if self.places.pop(line.at, None):
                return line
        return None


def _missing(numbers: list[int], seq: int) -> list[Difference]:
    tail = 0
    while numbers and numbers[-1] == seq - tail:
        numbers.pop()
        tail += 1
    found = [_line("missing", f"line {number}") for number in numbers]
    return found + ([_line("missing", missing_at_the_end(tail))] if tail else [])


def missing_at_the_end(number: int) -> str:
    """So many lines, in words."""
    return f"{number} lines are missing at the end" if number > 1 else "1 line is missing at the end"


# The timestamp and the signature


def _timestamp_differences(folder: Path, about: dict[str, Any]) -> list[Difference]:
    """Whether the token is the one that was sealed, and is for this manifest. Who made it, only openssl can say."""
    stamp, path = about["timestamp"], folder / TIMESTAMP
    if not stamp:
        return [Difference("added", TIMESTAMP)] if os.path.lexists(path) else []
    try:
        content = _content(path, LARGEST_SIGNATURE)
    except FileNotFoundError:
        return [Difference("missing", TIMESTAMP)]
    except OSError:
        return [Difference("changed", TIMESTAMP)]
    sealed = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "of": stamped_of(about)}
    return [] if sealed == stamp and bytes.fromhex(stamp["of"]) in content else [Difference("changed", TIMESTAMP)]


def signature_differences(folder: Path, about: dict[str, Any], allowed: Path | None = None) -> tuple[list[Difference], str]:
    """Whether the signature is the one that the manifest promises, and who made it: a principal of `allowed`, or a key."""
    path = folder / SIGNATURE
    if not about["signed"]:
        return ([Difference("added", SIGNATURE)] if os.path.lexists(path) else []), ""
    try:
        armour = _content(path, LARGEST_SIGNATURE)
        signer = _signer(canonical(about) + b"\n", armour, allowed) if key_of(armour) == about["signed"] else ""
    except FileNotFoundError:
        return [Difference("missing", SIGNATURE)], ""
    except subprocess.SubprocessError as error:
        return [Difference("unchecked", f"{SIGNATURE}: {error}")], ""
    except OSError:
        signer = ""
    return ([], signer) if signer else ([Difference("changed", SIGNATURE)], "")


def _signer(content: bytes, armour: bytes, allowed: Path | None) -> str:
    key = key_of(armour)
    if not allowed:
        sound = _keygen(content, armour, "-Y", "check-novalidate").returncode == 0
        return f"{key} (signer not known here)" if sound else ""
    known = _keygen(content, armour, "-Y", "find-principals", "-f", str(allowed))
    for name in known.stdout.decode("utf-8", "replace").splitlines():
        if _keygen(content, armour, "-Y", "verify", "-f", str(allowed), "-I", name).returncode == 0:
            return f"{name} with {key}"
    return ""


def _keygen(content: bytes, armour: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    with tempfile.NamedTemporaryFile(prefix="irctl-verify-") as file:
        file.write(armour)
        file.flush()
        namespace = [] if "find-principals" in words else ["-n", NAMESPACE]
        given = ["ssh-keygen", *words, *namespace, "-s", file.name]
        try:
            return subprocess.run(given, input=content, capture_output=True, timeout=60, check=False)
        except OSError as error:
            raise subprocess.SubprocessError(f"ssh-keygen cannot be run: {error.strerror}") from None


def key_of(armour: bytes) -> str:
    """The fingerprint of the key in an SSHSIG, or '' where it is not, byte for byte, as OpenSSH writes one for evidence."""
    begin, end = b"-----BEGIN SSH SIGNATURE-----\n", b"\n-----END SSH SIGNATURE-----\n"
    try:
        blob = base64.b64decode(armour[len(begin) : -len(end)].replace(b"\n", b""), validate=True)
        text = base64.b64encode(blob)
        fields = _fields(blob)
    except (ValueError, struct.error):
        return ""
    wrapped = b"\n".join(text[at : at + 70] for at in range(0, len(text), 70))
    sound = armour == begin + wrapped + end and len(fields) == 5
    if not sound or fields[1:3] != [NAMESPACE.encode(), b""] or fields[3] not in (b"sha256", b"sha512"):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(fields[0]).digest()).decode().rstrip("=")


def _fields(blob: bytes) -> list[bytes]:
    """The strings of an SSHSIG: public key, namespace, reserved, hash algorithm, signature. Raises ValueError, struct.error."""
    if blob[:10] != b"SSHSIG\0\0\0\1":
        raise ValueError("not a signature")
    found, at = [], 10
    while at < len(blob):
        (length,) = struct.unpack_from(">I", blob, at)
        found.append(blob[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(blob):
        raise ValueError("cut short")
    return found


# The command


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a sealed folder of irctl. Exit code 0: as it was sealed; 8: not.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--allowed-signers", type=Path, metavar="FILE", help="OpenSSH's file of who has which key")
    given = parser.parse_args()
    try:
        report = check(given.folder, given.allowed_signers)
    except NotSealed as error:
        print(f"error: {inert(error)}", file=sys.stderr)
        return NOT_AS_SEALED
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    found = report.differences + report.later
    for one in found:
        print(f"{one.kind:<8} {inert(one.name)}")
    print(_said(report, len(found)))
    return NOT_AS_SEALED if found else OK


def _said(report: Report, number: int) -> str:
    about, sealed = report.about, f"sealed at {report.about['sealed']}"
    if number:
        return f"{report.name} is NOT as it was {sealed}: {number} difference{'s' if number > 1 else ''}"
    journal = f" and {about['journal']['seq']} lines of its journal" if "incident" in about else ""
    said = [f"{report.name} is as it was {sealed}: {len(about['files'])} files{journal} match"]
    if "incident" in about:
        said.append(f"  signed by {inert(report.signer)}" if report.signer else "  NOT signed")
    if about.get("timestamp"):
        said.append(f"  {TIMESTAMP} is for {about['timestamp']['of']}; openssl ts -verify says whose it is")
    said.append(f"  UNANCHORED: that nothing newer was taken away, only who keeps this hash can say: {report.digest}")
    return "\n".join(said)


def inert(text: object) -> str:
    """Text from outside in one line that does nothing to a terminal."""
    shown = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in shown)


if __name__ == "__main__":
    sys.exit(main())
