"""Files of a list option, as feeds and spreadsheets write them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.kinds import network
from irctl.cli import list_files

Read = Callable[[str], list[Any]]


@pytest.fixture
def read() -> Read:
    return list_files.reader(network.check, network.entries)


@pytest.fixture
def feed(tmp_path: Path) -> Callable[[str], str]:
    """Write a feed; the option's value that reads it."""

    def write(content: str | bytes, name: str = "feed") -> str:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return f"@{tmp_path / name}"

    return write


def test_comments_a_byte_order_mark_and_the_line_ends_of_windows_are_no_addresses(read: Read, feed: Any) -> None:
    content = b"\xef\xbb\xbf198.51.100.7 # one\r\n; a comment\r\n\r\n198[.]51[.]100[.]8\r\n198.51.100.10-198.51.100.11"
    assert read(feed(content)) == ["198.51.100.7", "198.51.100.8", "198.51.100.10/31"]
    assert read("198[.]51[.]100[.]7") == ["198.51.100.7"], "typed ones too"


def test_all_bad_lines_are_told_at_once_with_their_numbers(read: Read, feed: Any) -> None:
    text = feed("198.51.100.7\na.example\n\n1.2.3\nb.example\x1b\n")
    with pytest.raises(list_files.BadLines) as refused:
        read(text)
    told = str(refused.value)
    assert told.startswith("3 lines cannot be used: ")
    assert "2 'a.example': a host name can lead elsewhere" in told
    assert "4 '1.2.3': an IPv4 address has four decimal numbers" in told
    assert "5 'b.example\\x1b': not an IP address" in told
    assert refused.value.got == text


def test_of_very_many_bad_lines_the_first_are_named_and_the_rest_counted(read: Read, feed: Any) -> None:
    with pytest.raises(list_files.BadLines) as refused:
        read(feed("".join(f"host{number}.example\n" for number in range(500))))
    told = str(refused.value)
    assert told.startswith("500 lines cannot be used: 1 'host0.example', 2 'host1.example', ")
    assert told.endswith("; +490 more")
    assert told.count("a host name can lead elsewhere") == 1, "a reason is said once"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_column_of_a_csv_file_is_named_after_a_colon(read: Read, feed: Any, delimiter: str) -> None:
    rows = [
        "# made today",
        "first seen,source ip,note",
        '2026-11-21,198.51.100.7,"port 22, twice"',
        "2026-11-21,,none",
        "",
        '"a",91.1.2.3',
    ]
    if delimiter != ",":
        rows = [row.replace(", twice", "").replace(",", delimiter) for row in rows]
    assert read(feed("\n".join(rows)) + ":source ip") == ["198.51.100.7", "91.1.2.3"]


def test_a_bad_cell_is_told_with_the_line_of_the_file(read: Read, feed: Any) -> None:
    with pytest.raises(list_files.BadLines, match=r"^line 4: an IPv4 address has four") as refused:
        read(feed("# made today\nip,port\n91.1.2.3,22\n1.2,22\n") + ":ip")
    assert refused.value.got == "1.2"


def test_a_column_that_is_not_there_is_refused_with_those_that_are(read: Read, feed: Any) -> None:
    for content, column in (("ip,port\n1.2.3.4,22\n", "addr"), ("ip,ip\n1.2.3.4,91.1.1.1\n", "ip"), ("", "ip")):
        with pytest.raises(ValueError, match=f"no single column {column}; it has "):
            read(f"{feed(content)}:{column}")
    with pytest.raises(ValueError, match=r"for a column of CSV say @.*feed:COLUMN"):
        read(feed("ip,port\n1.2.3.4,22\n"))


def test_a_file_whose_name_has_a_colon_is_that_file(read: Read, feed: Any) -> None:
    assert read(feed("198.51.100.7\n", "today:12")) == ["198.51.100.7"]


def test_a_column_may_come_from_standard_input(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ip,port\n198.51.100.7,22\n")))
    assert read("@-:ip") == ["198.51.100.7"]


def test_the_name_of_a_file_without_the_sign_gets_the_sign_suggested(
    read: Read, feed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed("198.51.100.7\n", "block.txt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^to read the file of this name, say @block\.txt$"):
        read("block.txt")
    for text in ("nosuch.txt", "a\0b", "x" * 5000, ""):
        with pytest.raises(ValueError, match=r"host name|not an IP address"):
            read(text)
