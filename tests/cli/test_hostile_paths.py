"""Paths that are too long, full, read-only, or hold control characters: one inert line, never a fault of irctl's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from irctl.record import journal
from tests.cli.conftest import only_object
from tests.conftest import Irctl, needs_root

Refused = Callable[..., str]
LONG = "x" * 5000
DB = ["--host", "db1"]


@pytest.mark.parametrize("option", ["--allowed-signers", "--tsa-ca"])
@pytest.mark.parametrize("value", [LONG, "~nobody-of-this-name/x", "a\n\x1b[31mF"])
def test_a_file_that_cannot_be_one_is_no_such_file(refused: Refused, tmp_path: Path, option: str, value: str) -> None:
    said = refused("evidence", "verify", str(tmp_path), option, value)
    assert said.startswith(f"{option}: no such file (got '")
    assert len(said) < 160


@pytest.mark.parametrize("value", [LONG, f"{LONG}/x", "nosuch/x"])
def test_a_plan_goes_into_no_file_that_cannot_be_made(refused: Refused, value: str) -> None:
    said = refused("plan", "db-connections", *DB, "--out", value)
    assert said.startswith("--out: a new file in a folder that is there is needed (got '")
    assert len(said) < 200


def test_the_root_of_a_collection_is_shown_escaped_and_cut(irctl: Irctl) -> None:
    incident = irctl("incident", "open", "--title", "Slow", "--severity", "P1", "--json").json["incident"]
    for root in ("a\n\x1b[31m", LONG):
        done = irctl("evidence", "collect", "F", "--incident", incident, "--root", root)
        assert (done.code, done.err[:-1].isprintable()) == (2, True)
        assert len(done.err) < 250


@pytest.mark.parametrize("words", [["doctor"], ["runs"], ["lab", "status"], ["lab", "down"], ["lab", "fault", "db-connections"]])
def test_a_home_that_can_be_none_is_shown_escaped_and_cut(irctl: Irctl, words: list[str]) -> None:
    for home in (LONG, "h\x1b[31mx\ny"):
        done = irctl(*words, "--home", home)
        assert all(line.isprintable() for line in (done.out + done.err).splitlines()), done
        assert "fault in irctl itself" not in done.err, done
        assert max(len(line) for line in (done.out + done.err).splitlines()) < 500


def test_the_name_of_a_plan_that_is_written_is_shown_escaped(irctl: Irctl, tmp_path: Path) -> None:
    done = irctl("plan", "db-connections", *DB, "--out", str(tmp_path / "p\x1b[31m\nx"))
    assert "\x1b" not in done.out + done.err
    assert all(line.startswith(("warning: ", "/", "  ", "db", "prod")) for line in done.err.splitlines()), done.err


@pytest.fixture(params=["ro,size=1m", "size=4k"])
def bad_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk that is read-only, or full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@needs_root
def test_a_lab_on_a_disk_that_is_full_or_read_only_is_one_line(irctl: Irctl, bad_disk: Path) -> None:
    try:
        done = irctl("lab", "up", "--home", str(bad_disk / "home"))
    finally:
        irctl("lab", "down", "--home", str(bad_disk / "home"))
    assert done.code in (2, 8)
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert "itself" not in done.err


def test_of_a_long_value_the_beginning_is_shown_and_the_reason_is_kept(refused: Refused) -> None:
    said = refused("evidence", "collect", "x", "--incident", "001", "--as", LONG)
    assert said.startswith("--as: one of evidence, logs is needed (got 'xxxx")
    assert len(said) < 150


def test_the_doctor_fails_where_the_journal_is_broken(irctl: Irctl) -> None:
    assert irctl("doctor").code == 0
    for number in range(3):
        journal.append(irctl.home, {"event": "stopped", "by": "a", "reason": str(number)})
    path = irctl.home / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    done = irctl("doctor", "--json")
    assert done.code == 1
    broken = [one for one in only_object(done)["checks"] if one["name"] == "approvals" and not one["good"]]
    assert any(one["needed"] and "the chain breaks at line 1" in one["says"] for one in broken), broken


@pytest.mark.parametrize(("words", "code"), [(["--help"], 1), (["catalog"], 1), (["remediate", "nosuch"], 2)])
def test_a_command_that_only_prints_fails_where_it_cannot(irctl: Irctl, words: list[str], code: int) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            ["irctl", *words], stdout=full, stderr=subprocess.PIPE, text=True, env={**os.environ, **irctl.environment}
        )
    assert done.returncode == code
    assert ("error: standard output could not be written: No space left on device" in done.stderr) is (code == 1)
    assert done.stderr.count("\n") == 1
