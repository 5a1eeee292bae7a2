"""Bad input is one line that names the option, the value and the reason, before anything is done. HAZARDS, 'Bad input'."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Irctl

Refused = Callable[..., str]
DB = ["remediate", "db-connections", "--host", "prod"]

HOSTS = [
    "",
    "*",
    "prod:!db1",
    "~.*",
    "@/etc/shadow",
    "all",
    "ALL",
    "pr\u043ed",
    "prod\n",
    "prod\ndb1",
    "x" * 300,
    "db1,db2",
    "db[1:2]",
    "{{ groups }}",
    "\x1b[2J",
    "-x",
    "../x",
]
INCIDENTS = [
    "",
    "INC-2026-1121-001/..",
    "../../x",
    "INC.2026.1121.001",
    "INC 2026 1121 001",
    "INC%2D2026-1121-001",
    "-INC-2026-1121-001",
    "INC-2026-1121-001\n",
    "INC-2026-1121-\u0661\u0661\u0661",
    "x" * 300,
]
DURATIONS = [
    "",
    "0",
    "0s",
    "10",
    "-10m",
    "1s",
    "4s",
    "1.5h",
    "10 m",
    "1_0m",
    "010m",
    "10x",
    "ten",
    "99999999999d",
    "\u0661\u0660m",
    "10m\n",
]
LIMITS = ["", "0", "-1", "1.5", "010", "1_000", "1e3", "0x10", "10001", "ten", "100\n", "\u0661\u0660"]
NAMES = ["", " ", "a\nb", "a\x1b[31mb", "a\x7fb", "x" * 64, "a\u2028b", "@/nosuch", "@/dev/zero", "@"]


def shown(value: str) -> str:
    text = value.encode("unicode_escape").decode("ascii")
    return f"(got '{text if len(text) <= 80 else text[:79] + '~'}')"


@pytest.mark.parametrize("value", HOSTS)
def test_what_is_not_the_plain_name_of_a_host_or_group_is_refused(refused: Refused, value: str) -> None:
    said = refused("remediate", "db-connections", "--host", value)
    assert said.startswith("--host: ")
    assert said.endswith(shown(value))


@pytest.mark.parametrize("value", INCIDENTS)
def test_what_is_not_the_id_of_an_incident_is_refused(refused: Refused, value: str) -> None:
    needed = "an incident's id is needed, such as INC-2026-1121-001, or the end of one, such as 001"
    assert refused(*DB, "--incident", value) == f"--incident: {needed} {shown(value)}"


def test_an_incident_of_the_environment_is_checked_too(refused: Refused) -> None:
    assert refused(*DB, IRCTL_INCIDENT="../x").startswith("--incident: ")


@pytest.mark.parametrize(
    ("option", "value"),
    [*(("--idle-for", value) for value in DURATIONS), *(("--idle-in-transaction-for", value) for value in ("", "10", "4s"))],
)
def test_a_duration_that_means_nothing_or_too_little_is_refused(refused: Refused, option: str, value: str) -> None:
    said = refused(*DB, option, value)
    assert said.startswith(f"{option}: ")
    assert said.endswith(shown(value))


@pytest.mark.parametrize("value", ["0", "10", "4s", "2d", "-5m"])
def test_a_time_limit_out_of_bounds_is_refused(refused: Refused, value: str) -> None:
    assert refused(*DB, "--timeout", value).startswith("--timeout: ")


@pytest.mark.parametrize("value", LIMITS)
def test_a_limit_that_is_no_plain_number_or_out_of_bounds_is_refused(refused: Refused, value: str) -> None:
    said = refused(*DB, "--max", value)
    assert said.startswith("--max: ")
    assert said.endswith(shown(value))


@pytest.mark.parametrize(
    ("option", "value"), [*(("--database", value) for value in NAMES), ("--user", "a\nb"), ("--application", "a\nb")]
)
def test_a_name_that_no_server_could_hold_is_refused(refused: Refused, option: str, value: str) -> None:
    said = refused(*DB, option, value)
    assert said.startswith(f"{option}: ")
    assert said.endswith(shown(value))


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        *(("archive-evidence", "--tree", value) for value in ("relative", "/", "/a/../b", "")),
        *(("archive-evidence", "--bucket", value) for value in ("A B", "")),
        *(("archive-evidence", "--prefix", value) for value in ("{{ x }}", "a//b", "../x")),
        ("purge-evidence", "--tree", "/"),
        ("purge-evidence", "--list", "purge-list.txt"),
        ("purge-evidence", "--list-hash", "12"),
        *(("capture-evidence", "--root", value) for value in ("/", "/proc", "log")),
        ("capture-evidence", "--temp", "x"),
        *(("renew-certificate", "--name", value) for value in ("../../etc", "-x", ".x", "a/b")),
        ("block-ip", "--backend", "x" * 300),
    ],
)
def test_a_value_of_another_kind_than_the_option_takes_is_refused(refused: Refused, name: str, option: str, value: str) -> None:
    said = refused("remediate", name, "--host", "prod", option, value)
    assert said.startswith(f"{option}: ")
    assert said.endswith(shown(value))


def test_of_a_file_that_is_not_there_and_of_a_bad_line_the_reason_is_said(refused: Refused, tmp_path: Path) -> None:
    assert refused(*DB, "--user", "@/nosuch") == "--user: there is no such file (got '@/nosuch')"
    (tmp_path / "list").write_text("198.51.100.7\n198.51.100.300\n")
    said = refused("remediate", "block-ip", "--host", "prod", "--address", f"@{tmp_path}/list")
    assert said.startswith("--address: line 2: ")
    assert said.endswith("(got '198.51.100.300')")


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "010", "1_000", "ten", "10001", "1\n", "\u0661"])
def test_a_number_of_runs_to_list_is_checked_like_every_other(refused: Refused, value: str) -> None:
    said = refused("runs", "--last", value)
    assert said.startswith("--last: ")
    assert said.endswith(shown(value))


@pytest.mark.parametrize("value", ["../../x", "/etc/passwd", "a/b", "x\n", "", "%2e%2e", "x" * 91, "x" * 5000, "\x1b[2J"])
@pytest.mark.parametrize("verb", [["runs"], ["evidence", "verify"]], ids=" ".join)
def test_what_is_not_the_id_of_a_run_is_refused(refused: Refused, verb: list[str], value: str) -> None:
    assert refused(*verb, value).startswith("PATH: " if "/" in value and "verify" in verb else "RUN: ")


@pytest.mark.parametrize("value", [".", ".."])
def test_a_folder_is_no_id_of_a_run(refused: Refused, value: str) -> None:
    assert refused("runs", value).startswith("RUN: ")


def test_a_run_that_is_not_there_is_refused(refused: Refused) -> None:
    assert refused("runs", "7f3a01") == "RUN: no run is called '7f3a01'; `irctl runs` lists them"


def test_no_host_is_refused_with_an_example(refused: Refused) -> None:
    assert refused("remediate", "db-connections") == "--host: it must be given, such as --host prod"
    assert refused("plan", "db-connections").startswith("--host: it must be given")
    assert refused("revert") == "RUN: it must be given, as in: irctl revert 7f3a01 --check"
    assert refused("completion") == 'SHELL: it must be given, as in: eval "$(irctl completion bash)"'
    assert refused("leases", "extend", "x") == "--for: it must be given, as in: irctl leases extend 7f3a01 --for 30m"
    assert refused("doctor", "--host") == "--host: its value must follow"
    assert refused("diagnose", "postgres").startswith("--host: it must be given")


@pytest.mark.parametrize("value", ["tcsh", "", "BASH", "bash\n", "../bash"])
def test_a_shell_that_we_have_no_script_for_is_refused(refused: Refused, value: str) -> None:
    assert refused("completion", value) == f"SHELL: one of bash, zsh, fish is needed {shown(value)}"


@pytest.mark.parametrize("path", ["/nosuch", "nosuch.tar", "./nosuch/x"])
def test_a_path_that_is_nowhere_is_told_as_a_path(refused: Refused, path: str) -> None:
    assert refused("evidence", "verify", path) == f"PATH: there is no such folder or .tar {shown(path)}"


def test_several_addresses_in_one_word_say_how_more_are_given(refused: Refused, tmp_path: Path) -> None:
    block = ("remediate", "block-ip", "--host", "db1", "--address")
    said = refused(*block, "198.51.100.7,198.51.100.8")
    assert said.startswith("--address: one value is needed; repeat the option for more, or give @FILE with one a line")
    assert "not an IP address" in refused(*block, "198.51.100.7,x")
    (tmp_path / "feed.csv").write_text("ip;score\n198.51.100.7;1\n")
    assert f"for a column of CSV say @{tmp_path}/feed.csv:COLUMN" in refused(*block, f"@{tmp_path}/feed.csv")


@pytest.mark.parametrize(("name", "near"), [("prdo", "prod"), ("db3", "db"), ("nosuchthing", "")])
def test_a_host_that_the_inventory_does_not_know_is_no_target(refused: Refused, name: str, near: str) -> None:
    said = refused("remediate", "db-connections", "--host", "db1", "--host", name, code=4)
    assert said.startswith("--host: not in the inventory")
    assert f"Did you mean {near}" in said if near else "Did you mean" not in said
    assert said.endswith(f"(got '{name}')")


def test_a_group_without_hosts_is_no_target(refused: Refused) -> None:
    assert refused("remediate", "db-connections", "--host", "empty", code=4) == "--host: the group has no hosts (got 'empty')"


def test_nothing_is_ever_the_default_for_an_empty_place(refused: Refused) -> None:
    """An unset shell variable in --inventory "$X" must not lead to another inventory."""
    assert refused(*DB, "--inventory", "").startswith("--inventory: ")
    assert refused("runs", "--home", "").startswith("--home: ")


def test_a_home_that_cannot_be_made_is_said_in_one_line(irctl: Irctl, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = irctl(*DB, "--home", str(tmp_path / "file" / "home"))
    assert done.code == 8, done
    assert done.err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.err
