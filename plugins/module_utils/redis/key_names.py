"""Which keys are meant by a prefix, and a list of them that one phase hands to the next. Pure; a key's name is bytes."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import escaped, printable

LARGEST = 1 << 30  # bytes of a selection when it is unpacked
_SPECIAL = frozenset(b"*?[]^\\")  # what MATCH takes for a pattern


@dataclass(frozen=True)
class Wanted:
    """Keys whose name begins with `prefix`; with `owners`, only those that go on with one of them, to the end or to `separator`."""

    prefix: bytes
    owners: tuple[bytes, ...] = ()
    separator: bytes = b":"

    def includes(self, name: bytes) -> bool:
        """Whether this very key is meant. MATCH only saves what need not be sent: which keys are meant is decided here."""
        if not name.startswith(self.prefix):
            return False
        rest = name[len(self.prefix) :]
        return not self.owners or any(rest == one or rest.startswith(one + self.separator) for one in self.owners)

    @property
    def pattern(self) -> bytes:
        """For SCAN's MATCH: everything that is meant, and little else."""
        beginning = self.prefix + (self.owners[0] if len(self.owners) == 1 else b"")
        return literal(beginning) + b"*"


def literal(text: bytes) -> bytes:
    """A pattern that matches exactly this text."""
    return b"".join(b"\\" + bytes([byte]) if byte in _SPECIAL else bytes([byte]) for byte in text)


def wanted(params: Mapping[str, Any]) -> Wanted:
    """The keys that a module's arguments mean."""
    owners = tuple(owner.encode() for owner in params.get("user") or ())
    return Wanted(params["prefix"].encode(), owners, (params.get("separator") or ":").encode())


@dataclass(frozen=True)
class Selection:
    """The keys that were seen, and on which servers. Once they were read, `marks` tells for each whether it is still as it was."""

    names: tuple[bytes, ...]
    servers: Mapping[str, str]  # the identity of each by its address
    marks: tuple[str, ...] = field(default=())

    def packed(self) -> str:
        """One short text: Ansible looks at each of ten thousand values again and again."""
        document = {"names": [name.decode("latin-1") for name in self.names], "servers": dict(self.servers), "marks": self.marks}
        return base64.b64encode(zlib.compress(json.dumps(document).encode(), 1)).decode()


def unpacked(text: str) -> Selection:
    """The selection that was packed. Raises ValueError."""
    try:
        unpacker = zlib.decompressobj()
        document = json.loads(unpacker.decompress(base64.b64decode(text, validate=True), LARGEST))
        names = tuple(name.encode("latin-1") for name in document["names"])
        if not unpacker.eof:
            raise ValueError("selection: it is cut short")
        return Selection(names, document["servers"], tuple(document["marks"]))
    except (KeyError, TypeError, AttributeError, zlib.error, UnicodeError) as error:
        raise ValueError(f"selection: that is none ({error})") from None


def shown(name: bytes, most: int = 200) -> str:
    """A key's name for people and records: as it is where it is plain text, else with escapes."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return escaped(name.decode("latin-1"), most)
    return printable(text, most) if text == printable(text, len(text) + 1) else escaped(text, most)


def batches(names: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """The names, so many at a time."""
    for start in range(0, len(names), size):
        yield names[start : start + size]
