"""Text of PostgreSQL as bytes: that of other sessions is in the encodings of their databases, and nobody checks it. Pure."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import Any

_CODECS = {"SQL_ASCII": "utf-8", "KOI8R": "koi8-r", "KOI8U": "koi8-u"}
_JSON_ESCAPES = {0xDC00 + byte: f"\\\\x{byte:02x}" for byte in range(0x80, 0x100)}  # a backslash is written twice in JSON


def codec(encoding: str) -> str:
    """Python's name for an encoding of PostgreSQL; UTF-8 for one that Python does not know, and for none at all."""
    name = _CODECS.get(encoding) or encoding.replace("WIN", "cp")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "utf-8"


def loaded(data: bytes, encoding: str) -> Any:
    """Read JSON in an encoding of PostgreSQL; a byte that has no place in it stands as \\xe9 in its text."""
    return json.loads(data.decode(codec(encoding), "surrogateescape").translate(_JSON_ESCAPES))


def parameter(given: Mapping[str, Any], encoding: str) -> str:
    """The one parameter of a statement, as JSON; a database without an encoding takes no escapes above ASCII."""
    return json.dumps(given, ensure_ascii=encoding != "SQL_ASCII")


def message(data: bytes, encoding: str) -> str:
    """The words of a server in one line."""
    return " ".join(data.decode(codec(encoding), "backslashreplace").split())
