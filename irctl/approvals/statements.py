"""Signed statements: made with the caller's own key, and believed only as far as the allowed-signers file goes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from irctl.approvals import people
from irctl.approvals.people import People, Signer
from irctl.catalog.config import Settings
from irctl.errors import Invalid, IrctlError, Refused
from irctl.record import signing
from irctl.record.journal import canonical
from irctl.record.signature_check import Verdict, judge_signature
from irctl.record.verify_command import visible

NAMESPACE = "irctl-approval"


def sign(settings: Settings, statement: Mapping[str, Any], who: str) -> dict[str, Any]:
    """The statement with the caller's signature. Raises Invalid, and Refused where the key is not that of `who`."""
    key = Path(_setting(settings, "signing_key", "the key that signs")).expanduser()
    signed = {**statement, "signature": signing.sign(canonical(statement), key, NAMESPACE)}
    require(everybody(settings), signed, who)
    return signed


def require(everyone: People, signed: Mapping[str, Any], who: str, at: str = "") -> Signer:
    """Who signed a statement, checked to be `who`; `at` is the time to judge it at, as in the journal, '' for now.

    Raises Refused that tells apart: other words, an unknown key, another person's, one that is not valid or for another purpose.
    """
    statement = {name: value for name, value in signed.items() if name != "signature"}
    lines = everyone.lines_of(who)
    verdict = _judge(statement, signed["signature"], lines, at)
    if verdict.fault == "unknown":
        verdict = _judge(statement, signed["signature"], everyone.signers, at)
        if not verdict.fault and verdict.signer:
            raise Refused(f"it says that it is of {who}, and {verdict.signer.who} signed it")
    if verdict.fault == "unknown":
        raise Refused(f"{who}: no key in {everyone.file.path} made this signature; it is of {verdict.key}")
    if verdict.fault:
        raise Refused(f"{who}: {visible(verdict.reason)}")
    return next(signer for signer in lines if signer.key == verdict.signer)


def _judge(statement: Mapping[str, Any], signature: str, signers: list[Signer] | tuple[Signer, ...], at: str) -> Verdict:
    keys = list(dict.fromkeys(signer.key for signer in signers))
    when = at.replace("-", "").replace(":", "").replace("T", "")[:14] + "Z" if at else ""
    try:
        return judge_signature(canonical(statement), signature.encode(), NAMESPACE, keys, when)
    except subprocess.SubprocessError as error:
        raise IrctlError(f"{error}; ssh-keygen comes with: apt-get install openssh-client") from None


def everybody(settings: Settings) -> People:
    """The people of the allowed-signers file. Raises Invalid where there is none, or it proves nothing."""
    return people.read(Path(_setting(settings, "allowed_signers", "the file that says whose key is whose")).expanduser())


def principal(settings: Settings) -> str:
    """Who the caller is in the allowed-signers file. Raises Invalid where the settings do not say."""
    return _setting(settings, "principal", "who you are in the allowed-signers file")


def _setting(settings: Settings, name: str, what: str) -> str:
    if value := str(getattr(settings, name).value):
        return value
    raise Invalid(f"{name}: it is not set; it is {what}: IRCTL_{name.upper()}, or {name} in {settings.config.value}")
