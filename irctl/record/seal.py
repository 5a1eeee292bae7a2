"""Seal a folder with a manifest of hashes, and check one later: by itself, and by what the journal of a home knows of it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irctl.errors import EvidenceError, IrctlError
from irctl.record import journal, verifier
from irctl.record.folders import make_folder
from irctl.record.verifier import MANIFEST, RUN_ID, SCHEMA, Difference, NotSealed

__all__ = ["MANIFEST", "RUN_ID", "Checked", "Difference", "check", "differences", "make_folder", "manifest", "seal", "write"]
RUN_IN_PACK = re.compile(rf"runs/({RUN_ID.pattern})/{re.escape(MANIFEST)}", re.ASCII)


@dataclass
class Checked:
    """What checking a folder found. `anchored`: the journal knows this manifest as the newest one; `notes` are sentences."""

    about: dict[str, Any]
    digest: str
    differences: list[Difference]
    signer: str = ""
    anchored: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The run's or the incident's id."""
        return str(self.about.get("incident") or self.about["run"])


def seal(folder: Path, run: str) -> str:
    """Write the manifest of every file in a run's folder, fsynced; return the manifest's sha256. Raises EvidenceError."""
    try:
        (folder / f"{MANIFEST}.new").unlink(missing_ok=True)  # of a sealing that was killed
        files, empty = verifier.contents(folder)
        content = finished(document({"run": run}, hashed(folder, files - {MANIFEST}), empty))
        write(folder / MANIFEST, content)
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be sealed: {error.strerror}") from None
    return hashlib.sha256(content).hexdigest()


def hashed(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """Size and sha256 of each of these files. Raises EvidenceError where one is no regular file, or cannot be read."""
    found = verifier.digests(folder, names)
    for name, digest in found.items():
        if digest is None:
            why = "it is not a regular file, or cannot be read"
            raise EvidenceError(f"{folder} cannot be sealed: {verifier.inert(name)}: {why}")
    return dict(found)


def document(about: Mapping[str, Any], files: Mapping[str, Any], empty: Iterable[str]) -> dict[str, Any]:
    """The manifest of these files, but for its digest."""
    return {"schema": SCHEMA, "sealed": journal.utc(), **about, "files": dict(files), "empty": sorted(empty)}


def finished(manifest: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest, with its digest. Raises EvidenceError where a name cannot be written down."""
    try:
        return verifier.canonical({**manifest, "digest": verifier.digest_of(dict(manifest))}) + b"\n"
    except UnicodeEncodeError as error:
        near = verifier.inert(error.object[max(0, error.start - 60) : error.end + 20])
        raise EvidenceError(f"it cannot be sealed: a name is not UTF-8: {near}") from None


def write(path: Path, content: bytes) -> None:
    """Put a 0600 file in place whole and fsynced, or not at all. Raises OSError."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def manifest(folder: Path) -> tuple[dict[str, Any], str]:
    """Read a folder's manifest and its sha256. Raises EvidenceError where it is not one that sealing wrote."""
    try:
        return verifier.manifest(folder)
    except NotSealed as error:
        raise EvidenceError(verifier.inert(error)) from None


def differences(folder: Path) -> list[Difference]:
    """Hold every file of a sealed folder against its manifest. Raises EvidenceError."""
    about, _ = manifest(folder)
    return verifier.differences(folder, about)


def check(folder: Path, home: Path, allowed: Path | None = None, tsa_ca: Path | None = None) -> Checked:
    """Hold a sealed folder, or a copy, against its manifest and what the journal of a home knows. Raises EvidenceError."""
    try:
        report = verifier.check(folder, allowed)
    except NotSealed as error:
        raise EvidenceError(verifier.inert(error)) from None
    found = Checked(report.about, report.digest, report.differences, report.signer)
    known = _Known.of(home, found.name)
    if "incident" in report.about:
        _hold_pack(found, known)
        _hold_journal(found, known, folder, home, report.later)
        _hold_timestamp(found, folder, tsa_ca)
    else:
        found.anchored = known.runs.get(found.name) == found.digest
        if not found.anchored and found.name in known.runs:
            found.differences.append(_of_manifest("changed", "the journal knows another"))
    return found


@dataclass
class _Known:
    """What a home's journal says about a run or an incident: the manifests of runs and packs, and the heads of its journal."""

    runs: dict[str, str] = field(default_factory=dict)
    packs: dict[str, str] = field(default_factory=dict)
    heads: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Path, name: str) -> _Known:
        """Read the journal of a home. Raises EvidenceError where it is broken."""
        found = cls()
        try:
            for entry in journal.read(home):
                if entry.get("event") == "run-sealed":
                    found.runs[entry["run"]] = entry["manifest"]
                elif entry.get("incident") == name and entry.get("event") == "pack-sealed":
                    found.packs[entry["manifest"]] = entry["at"]
                elif entry.get("incident") == name and entry.get("event") == "incident-head":
                    found.heads[entry["incident_seq"]] = entry["head"]
        except KeyError as error:
            raise EvidenceError(f"the journal lacks {error}") from None
        return found


def _of_manifest(kind: str, why: str) -> Difference:
    return Difference(kind, f"{MANIFEST} ({why})")


def _hold_pack(found: Checked, known: _Known) -> None:
    newest = list(known.packs)[-1:]
    found.anchored = newest == [found.digest]
    if newest and found.digest not in known.packs:
        found.differences.append(_of_manifest("changed", "the journal knows another"))
    elif newest and not found.anchored:
        found.differences.append(_of_manifest("older", f"the journal knows a newer pack, sealed at {known.packs[newest[0]]}"))
    for name, about in found.about["files"].items():
        run = RUN_IN_PACK.fullmatch(name)
        if run and known.runs.get(run[1], about["sha256"]) != about["sha256"]:
            found.differences.append(Difference("changed", f"{name} (the journal knows another)"))


def _hold_journal(found: Checked, known: _Known, folder: Path, home: Path, later: list[Difference]) -> None:
    """Lines after the seal are no harm where the home's journal knows them, nor is what a killed process left in the home."""
    there = verifier.lines_of(folder)
    for seq, head in known.heads.items():
        if seq <= len(there) and there[seq - 1].hash != head:
            found.differences.append(_line("changed", f"line {seq} (the journal of this home knows another)"))
    last, sealed = max(known.heads, default=0), found.about["journal"]["seq"]
    within = _is_same(folder, home / "incidents" / found.name)
    if within and last > len(there):
        gone = verifier.missing_at_the_end(last - len(there))
        found.differences.append(_line("missing", f"{gone} (the journal of this home knows line {last})"))
    unknown = later[max(0, last - sealed) :]
    if not within:
        found.differences += unknown
    elif unknown:
        which = f"{len(unknown)} lines" if len(unknown) > 1 else "line"
        found.notes.append(f"the journal of this home does not know the last {which} of {verifier.JOURNAL}: UNANCHORED")
    if number := len(later) - len(unknown):
        came = f"{number} lines" if number > 1 else "1 line"
        found.notes.append(f"{came} of {verifier.JOURNAL} came later, to be sealed by the next pack")


def _line(kind: str, what: str) -> Difference:
    return Difference(kind, f"{verifier.JOURNAL}: {what}")


def _is_same(folder: Path, other: Path) -> bool:
    try:
        return folder.samefile(other)
    except OSError:
        return False


def _hold_timestamp(found: Checked, folder: Path, tsa_ca: Path | None) -> None:
    stamp = found.about["timestamp"]
    if stamp and tsa_ca:
        words = ("-verify", "-digest", stamp["of"], "-in", str(folder / verifier.TIMESTAMP), "-CAfile", str(tsa_ca))
        done = openssl_ts(*words)
        if done.returncode:
            said = verifier.inert(" ".join(done.stderr.decode("utf-8", "replace").split()))[-160:]
            found.differences.append(Difference("changed", f"{verifier.TIMESTAMP} (openssl: {said})"))
        else:
            found.notes.append(f"a timestamp proves that it was there at {stamped_at(folder / verifier.TIMESTAMP)}")
    elif stamp:
        found.notes.append("its timestamp is not checked: --tsa-ca FILE does that")
    elif tsa_ca:
        found.differences.append(Difference("missing", f"{verifier.TIMESTAMP} (it was sealed without one)"))


def stamped_at(token: Path) -> str:
    """The time in an RFC 3161 answer, as openssl prints it; '' where it grants none."""
    said = openssl_ts("-reply", "-in", str(token), "-text").stdout.decode("utf-8", "replace")
    when = re.search(r"^Time stamp: (.+)$", said, re.MULTILINE)
    return verifier.inert(when[1]) if when and re.search(r"^Status: Granted", said, re.MULTILINE) else ""


def openssl_ts(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run `openssl ts`. Raises IrctlError where there is none."""
    try:
        return subprocess.run(["openssl", "ts", *words], capture_output=True, timeout=60, check=False)
    except FileNotFoundError:
        raise IrctlError("openssl is not on this machine: apt-get install openssl") from None
    except subprocess.TimeoutExpired:
        raise IrctlError("openssl ts did not end within 60 s") from None
