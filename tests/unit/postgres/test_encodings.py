"""Text of PostgreSQL in whatever encoding, as it comes and as it goes."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import encodings


@pytest.mark.parametrize(
    ("encoding", "data", "text"),
    [
        ("UTF8", b"caf\xc3\xa9", "café"),
        ("UTF8", b"caf\xe9\\n", "caf\\xe9\n"),
        ("SQL_ASCII", b"\xff", "\\xff"),
        ("LATIN1", b"caf\xe9", "café"),
        ("WIN1252", b"\x81\x80", "\\x81€"),
        ("KOI8R", "мир".encode("koi8-r"), "мир"),
        ("EUC_TW", b"\xe9", "\\xe9"),
        ("", b"\xc3\xa9", "é"),
    ],
)
def test_each_byte_is_read_or_shown(encoding: str, data: bytes, text: str) -> None:
    assert encodings.loaded(b'{"a": "' + data + b'"}', encoding) == {"a": text}


def test_a_database_without_encoding_gets_no_escapes() -> None:
    assert encodings.parameter({"a": "é"}, "SQL_ASCII") == '{"a": "é"}'
    assert encodings.parameter({"a": "é"}, "LATIN1") == '{"a": "\\u00e9"}'
