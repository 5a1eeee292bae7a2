"""What keys hold, read before they are removed: for evidence, and to tell later whether one is still as it was."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import masks
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import EvidenceLost
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.connection import CommandRefused
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.key_names import batches, shown
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.keyspace import Keyspace
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

BATCH = 500  # keys of one journey
VALUE = 200  # bytes of a value that are read
SAME_MOMENT = 100  # milliseconds between two computations of one expiry, on servers that do not tell it
PEXPIRETIME_SINCE = (7,)
_NUMBER = re.compile(rb"-?[0-9]{1,20}(\.[0-9]{1,20})?")


class KeyRecord(NamedTuple):
    """A key as it was. `value` begins a text, None for other kinds; `expires` is in milliseconds since 1970, -1 for never."""

    name: bytes
    kind: str
    value: bytes | None
    expires: int

    @property
    def mark(self) -> str:
        """A few letters that are the same while the key is."""
        digest = hashlib.sha256(self.value or self.kind.encode()).hexdigest()[:8]
        return f"{self.expires}/{digest}"


def records(keyspace: Keyspace, names: Sequence[bytes]) -> Iterator[KeyRecord]:
    """Read these keys; those that are gone by then are left out. Raises EvidenceLost where one may not be read, ConnectionLost."""
    for batch in batches(names, BATCH):
        expiries = _expiries(keyspace, batch)
        values = keyspace.each(batch, lambda name: ("GETRANGE", name, 0, VALUE - 1))
        others = [name for name, value in zip(batch, values, strict=True) if _is_no_text(value)]
        kinds = dict(zip(others, keyspace.each(others, lambda name: ("TYPE", name)), strict=True))
        for name, value, expires in zip(batch, values, expiries, strict=True):
            kind = kinds.get(name, b"string")
            _require_read(name, kind if name in kinds else value)
            if expires != -2:
                yield KeyRecord(name, kind.decode(), None if name in kinds else value, expires)


def _is_no_text(value: Any) -> bool:
    return isinstance(value, CommandRefused) and value.code == "WRONGTYPE"


def _require_read(name: bytes, answer: Any) -> None:
    if isinstance(answer, CommandRefused):
        raise EvidenceLost(f"The key {shown(name)} cannot be read, so nothing of it could be kept as evidence. {answer}")


def _expiries(keyspace: Keyspace, names: Sequence[bytes]) -> list[int]:
    """When each key expires: -1 for never, -2 where it is gone. Raises EvidenceLost."""
    features = min(info.features for info in keyspace.infos.values())
    if features >= PEXPIRETIME_SINCE:
        answers = keyspace.each(names, lambda name: ("PEXPIRETIME", name))
        now = 0
    else:
        seconds, microseconds = keyspace.servers[0].ask("TIME")
        now = int(seconds) * 1000 + int(microseconds) // 1000
        answers = keyspace.each(names, lambda name: ("PTTL", name))
    for name, answer in zip(names, answers, strict=True):
        _require_read(name, answer)
    return [answer + now if answer >= 0 else answer for answer in answers]


def unlike(mark: str, other: str) -> bool:
    """Whether two marks of one name show that it was written anew between them."""
    (expires, digest), (now_expires, now_digest) = mark.split("/"), other.split("/")
    return digest != now_digest or abs(int(expires) - int(now_expires)) > SAME_MOMENT


def expires_never(mark: str) -> bool:
    return mark.startswith("-1/")


def rows(found: Iterable[KeyRecord], now: int) -> list[dict[str, Any]]:
    """The records as evidence may hold them: numbers as they are, other values cut and without secrets. `now` as `expires`."""
    return [
        {
            "key": shown(one.name),
            "type": printable(one.kind, 40),
            "value": _keepable(one.value),
            "expires_seconds": None if one.expires < 0 else max(0, round((one.expires - now) / 1000)),
        }
        for one in found
    ]


def _keepable(value: bytes | None) -> str | None:
    if value is None:
        return None
    return value.decode() if _NUMBER.fullmatch(value) else masks.text(shown(value, 120))
