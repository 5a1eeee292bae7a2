"""What a person says and signs: made with the caller's own key, and believed only as far as the allowed-signers file goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from irctl.catalog.config import Settings
from irctl.errors import Invalid, Refused
from irctl.record import signing
from irctl.record.journal import canonical
from irctl.record.signing import Signer

NAMESPACE = "irctl-approval"


def sign(settings: Settings, statement: Mapping[str, Any], who: str) -> dict[str, Any]:
    """The statement with the caller's signature. Raises Invalid, and Refused where the key is not that of `who`."""
    key = Path(_set(settings, "signing_key", "the key that signs")).expanduser()
    signed = {**statement, "signature": signing.sign(canonical(statement), key, NAMESPACE)}
    require(allowed(settings), signed, who)
    return signed


def require(allowed: Path, signed: Mapping[str, Any], who: str) -> Signer:
    """Who signed it, checked to be `who`. Raises Refused."""
    said = {name: value for name, value in signed.items() if name != "signature"}
    signer = signing.signer_of(canonical(said), signed["signature"], allowed, NAMESPACE)
    if not signer:
        raise Refused(f"{who}: no key in {allowed} made this signature over these words: it is forged, edited or of another key")
    if signer != who:
        raise Refused(f"it says that it is of {who}, and {signer} signed it")
    return known(allowed, who)


def known(allowed: Path, who: str) -> Signer:
    """The line of the allowed-signers file about a person. Raises Refused where there is none."""
    for signer in signing.signers(allowed):
        if signer.principal == who:
            return signer
    raise Refused(f"'{who.encode('unicode_escape').decode()}' is nobody whom {allowed} names")


def allowed(settings: Settings) -> Path:
    """Where it says whose key is whose. Raises Invalid where nothing does."""
    return Path(_set(settings, "allowed_signers", "the file that says whose key is whose")).expanduser()


def principal(settings: Settings) -> str:
    """Who the caller is in the allowed-signers file. Raises Invalid where the settings do not say."""
    return _set(settings, "principal", "who you are in the allowed-signers file")


def _set(settings: Settings, name: str, what: str) -> str:
    if value := str(getattr(settings, name).value):
        return value
    raise Invalid(f"{name}: it is not set; it is {what}: IRCTL_{name.upper()}, or {name} in {settings.config.value}")


def same_person(one: str, other: str) -> bool:
    """Whether two names may be of one person: case, width and accents tell nobody apart, nor does a missing @place."""
    first, second = signing.folded(one), signing.folded(other)
    if "@" in first and "@" in second:
        return first == second
    return first.partition("@")[0] == second.partition("@")[0]
