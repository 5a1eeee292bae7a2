"""The fault that renew-certificate mends: a certificate for the same key that ended yesterday, served in place of the good one."""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import suppress
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import certificates, openssl
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.lineage import KINDS, Lineage
from ansible_collections.irctl.runbooks.plugins.module_utils.renewal import Look, Renewal

LASTED = 90 * certificates.DAY
AGO = certificates.DAY


def make(work: Renewal) -> int:
    """Serve an expired certificate as the next version; return its number. One that is served already stays."""
    lineage = work.find()
    with work.alone():
        look, before = work.look(), made(lineage)
        if before and look.version == before["version"]:
            _serve(work, look)
            return look.version
        _forget(lineage, before)
        number = lineage.following()
        _write(_marker(lineage), {"version": number, "instead_of": look.version})  # first, so that it can be taken away
        with tempfile.TemporaryDirectory(prefix="irctl-") as folder:
            ended = time.time() - AGO
            pem = openssl.sign_by_itself(lineage.path("privkey", look.version), look.leaf.names, ended - LASTED, ended)
            with open(os.path.join(folder, "pem"), "w", encoding="ascii") as file:
                file.write(pem)
            key = lineage.path("privkey", look.version)
            lineage.install(number, [key if kind == "privkey" else file.name for kind in KINDS])
        work.swap(lineage, number, look)
        return number


def take_away(work: Renewal) -> bool:
    """Put back the certificate from before where the drill's is in use, and remove the drill's; return whether there was one."""
    lineage = work.find()
    before = made(lineage)
    if not before:
        return False
    with work.alone():
        look = work.look()
        if look.version == before["version"]:
            work.swap(lineage, before["instead_of"], look)
        else:
            _serve(work, look)
        _forget(lineage, before)
    return True


def _serve(work: Renewal, look: Look) -> None:
    """What is in use already is served too, should a run have been killed before its reload."""
    if look.stale():
        work.nginx.serve(look.site.listeners, look.leaf.sha256)


def made(lineage: Lineage) -> dict[str, int]:
    """The version that a drill made, and the one that was in use before it; nothing where there was no drill."""
    try:
        with open(_marker(lineage), encoding="ascii") as file:
            found: dict[str, Any] = json.load(file)
        return {"version": int(found["version"]), "instead_of": int(found["instead_of"])}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        raise Failure(f"{_marker(lineage)}, which says what a drill made, cannot be read.") from None


def _marker(lineage: Lineage) -> str:
    return os.path.join(lineage.ours, "drill.json")


def _write(path: str, document: dict[str, int]) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(f"{path}.part", "w", encoding="ascii") as file:
        json.dump(document, file)
    os.rename(f"{path}.part", path)


def _forget(lineage: Lineage, before: dict[str, int]) -> None:
    if before:
        lineage.remove(before["version"])
        lineage.settle()
        with suppress(FileNotFoundError):
            os.unlink(_marker(lineage))
