"""When a host ends a lease by itself, what it keeps of it, and which second one it refuses. Promise 10."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import moments, programs
from ansible_collections.irctl.runbooks.plugins.module_utils.host import leases
from ansible_collections.irctl.runbooks.plugins.module_utils.host.leases import HostLease, clash, name_of, parse, text, units
from ansible_collections.irctl.runbooks.plugins.module_utils.moments import RETRY, Moment
from ansible_collections.irctl.runbooks.plugins.modules import host_lease
from tests.servers.acme import wait_until

HOUR = 3600.0
START = Moment(utc=1_000_000.0, uptime=500.0, boot="a")
RECORD: dict[str, Any] = {
    "captured": {"shop": None},
    "sets": {"shop": "on"},
    "on": {"system_identifier": "7", "databases": {"shop": 5}},
}
LEASE = HostLease("run.h1", 1800.0, START, "pg_writes", "postgres", ["/usr/bin/python3"], RECORD, settles=615.0)


def after(seconds: float, *, step: float = 0.0, boot: str = "a", uptime: float | None = None) -> Moment:
    return Moment(START.utc + seconds + step, START.uptime + seconds if uptime is None else uptime, boot)


@pytest.mark.parametrize("step", [-2 * HOUR, 0.0, 2 * HOUR])
def test_it_is_over_when_its_time_is_up_whatever_the_clock_says(step: float) -> None:
    assert [LEASE.due(after(seconds, step=step)) for seconds in (0, 1799, 1800, 9000)] == [False, False, True, True]


def test_a_reboot_does_not_end_it_before_its_time_and_does_not_keep_it() -> None:
    seen = LEASE.seen(after(600))
    assert [seen.due(after(seconds, boot="b", uptime=30.0)) for seconds in (660, 1799, 1800)] == [False, False, True]


def test_a_clock_that_was_set_back_across_a_reboot_does_not_keep_it() -> None:
    seen = LEASE.seen(after(600))
    looks = [seen.due(after(600 + uptime, step=-2 * HOUR, boot="b", uptime=uptime)) for uptime in (1199.0, 1200.0)]
    assert looks == [False, True], "ten minutes of the first boot were seen, and 20 of this one"


def test_an_attempt_that_failed_is_tried_again_later_and_later_for_ever() -> None:
    failed, now = LEASE, after(1800)
    for pause in (*RETRY, RETRY[-1], RETRY[-1]):
        failed = failed.failed(now, "nobody answers")
        last = now
        assert not failed.due(replace(last, uptime=last.uptime + pause - 1))
        now = replace(last, uptime=last.uptime + pause)
        assert failed.due(now)
    assert (failed.attempts, failed.why) == (len(RETRY) + 2, "nobody answers")


def test_until_its_run_is_over_a_change_may_still_come() -> None:
    short = replace(LEASE, seconds=10.0)
    assert [(short.due(after(seconds)), short.settled(after(seconds))) for seconds in (9, 10, 614, 615)] == [
        (False, False),
        (True, False),
        (True, False),
        (True, True),
    ]


def test_it_is_made_longer_or_shorter_from_now() -> None:
    assert LEASE.lasting(after(600), 3000).remaining(after(600)) == 3000
    assert LEASE.lasting(after(600), 60).seconds == 660


def test_what_is_written_down_is_read_again_as_it_was() -> None:
    failed = LEASE.seen(after(60)).failed(after(1800), "PostgreSQL does not answer")
    assert parse(text(LEASE)) == LEASE
    assert parse(text(failed)) == failed
    for broken in ("", "{}", "[]", text(LEASE)[:-9], text(LEASE).replace('"armed"', '"alarmed"')):
        with pytest.raises(ValueError):  # noqa: PT011 - json's own, or ours
            parse(broken)


def test_a_second_one_of_the_same_thing_is_refused_and_of_anything_else_is_not() -> None:
    def new(**record: Any) -> HostLease:
        return replace(LEASE, name="other.h1", record={**RECORD, **record})

    assert "as run.h1: its captured state would be the changed one" in clash(new(), [LEASE])
    assert clash(new(sets={"shop": "on", "till": "on"}), [LEASE]), "one of them is enough"
    assert not clash(new(sets={"till": "on"}), [LEASE])
    assert not clash(new(on={"system_identifier": "8"}), [LEASE]), "another server of the same machine"
    assert not clash(replace(new(), module="block_list"), [LEASE])
    assert not clash(replace(new(), alone=False), [LEASE])
    assert not clash(new(), [])
    assert clash(new(captured={"shop": "on"}), [LEASE]), "it would capture the changed state"
    idle = replace(LEASE, record={**RECORD, "captured": {"shop": "on"}})
    assert not clash(new(), [idle]), "a run that found all as it should be has changed nothing"


def test_two_names_of_one_machine_have_leases_of_their_own_and_no_name_leads_elsewhere() -> None:
    assert len({name_of("20261121T022311Z-freeze-7f3a01", host) for host in ("h1", "h2", "H1")}) == 3
    assert name_of("evidence-1", "db 1/../x%i") == "evidence-1.db_1_.._x_i"
    for run in ("", "..", "-x", "/"):
        with pytest.raises(ValueError, match="no lease can be called"):
            name_of(run, "h1")


def test_its_units_look_often_start_after_a_reboot_and_take_nothing_for_a_specifier() -> None:
    made = units(replace(LEASE, python=["/opt/my python%n/bin/python3", "-I"]))
    service, timer = made["irctl-lease-run.h1.service"], made["irctl-lease-run.h1.timer"]
    assert f'ExecStart="/opt/my python%%n/bin/python3" "-I" {leases.ROOT}/run.h1/look.py' in service
    assert "WantedBy=timers.target" in timer
    assert "OnBootSec=15" in timer


def test_a_look_that_waited_while_the_lease_was_disarmed_raises_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(leases, "ROOT", str(tmp_path))
    monkeypatch.setattr(leases, "UNITS", str(tmp_path / "units"))
    folder = tmp_path / LEASE.name
    folder.mkdir()
    (folder / host_lease.ABOUT).write_text(text(replace(LEASE, armed=moments.now())))
    waits = f":{folder.stat().st_ino} "
    with ThreadPoolExecutor() as pool:
        with programs.alone(str(folder)):
            looking = pool.submit(host_lease.run, {"state": "due", "name": LEASE.name}, False)
            wait_until(lambda: any("-> FLOCK" in line and waits in line for line in Path("/proc/locks").read_text().splitlines()))
            shutil.rmtree(folder)
        assert looking.result() == {"changed": False, "msg": "not armed any more"}
    assert (capfd.readouterr().err, list(tmp_path.iterdir())) == ("", [])
