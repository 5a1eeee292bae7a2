"""The fault that renew-certificate mends: a certificate for the same key that ended yesterday, served in place of the good one."""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import suppress
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import openssl, x509
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.lineage import KINDS, Lineage
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.renewal import Renewal, Status
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure

LASTED = 90 * x509.DAY
AGO = x509.DAY


class Made(NamedTuple):
    """What a drill made: a version, in the place of the one that was in use, and the sha256 of its certificate."""

    version: int
    instead_of: int
    sha256: str


def make(work: Renewal) -> int:
    """Serve an expired certificate as the next version; return its number. One that is served already stays."""
    lineage = work.lineage()
    with work.exclusive():
        status = work.status()
        if in_use(lineage):
            _serve(work, status)
            return status.version
        _forget(lineage, made(lineage))
        key, number, ended = lineage.path("privkey", status.version), lineage.following(), time.time() - AGO
        pem = openssl.sign_by_itself(key, status.leaf.names, ended - LASTED, ended)
        _write(_marker(lineage), Made(number, status.version, openssl.certificate(pem).sha256))  # before there is any of it
        with tempfile.TemporaryDirectory(prefix="irctl-") as folder:
            with open(os.path.join(folder, "pem"), "w", encoding="ascii") as file:
                file.write(pem)
            lineage.install(number, [key if kind == "privkey" else file.name for kind in KINDS])
        work.swap(lineage, number, status)
        return number


def take_away(work: Renewal) -> bool:
    """Put back the certificate from before where the drill's is in use, and remove the drill's; return whether there was one."""
    lineage = work.lineage()
    if not made(lineage):
        return False
    with work.exclusive():
        status = work.status()
        if drill := in_use(lineage):
            work.swap(lineage, drill.instead_of, status)
        else:
            _serve(work, status)
        _forget(lineage, made(lineage))
    return True


def _serve(work: Renewal, status: Status) -> None:
    """What is in use already is served too, should a run have been killed before its reload."""
    if status.stale():
        work.nginx.serve(status.site.listeners, status.leaf.sha256)


def found(lineage: Lineage, status: Status) -> tuple[int, str]:
    """The version that a revert is to put back, and its sha256: in the place of a drill's own the one from before the drill."""
    with suppress(Failure):  # what is left of a drill keeps nobody from a renewal
        if drill := in_use(lineage):
            return drill.instead_of, lineage.pair(drill.instead_of).leaf.sha256
    return status.version, status.leaf.sha256


def in_use(lineage: Lineage) -> Made | None:
    """What a drill made, where that is in use."""
    drill = made(lineage)
    return drill if drill and drill.version == lineage.current() and _there(lineage, drill) else None


def _there(lineage: Lineage, drill: Made) -> bool:
    """Whether the version is the drill's, or the part of it that is there; certbot may have made one of its number since."""
    return drill.sha256 in (_sha256(lineage.path(kind, drill.version)) for kind in KINDS if kind != "privkey")


def _sha256(path: str) -> str:
    try:
        return openssl.chain(path)[0].sha256
    except Failure:  # there is none
        return ""


def made(lineage: Lineage) -> Made | None:
    """What a drill made, in use or not; None where there was no drill."""
    try:
        with open(_marker(lineage), encoding="ascii") as file:
            read = json.load(file)
        return Made(int(read["version"]), int(read["instead_of"]), str(read["sha256"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise Failure(f"{_marker(lineage)}, which says what a drill made, cannot be read.") from None


def _marker(lineage: Lineage) -> str:
    return os.path.join(lineage.own_folder, "drill.json")


def _write(path: str, drill: Made) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(f"{path}.part", "w", encoding="ascii") as file:
        json.dump(drill._asdict(), file)
    os.rename(f"{path}.part", path)


def _forget(lineage: Lineage, drill: Made | None) -> None:
    if drill is None:
        return
    if _there(lineage, drill):
        lineage.remove(drill.version)
    lineage.drop_aside(drill.sha256)
    lineage.settle()
    with suppress(FileNotFoundError):
        os.unlink(_marker(lineage))
