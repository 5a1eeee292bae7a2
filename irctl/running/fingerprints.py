"""Fingerprints of secrets, by which a plan tells one from another."""

from __future__ import annotations

import hashlib
from functools import cache


@cache
def fingerprint(name: str, secret: str) -> str:
    """Slow to compute, so that a weak password is not guessed from a plan."""
    return hashlib.scrypt(secret.encode(), salt=name.encode(), n=1 << 14, r=8, p=1, dklen=12).hex()
