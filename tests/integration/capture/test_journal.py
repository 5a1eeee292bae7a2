"""The journal of a host whose clock was wrong for a while, as the real journalctl reads it.

`clock.journal` was made by systemd-journal-remote: ten entries of 30 hours before NOW, ten of ten minutes before, three dated a
year later, ten of five minutes before, three dated 1970, and four of the last minutes.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import journal
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.journal import Journal

NOW = 1_795_800_000.0
DAY = 86400


@pytest.fixture(autouse=True)
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """journalctl reads this journal instead of the host's."""
    path = tmp_path / "clock.journal"
    path.write_bytes(lzma.decompress(Path(__file__).with_name("clock.journal.xz").read_bytes()))
    monkeypatch.setattr(journal, "PROGRAM", (*journal.PROGRAM, f"--file={path}"))


def read(tmp_path: Path, since: float = NOW - DAY, most: int = 1 << 20) -> tuple[Journal, str]:
    one = Journal(since, NOW, most)
    one.read([], str(tmp_path))
    text = b"".join(one.pieces()).decode()
    one.close()
    assert len(text) == one.bytes
    return one, text


def numbers(text: str) -> list[int]:
    return [int(line.split("line ")[1].split(",")[0]) for line in text.splitlines() if "line " in line]


def test_nothing_that_came_after_a_wrong_date_is_missing_and_the_dates_are_told(tmp_path: Path) -> None:
    one, text = read(tmp_path)
    assert numbers(text) == list(range(10, 40))
    assert (one.later, one.earlier, one.cut) == (3, 3, False)
    assert one.notes() == ["3 entries dated later than now", "3 entries dated earlier than was asked, among others that are not"]


def test_an_entry_of_several_lines_stays_one_whatever_its_lines_look_like(tmp_path: Path) -> None:
    one, text = read(tmp_path)
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.endswith("line 30"))
    assert [line.strip() for line in lines[at + 1 : at + 3]] == ["and", "2026-11-27T00:00:00 more"]
    assert one.entries == 30


def test_of_a_journal_that_is_too_large_the_last_entries_are_kept_whole(tmp_path: Path) -> None:
    one, text = read(tmp_path, most=300)
    assert numbers(text) == list(range(40 - one.entries, 40))
    assert 0 < len(text) <= 300
    assert one.notes()[0] == f"its last {one.entries} entries, because all since then are more than 300 bytes"


def test_the_oldest_entry_of_the_host_is_told_where_it_is_later_than_was_asked(tmp_path: Path) -> None:
    one, text = read(tmp_path, since=NOW - 10 * DAY)
    assert numbers(text) == list(range(40))
    assert one.notes()[-1] == "the oldest entry on the host is of 2026-11-26T11:20:00.000000Z, later than was asked"


def test_journals_that_journalctl_passes_over_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a namespace, and of another machine: of the host before it was made anew, say."""
    root = tmp_path / "root"
    place, own = root / "var/log/journal", "a" * 32
    for name in (own, f"{own}.web", "b" * 32):
        (place / name).mkdir(parents=True)
        (place / name / "system.journal").write_bytes((tmp_path / "clock.journal").read_bytes())
    (root / "etc").mkdir()
    (root / "etc/machine-id").write_text(f"{own}\n")
    monkeypatch.setattr(journal, "ROOT", str(root))
    monkeypatch.setattr(journal, "PROGRAM", (*journal.PROGRAM[:-1], f"--root={root}"))
    one, text = read(tmp_path)
    assert numbers(text) == list(range(10, 40)), "each once"
    folders = f"{place}/{own}.web, {place}/{'b' * 32}"
    assert one.notes()[0] == f"without the journals of namespaces or other machines in {folders}; capture those as files"


def test_without_a_folder_it_is_only_measured(tmp_path: Path) -> None:
    one = Journal(NOW - DAY, NOW, 1 << 20)
    one.read([], None)
    assert one.bytes == read(tmp_path)[0].bytes


def test_after_enough_older_entries_in_a_row_the_others_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PATIENCE", 2)
    assert numbers(read(tmp_path)[1]) == list(range(36, 40)), "three that are dated 1970 are more than that"
