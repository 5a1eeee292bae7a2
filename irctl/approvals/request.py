"""A request: one plan that somebody wants to be approved, as a file with an id that covers every byte of it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import escaped
from irctl.approvals import plan, statements
from irctl.catalog.config import Settings
from irctl.errors import EvidenceError, Invalid, Refused, invalid
from irctl.incidents import incidents
from irctl.record import documents, journal, runs
from irctl.record.manifest_format import open_file

SCHEMA = "irctl/request/1"
SHORTEST, LONGEST = timedelta(minutes=5), timedelta(hours=24)
LENIENT = timedelta(minutes=5)  # by which the clocks of two machines may differ
ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class Request:
    """The document of one request, and what is often asked of it."""

    document: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def plan(self) -> dict[str, Any]:
        return dict(self.document["plan"])

    @property
    def remediation(self) -> str:
        return str(self.plan["remediation"])

    @property
    def incident(self) -> str:
        return str(self.document["incident"])

    @property
    def requester(self) -> str:
        return str(self.document["requester"])

    @property
    def expires(self) -> datetime:
        return instant(self.document["expires"])

    def require_current(self, now: datetime) -> None:
        """Raises Refused before its time and after it."""
        created = instant(self.document["created"])
        if created > now + LENIENT:
            raise Refused(
                f"request {self.id[:12]} was made at {self.document['created']}, which is still to come; look at the clocks"
            )
        if self.expires > created + LONGEST:
            raise Refused(f"request {self.id[:12]} lasts longer than 24h, which no request may")
        if self.expires <= now:
            raise Refused(
                f"request {self.id[:12]} expired at {self.document['expires']}; ask anew: irctl request {self.remediation}"
            )


def make(settings: Settings, about: Mapping[str, Any], seconds: int) -> Request:
    """A request for what is planned, signed by its requester where approvals are needed. Raises Invalid or Refused.

    `about` has names, plan, plan_hash, title, needs, incident, reason, lease and dry_run.
    """
    now = clock(settings.home_path)
    times = {"created": text(now), "expires": text(now + timedelta(seconds=seconds))}
    who = statements.principal(settings) if about["needs"] else settings.operator
    rest = {"requester": who, "nonce": secrets.token_hex(16), "home": home_of(settings.home_path)}
    document = {"schema": SCHEMA, **about, **times, **rest}
    document["id"] = _id_of(document)
    return Request(statements.sign(settings, document, who) if about["needs"] else {**document, "signature": ""})


def home_of(home: Path) -> str:
    """What tells this home from any other, from a copy of it, and from itself when it was emptied.

    It is a hash of the first line of its journal and of the numbers that the file system gave the home and its journal.
    """
    try:
        with os.fdopen(open_file(home / "journal.jsonl"), "rb") as file:
            first = hashlib.sha256(file.readline(documents.LARGEST)).hexdigest()
            numbers = (os.stat(home).st_ino, os.fstat(file.fileno()).st_ino)
        return hashlib.sha256(f"{first} {numbers[0]} {numbers[1]}".encode()).hexdigest()
    except OSError as error:
        raise EvidenceError(f"the journal in {home} cannot be read: {error.strerror}") from None


def load(path: Path) -> Request:
    """Read a plan file and hold it against its own hashes. Raises Invalid where there is none, Refused where it was edited."""
    document = documents.read(path, "request-1")
    require_whole(document, str(path))
    return Request(document)


def require_whole(document: Mapping[str, Any], name: str) -> None:
    """Raises Refused where a request is not what its own hashes name; `name` says where it stands."""
    if document["plan_hash"] != plan.hash_of(document["plan"]):
        raise Refused(f"{name} was edited: its plan is not the one that its hash names")
    if document["id"] != _id_of(document):
        raise Refused(f"{name} was edited: it is not what its id names")


def _id_of(document: Mapping[str, Any]) -> str:
    return plan.hash_of({name: value for name, value in document.items() if name not in ("id", "signature")})


def register(settings: Settings, request: Request) -> Path:
    """Put it where everybody with the same home sees it, and tell the journals. Raises EvidenceError."""
    path = _folder(settings.home_path) / f"{request.id}.json"
    documents.put(path, dict(request.document))
    about = {name: request.document[name] for name in ("reason", "needs", "lease", "expires")}
    note(settings, request, {"event": "requested", "by": request.requester, **about, "hosts": sorted(request.plan["hosts"])})
    return path


def note(settings: Settings, request: Request, entry: Mapping[str, Any]) -> None:
    """Tell the journal of the home, and that of the request's incident where this home has it. Raises EvidenceError."""
    home = settings.home_path
    known = {"request": request.id, "remediation": request.remediation, "plan_hash": request.document["plan_hash"]}
    journal.append(home, {**entry, **known, "incident": request.incident})
    if request.incident and request.incident in incidents.listed(home):
        incidents.record(home, request.incident, {**entry, **known})


def listed(home: Path) -> list[str]:
    """The ids of all requests of a home, the newest last."""
    paths = [path for path in _folder(home).glob("*.json") if ID.fullmatch(path.stem)]
    return [path.stem for path in sorted(paths, key=lambda path: path.lstat().st_mtime_ns)]


def registered(home: Path, request: str) -> Request:
    """The request of this whole id. Raises Invalid or Refused."""
    found = load(_folder(home) / f"{request}.json")
    if found.id != request:
        raise Refused(f"{_folder(home) / request}.json is another request than its name says")
    return found


def find(home: Path, what: str, option: str = "PLAN") -> Request:
    """The plan file of this name, or the request of this id or of the only one that begins so. Raises Invalid or Refused."""
    near = [name for name in listed(home) if name.startswith(what)] if re.fullmatch(r"[0-9a-f]{6,64}", what, re.ASCII) else []
    if len(near) == 1:
        return registered(home, near[0])
    if near:
        raise Invalid(f"{option}: more than one request begins with '{what}'; `irctl approvals` lists them")
    if what == runs.LAST:
        raise invalid(option, "what is signed or runs is named by its id; `irctl approvals` lists them", what)
    if not _is_there(what):
        raise invalid(option, "no plan file, and no request of this id; `irctl approvals` lists them", what)
    return load(Path(what))


def _is_there(what: str) -> bool:
    try:
        return bool(what) and paths.has_name(what)
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def clock(home: Path) -> datetime:
    """Now, and no earlier than any line of the journal: a clock that was set back makes nothing valid again."""
    latest = journal.latest(home)
    return max(datetime.now(UTC), instant(latest)) if latest else datetime.now(UTC)


def text(moment: datetime) -> str:
    """A time as the journal writes it."""
    return moment.strftime(TIME)


def instant(text: str) -> datetime:
    """A time as the journal writes it. Raises Refused."""
    try:
        return datetime.strptime(text, TIME).replace(tzinfo=UTC)
    except ValueError:
        raise Refused(f"not a time: {escaped(text, 40)}") from None


def _folder(home: Path) -> Path:
    return home / "requests"
