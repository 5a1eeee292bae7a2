"""Seal an incident's folder as an evidence pack: render, gather, sign and stamp it aside, then put it in place as a whole."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog.config import Settings
from irctl.errors import EvidenceError, Invalid, IrctlError
from irctl.incidents import checklist, incidents, pack_place, packed_runs, reports
from irctl.record import anchored_check, contents, journal_lines, runs, seal, signing, timestamps, verify
from irctl.record.folders import make_folder
from irctl.record.known import known
from irctl.record.manifest_format import APART, KEY, MANIFEST, NAMESPACE, SIGNATURE, TIMESTAMP, stamped_of
from irctl.record.signature_check import key_of
from irctl.record.verify_command import visible

CAPTURED = ("logs/", "evidence/", "runs/")  # what nobody edits


@dataclass
class Packed:
    """A pack as it was sealed. `missing` is what it should contain and does not; `troubles` are what went wrong with it."""

    incident: str
    folder: Path
    digest: str = ""
    manifest: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def pack(home: Path, incident: str, settings: Settings, *, sign: bool = True, stamp: bool = False) -> Packed:
    """Render, gather and seal. Raises IrctlError where nothing could be sealed; the pack that was there is then as it was."""
    packed = Packed(incident, incidents.require(home, incident))
    key = Path(settings.signing_key.value).expanduser() if sign and settings.signing_key.value else None
    if stamp and not settings.timestamp_url.value:
        raise Invalid("--timestamp: no timestamp_url is set: IRCTL_TIMESTAMP_URL, or the configuration")
    runs.require_room(home)
    with pack_place.locked(home, incident, fcntl.LOCK_EX):
        pack_place.finish(home, incident)
        ready = pack_place.staged(home, incident)
        part = ready.with_suffix(".part")
        try:
            _make_ready(packed, part, home, settings, key, stamp)
            part.rename(ready)
            pack_place.finish(home, incident)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    packed.manifest, packed.digest = seal.manifest(packed.folder)
    packed.missing = checklist.missing(home, incident)
    return packed


def _make_ready(packed: Packed, part: Path, home: Path, settings: Settings, key: Path | None, stamp: bool) -> None:
    shutil.rmtree(part, ignore_errors=True)
    make_folder(part)
    _require_plain(packed.folder)
    _require_whole_journal(home, packed)
    signer = _fingerprint(key) if key else None
    previous = _previous(packed)
    packed.troubles += packed_runs.gather(home, packed.incident, part)
    _put(part / "verify.py", Path(verify.__file__).read_bytes())
    entry = {"event": "packed", "by": settings.operator, "previous": previous, "signer": signer, "troubles": packed.troubles[:20]}
    incidents.record(home, packed.incident, entry)
    head = _render(part, home, packed.incident)
    subject = {"incident": packed.incident, "previous": previous, "journal": head, "signed": signer, "timestamp": None}
    document = seal.document(subject, *_overlaid(packed.folder, part))
    if stamp:
        document["timestamp"] = _stamp(packed, part, stamped_of(document), settings.timestamp_url.value)
    content = seal.finished(document)
    if key:
        _sign(part, content, key, document["signed"])
    _put(part / MANIFEST, content)


def _previous(packed: Packed) -> str | None:
    """The manifest that this pack will follow. What was captured and is no longer as that one says is told as a trouble."""
    if not paths.exists(packed.folder / MANIFEST):
        return None
    manifest, digest = seal.manifest(packed.folder)
    for one in contents.file_differences(packed.folder, manifest):
        if one.kind != "added" and one.name.startswith(CAPTURED):
            packed.troubles.append(f"{one.kind} since the last pack: {visible(one.name)[:300]}")
    return digest


def _require_plain(folder: Path) -> None:
    for name in sorted(contents.contents(folder)[0]):
        if not paths.is_file(folder / name) or paths.is_link(folder / name):
            raise EvidenceError(f"{visible(folder / name)} is not a regular file; a pack holds nothing else: move it away")


def _require_whole_journal(home: Path, packed: Packed) -> None:
    """Raises EvidenceError where the incident's journal is not the one whose lines the home's journal knows."""
    heads = known(home).heads.get(packed.incident, {})
    for one in anchored_check.head_differences(packed.folder, heads):
        raise EvidenceError(f"{packed.incident} cannot be packed: {one}. Somebody changed its journal; bring back the lines of it")


def _put(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    seal.write(path, content)


def _render(part: Path, home: Path, incident: str) -> dict[str, Any]:
    """Render the records from the journal, begin those that people own, and return the journal's head as it was then."""
    folder = home / "incidents" / incident
    with incidents.alone(home, incident) as entries:
        state, last = incidents.fold(incident, entries), journal_lines.lines_of(folder)[len(entries) - 1]
    for name, content in reports.rendered(state, entries).items():
        _put(part / name, content)
    for name in reports.BEGUN:
        if not paths.has_name(folder / name):
            _put(part / name, reports.begun(name, state, entries))
    return {"seq": last.seq, "head": last.hash}


def _overlaid(folder: Path, part: Path) -> tuple[dict[str, Any], set[str]]:
    """The files of the folder as it will be once what was made ready is put in place, and its empty folders."""
    names, empty = contents.contents(folder)
    ready, ready_empty = contents.contents(part)
    files = seal.hashed(folder, names - ready - APART) | seal.hashed(part, ready)
    parents = {str(parent) for name in ready for parent in Path(name).parents}
    return files, (empty - parents) | ready_empty


def _fingerprint(key: Path) -> str:
    try:
        command = ["ssh-keygen", "-l", "-E", "sha256", "-f", str(key)]
        done = subprocess.run(command, capture_output=True, timeout=signing.SECONDS, check=False)
        words = done.stdout.decode().split()[1:2]
    except (OSError, subprocess.TimeoutExpired) as error:
        raise IrctlError(f"ssh-keygen cannot be run: {error}") from None
    if not words or not KEY.fullmatch(words[0]):
        raise Invalid(f"signing_key: not an SSH key, or it cannot be read (got '{visible(key)[:80]}')")
    return words[0]


def _sign(part: Path, content: bytes, key: Path, promised: str) -> None:
    armour = signing.sign(content, key, NAMESPACE).encode()
    if key_of(armour) != promised:
        raise EvidenceError(f"signing_key: ssh-keygen signed with another key than '{visible(key)[:80]}'")
    _put(part / SIGNATURE, armour)


def _stamp(packed: Packed, part: Path, of: str, url: str) -> dict[str, Any] | None:
    """Get a timestamp of this hash and keep it; None, and the trouble told, where there is none to be had."""
    try:
        token = timestamps.fetch(of, url)
    except (OSError, ValueError, http.client.HTTPException, IrctlError) as error:
        packed.troubles.append(f"there is no timestamp: {visible(' '.join(str(error).split()))[:200]}: {url}")
        return None
    _put(part / TIMESTAMP, token)
    return {"sha256": hashlib.sha256(token).hexdigest(), "bytes": len(token), "of": of}
