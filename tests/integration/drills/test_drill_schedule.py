"""Drills that a machine holds by itself: real systemd on a test host, and a real cron here. HAZARDS D14."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from irctl.catalog import catalog, config
from irctl.catalog.content import OURS
from irctl.drills import history, schedule_timers
from irctl.drills.schedule import Schedule
from irctl.errors import INVALID, REFUSED, UNREACHABLE
from tests.conftest import ROOT, Done, Irctl, host_of, write_inventory
from tests.integration.conftest import needs_cron
from tools.test_hosts.sets import Set

Wait = Callable[..., Any]
STAMPS = "/var/lib/systemd/timers"
PROGRAM = """#!/bin/sh
echo "$*" >> "$IRCTL_HOME/said"
exit "$(cat "$IRCTL_HOME/code")"
"""


class Timers:
    """The playbook drill_timer, on h1, with a program in the place of irctl that says what it was told."""

    home, program = "/root/irctl 100% home", "/usr/local/bin/a driller"

    def __init__(self, hosts: Set, inventory: Path) -> None:
        self._hosts, self.host = hosts, hosts["h1"]
        self.settings = config.load({"home": self.home, "inventory": str(inventory)}, {})

    def play(self, schedules: list[Schedule], *words: str, remove: bool = False) -> Done:
        """Run the playbook; Done.code is how many tasks changed something, or -1 where one failed."""
        wanted = [schedule_timers.timer(self.settings, one) for one in schedules]
        for one in wanted:
            one["words"][0] = self.program
        given = {"irctl_target": "h1", "ansible_become": True, "drill_timer_wanted": wanted}
        given["drill_timer_state"] = "absent" if remove else "present"
        surroundings = {
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT),
            "ANSIBLE_CONFIG": str(ROOT / "irctl" / "running" / "ansible.cfg"),
            "LANG": "C.UTF-8",
        }
        playbook = ["-i", str(self._hosts.inventory), "-e", json.dumps(given), "irctl.runbooks.drill_timer"]
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), *playbook, *words],
            env={**{name: os.environ[name] for name in ("PATH", "HOME")}, **surroundings},
            capture_output=True, text=True, timeout=150,
        )  # fmt: skip
        changed = re.search(r"changed=(\d+)", done.stdout)
        return Done(int(changed[1]) if changed and done.returncode == 0 else -1, done.stdout, done.stderr)

    def left(self) -> list[str]:
        """All that there is of any timer of this home."""
        folders = ("/etc/systemd/system", STAMPS, "/run/systemd/system")
        files = self.host.run("find", *folders, "-name", "*irctl-drill-*", "-printf", "%f\n", check=False).stdout.split()
        return files + self.host.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "irctl-drill-*").stdout.split()

    def show(self, unit: str, name: str) -> str:
        return self.host.run("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()

    def said(self) -> list[str]:
        return self.host.run("sh", "-c", f"cat '{self.home}/said' 2>/dev/null || true").stdout.splitlines()


@pytest.fixture
def timers(hosts: Set, tmp_path: Path) -> Iterator[Timers]:
    timers = Timers(hosts, write_inventory(tmp_path, {"lab": {}}))
    timers.host.run("tee", timers.program, input=PROGRAM)
    timers.host.run("chmod", "755", timers.program)
    timers.host.run("sh", "-c", f"mkdir '{timers.home}'; echo 0 > '{timers.home}/code'")
    yield timers
    units = "/etc/systemd/system"
    gone = f"rm -rf {units}/irctl-drill-* {units}/timers.target.wants/irctl-drill-* {STAMPS}/stamp-irctl-drill-* '{timers.home}'"
    tidy = f"systemctl stop 'irctl-drill-*.timer'; {gone}; systemctl daemon-reload"
    timers.host.run("sh", "-c", tidy, check=False)


def some(at: str = "03:30", missed: str = "once", name: str = "db-connections") -> Schedule:
    return Schedule(name, "lab", 30, at, missed)


def test_systemds_timers_are_made_changed_fired_and_removed_and_nothing_is_left(timers: Timers) -> None:
    both = [some(), some(name="block-ip", at="03:31")]
    dry = timers.play(both, "--check")
    assert (dry.code, timers.left()) == (1, []), dry.out
    assert timers.play(both).code == 1
    assert timers.play(both).code == 0
    unit = both[0].name(Path(timers.home))
    assert timers.show(f"{unit}.timer", "NextElapseUSecRealtime").endswith("03:30:00 UTC")
    assert timers.play([some(at="04:40")]).code == 1
    assert timers.show(f"{unit}.timer", "NextElapseUSecRealtime").endswith("04:40:00 UTC"), "it is in force at once"
    timers.host.run("systemctl", "start", f"{unit}.service")
    assert timers.said() == ["drill run-due db-connections --host lab --every 30d --missed once"]
    timers.host.run("sh", "-c", f"echo 5 > '{timers.home}/code'")
    timers.host.run("systemctl", "start", f"{unit}.service", check=False)
    assert (timers.show(f"{unit}.service", "Result"), timers.show(f"{unit}.service", "ExecMainStatus")) == ("exit-code", "5")
    assert timers.play(both, "--check", remove=True).code == 1
    assert timers.show(f"{unit}.timer", "ActiveState") == "active"
    assert timers.play(both, remove=True).code == 1
    assert timers.left() == []
    assert timers.play(both, remove=True).code == 0


def test_what_was_missed_while_the_machine_was_off_is_made_up_once_or_skipped(timers: Timers, wait_until: Wait) -> None:
    """The timers are stopped, their stamps are two days old, and they are started again: what a machine that was off sees."""
    past = f"{datetime.now(UTC) - timedelta(hours=6):%H:%M}"
    once, skip = some(past, "once"), some(past, "skip", "block-ip")
    assert timers.play([once, skip]).code == 1
    units = [f"{one.name(Path(timers.home))}.timer" for one in (once, skip)]
    for _ in range(2):
        timers.host.run("systemctl", "stop", *units)
        if not timers.said():
            timers.host.run("touch", "-d", "2 days ago", *(f"{STAMPS}/stamp-{unit}" for unit in units))
        timers.host.run("systemctl", "start", *units)
        wait_until(timers.said, 20)
    assert timers.said() == ["drill run-due db-connections --host lab --every 30d --missed once"]
    assert timers.show(units[0], "LastTriggerUSec") != ""
    assert timers.show(units[1], "LastTriggerUSec") == "", "it was never fired"
    assert timers.show(units[1], "NextElapseUSecRealtime") != ""


@pytest.fixture
def marked(irctl: Irctl, server: Any, tmp_path: Path) -> Irctl:
    """The command, with `lab` marked for drills and `prod1` not."""
    hosts = {"lab": host_of(server), "prod1": host_of(server, irctl_drills="no")}
    irctl.inventory = write_inventory(tmp_path, hosts)
    return irctl


def crontab() -> str:
    return subprocess.run(["crontab", "-l"], capture_output=True, text=True).stdout


@needs_cron
def test_a_schedule_is_listed_unchanged_by_a_second_run_and_removed_without_a_trace(cron: None, marked: Irctl) -> None:
    before = crontab()
    words = ("drill", "schedule", "db-connections", "block-ip", "--host", "lab", "--every", "7d", "--missed", "skip")
    dry = marked(*words, "--check")
    assert (dry.code, crontab()) == (0, before), dry.err
    assert dry.out.splitlines()[-1] == "would be changed"
    first = marked(*words, "--json")
    assert (first.code, first.json["outcome"]) == (0, "changed"), first.err
    lines = crontab()
    assert marked(*words, "--json").json["outcome"] == "unchanged"
    assert crontab() == lines
    listed = marked("drill", "schedule", "--list", "--json").json["schedules"]
    assert {(row["remediation"], row["host"], row["every"], row["missed"]) for row in listed} == {
        (name, "lab", "7d", "skip") for name in ("db-connections", "block-ip")
    }
    assert len({row["at"] for row in listed}) == 2, "they do not begin at once"
    assert marked("drill", "schedule", "block-ip", "--remove").out.splitlines()[-1] == "removed"
    assert len(marked("drill", "schedule", "--list", "--json").json["schedules"]) == 1
    assert marked("drill", "schedule", "--all", "--remove").code == 0
    assert crontab() == before
    assert marked("drill", "schedule", "--all", "--remove").out == "no such drill is scheduled\n"


@needs_cron
def test_what_cannot_be_drilled_is_refused_by_day_and_nothing_is_installed(cron: None, marked: Irctl) -> None:
    before = crontab()
    for words, code, said in (
        (("db-connections", "--host", "prod1"), REFUSED, "irctl_drills: allowed"),
        (("db-connections", "--host", "nosuch"), UNREACHABLE, "not in the inventory"),
        (("renew-certificate", "--host", "lab"), REFUSED, "the inventory does not say renew_certificate_name for lab"),
        (("nosuch", "--host", "lab"), INVALID, "nosuch"),
        (("db-connections",), INVALID, "--host: it must be given"),
        (("--host", "lab"), INVALID, "NAME: it must be given, or --all"),
        (("db-connections", "--host", "lab", "--every", "36h"), INVALID, "--every: whole days are needed"),
        (("db-connections", "--host", "lab", "--at", "24:00"), INVALID, "--at: a time of the day is needed"),
        (("nosuch", "--remove"), INVALID, "nosuch"),
    ):
        done = marked("drill", "schedule", *words)
        assert (done.code, crontab()) == (code, before), words
        assert said in done.err, words


@needs_cron
def test_of_all_what_the_inventory_does_not_say_enough_for_is_left_out_and_named(cron: None, marked: Irctl) -> None:
    done = marked("drill", "schedule", "--all", "--host", "lab", "--check", "--json")
    assert done.code == 0, done.err
    assert {"db-connections"} <= {row["remediation"] for row in done.json["schedules"]}
    assert "renew-certificate" not in {row["remediation"] for row in done.json["schedules"]}
    assert "warning: not scheduled: renew-certificate cannot be drilled: the inventory does not say" in done.err


@needs_cron
def test_cron_holds_a_drill_that_is_due_and_its_record_says_that_it_was_scheduled(
    cron: None, marked: Irctl, wait_until: Wait
) -> None:
    place = list(catalog.names([OURS])).index("db-connections")
    at = datetime.now(UTC).astimezone() + timedelta(seconds=75) - timedelta(minutes=place)
    done = marked("drill", "schedule", "db-connections", "--host", "lab", "--at", f"{at:%H:%M}")
    assert done.code == 0, done.err
    [held] = wait_until(lambda: [one for one in history.history(marked.home) if one.verdict], 200)
    assert (held.remediation, held.hosts, held.scheduled, held.verdict) == ("db-connections", ("lab",), True, "fixed"), held
    again = marked("drill", "run-due", "db-connections", "--host", "lab", "--every", "30d", "--missed", "once")
    assert (again.code, again.out.startswith("nothing is due: db-connections was drilled on ")) == (0, True)
    assert len(history.history(marked.home)) == 1
    [row] = marked("drill", "report", "--json").json["drills"]
    assert (row["scheduled"], row["verdict"]) == (True, "fixed")
    assert marked("drill", "report", "--html", str(marked.home / "report.html")).code == 0
    assert marked("drill", "schedule", "--all", "--remove").code == 0
