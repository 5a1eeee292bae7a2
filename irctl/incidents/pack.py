"""Seal an incident's folder as an evidence pack: made ready aside, put in place as a whole, finished later where it was killed."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irctl.catalog.config import Settings
from irctl.errors import Busy, EvidenceError, Invalid, IrctlError
from irctl.incidents import checklist, incidents, reports
from irctl.record import journal, runs, seal, signing, verifier
from irctl.record.verifier import APART, MANIFEST, NAMESPACE, SIGNATURE, TIMESTAMP

LARGEST_ANSWER = 64 << 10  # bytes of a timestamp
CAPTURED = ("logs/", "evidence/", "runs/")  # what nobody edits
SECONDS = 30  # for the timestamp authority to answer


@dataclass
class Packed:
    """A pack as it was sealed. `missing` is what it should contain and does not; `troubles` are what went wrong about it."""

    incident: str
    folder: Path
    manifest: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def pack(home: Path, incident: str, settings: Settings, *, sign: bool = True, stamp: bool = False) -> Packed:
    """Render, gather and seal. Raises IrctlError where nothing could be sealed; the pack that was there is then as it was."""
    folder = incidents.require(home, incident)
    key = Path(settings.signing_key.value).expanduser() if sign and settings.signing_key.value else None
    if stamp and not settings.timestamp_url.value:
        raise Invalid("--timestamp: no timestamp_url is set: IRCTL_TIMESTAMP_URL, or the configuration")
    runs.require_room(home)
    done = Packed(incident, folder)
    with _locked(home, incident, fcntl.LOCK_EX):
        _finish(home, incident)
        part = _staged(home, incident).with_suffix(".part")
        try:
            _make_ready(done, part, home, settings, key, stamp)
            part.rename(_staged(home, incident))
            _finish(home, incident)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    done.about, done.manifest = seal.manifest(folder)
    done.missing = checklist.missing(home, incident)
    return done


@contextmanager
def at_rest(home: Path, incident: str) -> Iterator[None]:
    """Finish a pack that was killed on its way into place, and keep another from beginning meanwhile. Raises Busy."""
    if _staged(home, incident).exists():
        with _locked(home, incident, fcntl.LOCK_EX):
            _finish(home, incident)
    with _locked(home, incident, fcntl.LOCK_SH):
        yield


@contextmanager
def _locked(home: Path, incident: str, how: int) -> Iterator[None]:
    path = home / "locks" / f"pack-{incident}"
    writes = how == fcntl.LOCK_EX
    try:
        if writes:
            seal.make_folder(path.parent)
        descriptor = os.open(path, (os.O_RDWR | os.O_CREAT if writes else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if writes:
            raise EvidenceError(f"{path} cannot be written: {error.strerror}") from None
        yield  # no pack was ever made here, or none can be
        return
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Busy(f"{incident} is being packed or checked by another irctl. Wait for it to end") from None
    except OSError as error:
        raise EvidenceError(f"{incident} cannot be packed: {error.strerror}: {error.filename or home}") from None
    finally:
        os.close(descriptor)


def _staged(home: Path, incident: str) -> Path:
    """Where a pack is made ready. While it is called .part it does not count; under this name it is to be put in place."""
    return home / "staging" / f"pack-{incident}"


# Made ready aside


def _make_ready(done: Packed, part: Path, home: Path, settings: Settings, key: Path | None, stamp: bool) -> None:
    shutil.rmtree(part, ignore_errors=True)
    seal.make_folder(part)
    _require_plain(done.folder)
    signer = _fingerprint(key) if key else None
    previous = _previous(done)
    _gather_runs(done, part, home)
    _put(part / "verify.py", Path(verifier.__file__).read_bytes())
    entry = {"event": "packed", "by": settings.operator, "previous": previous, "signer": signer, "troubles": done.troubles[:20]}
    incidents.record(home, done.incident, entry)
    head = _render(part, home, done.incident)
    about = {"incident": done.incident, "previous": previous, "journal": head, "signed": signer, "timestamp": None}
    document = seal.document(about, *_overlaid(done.folder, part))
    if stamp:
        document["timestamp"] = _stamp(done, part, verifier.stamped_of(document), settings.timestamp_url.value)
    content = seal.finished(document)
    if key:
        _sign(part, content, key, document["signed"])
    _put(part / MANIFEST, content)


def _previous(done: Packed) -> str | None:
    """The manifest that this pack will follow. What was captured and is no longer as that one says must not go unseen."""
    if not (done.folder / MANIFEST).exists():
        return None
    about, digest = seal.manifest(done.folder)
    for one in verifier.differences(done.folder, about):
        if one.kind != "added" and one.name.startswith(CAPTURED):
            done.troubles.append(f"{one.kind} since the last pack: {verifier.inert(one.name)[:300]}")
    return digest


def _require_plain(folder: Path) -> None:
    for name in sorted(verifier.contents(folder)[0]):
        if not (folder / name).is_file() or (folder / name).is_symlink():
            raise EvidenceError(f"{verifier.inert(folder / name)} is not a regular file; a pack holds nothing else: move it away")


def _put(path: Path, content: bytes) -> None:
    seal.make_folder(path.parent)
    seal.write(path, content)


def _gather_runs(done: Packed, part: Path, home: Path) -> None:
    """Copy the sealed folders of the incident's runs that are not there yet. What is not as it was sealed is left out and told."""
    for run, known in incidents.state(home, done.incident).runs.items():
        source, kept = runs.Folder(home, run).path, done.folder / "runs" / run
        if known["outcome"] == "under way":
            continue
        try:
            digest = seal.manifest(source)[1]
            wrong = _wrong(source, known.get("manifest", digest))
            if not wrong and not kept.exists():
                _copy(source, part / "runs" / run)
                wrong = _wrong(part / "runs" / run, digest)
            wrong = wrong or (_wrong(kept, digest) if kept.exists() else [])
        except EvidenceError as error:
            wrong = [str(error)]
        if wrong:
            shutil.rmtree(part / "runs" / run, ignore_errors=True)
            done.troubles.append(f"run {run} is not packed as it was sealed: {verifier.inert(wrong[0])}")


def _wrong(folder: Path, sealed: str) -> list[str]:
    """How a run's folder differs from the manifest of this hash."""
    about, digest = seal.manifest(folder)
    wrong = [f"{folder}: {one}" for one in verifier.differences(folder, about)]
    return wrong or ([] if digest == sealed else [f"{folder}: {MANIFEST} is not the one that the journal knows"])


def _copy(source: Path, target: Path) -> None:
    """Copy what the manifest of a run lists, and the manifest. Raises OSError."""
    about, _ = seal.manifest(source)
    for name in about["empty"]:
        seal.make_folder(target / name)
    for name in [*about["files"], MANIFEST]:
        seal.make_folder((target / name).parent)
        descriptor = os.open(target / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with (source / name).open("rb") as old, os.fdopen(descriptor, "wb") as new:
            shutil.copyfileobj(old, new, 1 << 20)
            new.flush()
            os.fsync(descriptor)


def _render(part: Path, home: Path, incident: str) -> dict[str, Any]:
    """Render the records from the journal, begin those that people own, and return the journal's head as it was then."""
    folder = home / "incidents" / incident
    with incidents.alone(home, incident) as told:
        state, last = incidents.fold(incident, told), verifier.lines_of(folder)[len(told) - 1]
    for name, content in reports.rendered(state, told).items():
        _put(part / name, content)
    for name in reports.BEGUN:
        if not os.path.lexists(folder / name):
            _put(part / name, reports.begun(name, state, told))
    return {"seq": last.seq, "head": last.hash}


def _overlaid(folder: Path, part: Path) -> tuple[dict[str, Any], set[str]]:
    """The files of the folder as it will be once what was made ready is put in place, and its empty folders."""
    there, empty = verifier.contents(folder)
    ready, more = verifier.contents(part)
    files = seal.hashed(folder, there - ready - APART) | seal.hashed(part, ready)
    parents = {str(parent) for name in ready for parent in Path(name).parents}
    return files, (empty - parents) | more


def _fingerprint(key: Path) -> str:
    try:
        done = subprocess.run(["ssh-keygen", "-l", "-E", "sha256", "-f", str(key)], capture_output=True, timeout=60, check=False)
        found = done.stdout.decode().split()[1:2]
    except (OSError, subprocess.TimeoutExpired) as error:
        raise IrctlError(f"ssh-keygen cannot be run: {error}") from None
    if not found or not verifier.KEY.fullmatch(found[0]):
        raise Invalid(f"signing_key: not an SSH key, or it cannot be read (got '{verifier.inert(key)[:80]}')")
    return found[0]


def _sign(part: Path, content: bytes, key: Path, promised: str) -> None:
    armour = signing.sign(content, key, NAMESPACE).encode()
    if verifier.key_of(armour) != promised:
        raise EvidenceError(f"signing_key: ssh-keygen signed with another key than '{verifier.inert(key)[:80]}'")
    _put(part / SIGNATURE, armour)


def _stamp(done: Packed, part: Path, of: str, url: str) -> dict[str, Any] | None:
    """Get a timestamp of this hash and keep it; None, and the trouble told, where there is none to be had."""
    try:
        token = _ask(of, url)
    except (OSError, ValueError, http.client.HTTPException, IrctlError) as error:
        done.troubles.append(f"there is no timestamp: {verifier.inert(' '.join(str(error).split()))[:200]}: {url}")
        return None
    _put(part / TIMESTAMP, token)
    return {"sha256": hashlib.sha256(token).hexdigest(), "bytes": len(token), "of": of}


def _ask(of: str, url: str) -> bytes:
    """The answer of a timestamp authority (RFC 3161 over HTTP). Raises OSError, ValueError, IrctlError."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("timestamp_url must begin with http:// or https://")
    with tempfile.TemporaryDirectory(prefix="irctl-stamp-") as folder:
        query, answer = Path(folder) / "query", Path(folder) / "answer"
        if seal.openssl_ts("-query", "-digest", of, "-sha256", "-cert", "-out", str(query)).returncode:
            raise IrctlError("openssl ts cannot make a query")
        asked = urllib.request.Request(url, query.read_bytes(), {"Content-Type": "application/timestamp-query"})
        with urllib.request.urlopen(asked, timeout=SECONDS) as response:
            token: bytes = response.read(LARGEST_ANSWER + 1)
        answer.write_bytes(token)
        if len(token) > LARGEST_ANSWER or bytes.fromhex(of) not in token or not seal.stamped_at(answer):
            raise ValueError("the authority did not grant a timestamp of this manifest")
        return token


# Put in place


def _finish(home: Path, incident: str) -> None:
    """Put in place what was made ready whole, the manifest last, and tell the home's journal; nothing where there is none."""
    staged, folder = _staged(home, incident), home / "incidents" / incident
    if (staged / MANIFEST).exists():
        about, digest = seal.manifest(staged)
        _tell(home, about, digest)
        for name in sorted(verifier.contents(staged)[0] - {MANIFEST}):
            _place(staged / name, folder / name, keep=name in reports.BEGUN)
        for name, promised in ((SIGNATURE, about["signed"]), (TIMESTAMP, about["timestamp"])):
            if not promised:
                (folder / name).unlink(missing_ok=True)
        for name in about["empty"]:
            seal.make_folder(folder / name)
        _place(staged / MANIFEST, folder / MANIFEST)
    shutil.rmtree(staged, ignore_errors=True)


def _tell(home: Path, about: dict[str, Any], digest: str) -> None:
    """The line in the home's journal by which the pack can be checked later, unless it is there."""
    sealed = {"event": "pack-sealed", "incident": about["incident"], "manifest": digest, "previous": about["previous"]}
    if not any(sealed.items() <= entry.items() for entry in journal.read(home)):
        journal.append(home, sealed)


def _place(ready: Path, path: Path, *, keep: bool = False) -> None:
    """Move a file to where it belongs, whole; with `keep` only where nobody has put one there meanwhile."""
    seal.make_folder(path.parent)
    if keep:
        with suppress(FileExistsError):
            path.hardlink_to(ready)
        ready.unlink()
    else:
        ready.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
