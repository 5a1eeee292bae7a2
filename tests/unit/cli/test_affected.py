"""What exactly would be changed, as a person reads it."""

from __future__ import annotations

from typing import Any

from irctl.cli.views import affected


def found(*items: dict[str, Any], count: int = 0) -> dict[str, Any]:
    return {"count": count or len(items), "items": [*items], "file": "evidence/db1/affected.jsonl", "sha256": "0" * 64}


def test_a_line_for_each_with_ages_and_sizes_in_words() -> None:
    session = {"pid": 4711, "user": "app", "client": None, "idle_seconds": 300, "bytes": 2048}
    assert affected.lines({"db1": found(session)}) == [
        "  PID   USER  CLIENT  IDLE  BYTES",
        "  4711  app   -       5m    2.0 KiB",
    ]


def test_of_many_the_first_twenty_and_where_all_of_them_are() -> None:
    many = found(*({"address": f"198.51.100.{number}"} for number in range(100)), count=300)
    lines = affected.lines({"db1": many}, "/home/ana/irctl/runs/X")
    assert len(lines) == 1 + affected.FEW + 1
    assert lines[-1] == "  +280 more · all of them: /home/ana/irctl/runs/X/evidence/db1/affected.jsonl"


def test_hosts_share_the_lines_and_each_line_names_its_host() -> None:
    hosts = {name: found(*({"pid": number} for number in range(15))) for name in ("db1", "db2")}
    assert affected.lines(hosts, "/X")[-1] == "  +10 more · all of them: /X/evidence/*/affected.jsonl"
    lines = affected.lines(hosts)
    assert lines[0].split() == ["HOST", "PID"]
    assert [line.split()[0] for line in lines[1:-1]] == ["db1"] * 15 + ["db2"] * 5
    assert lines[-1] == "  +10 more"


def test_things_of_another_kind_have_headings_of_their_own() -> None:
    assert affected.lines({"db1": found({"freeze": "shop"}, {"pid": 7})}) == ["  FREEZE", "  shop", "  PID", "  7"]
    assert affected.lines({}) == affected.lines({"db1": found()}) == []
