"""Leases that their own hosts end, with a real systemd, when nothing is left of the controller. Promise 10."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.integration.leases.far import ATTACKER, EDGE, WITHIN, Far, controllers, kill_all, make, stored
from tools.test_hosts import podman

Wait = Callable[..., Any]


def test_the_host_ends_it_when_every_process_and_the_home_of_the_controller_are_gone(
    far: Far, tmp_path: Path, wait_until: Wait
) -> None:
    """Five times, at once."""
    length, five = 60, controllers(far.set, tmp_path)
    running = {one.database: one.irctl.start(*one.order, "--for", f"{length}s") for one in five}

    def kill_when_it_is_frozen(one: Far) -> None:
        process = running[one.database]
        wait_until(lambda: one.frozen or process.poll() is not None, 60)
        assert process.poll() is None, process.communicate()
        kill_all(process)
        shutil.rmtree(one.irctl.home)

    with ThreadPoolExecutor() as pool:
        list(pool.map(kill_when_it_is_frozen, five))
    armed = {one.database: one.lease()["armed"]["uptime"] for one in five}
    ended: dict[str, float] = {}

    def all_have_ended() -> bool:
        now, frozen = time.clock_gettime(time.CLOCK_BOOTTIME), stored(far.host)
        ended.update({name: now for name in armed if name not in frozen and name not in ended})
        return ended.keys() == armed.keys()

    wait_until(all_have_ended, length + WITHIN)
    assert all(ended[name] - armed[name] >= length for name in armed), (armed, ended)
    assert all(one.takes_writes for one in five)
    for name in armed:
        line = f"is over and was ended: {name} put back to unset, seen in new sessions"
        wait_until(lambda line=line: line in far.journal("--since=-5min"), 20)


def test_addresses_that_nginx_denies_get_through_again_when_the_controller_is_gone(
    far: Far, tmp_path: Path, wait_until: Wait
) -> None:
    edge = Far(far.set, make(far.set, tmp_path / "edge", **EDGE))
    edge.host.run("sh", "-c", f"printf '' > {EDGE['edge_nginx_include']}; systemctl restart nginx")
    with edge.set.outsider(ATTACKER) as there:

        def answer() -> str:
            curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", f"http://{edge.host.address}/"]
            return subprocess.run([*there, *curl], capture_output=True, text=True).stdout

        assert answer() == "200"
        process = edge.irctl.start("remediate", "block-ip", "--host", "h1", "--address", ATTACKER, "--for", "25s")
        wait_until(lambda: answer() == "403", 60)
        kill_all(process)
        shutil.rmtree(edge.irctl.home)
        wait_until(lambda: answer() == "200", 25 + WITHIN)


def test_a_change_that_comes_after_the_end_of_a_short_lease_is_undone_too(far: Far) -> None:
    """A run that was slower than its own lease: the end came first."""
    far.leased()
    far.rewrite(uptime=-1800.0 + 615)
    kept = {**far.lease(), "seconds": 600}
    far.write(kept | {"settles": 2400})
    assert (far.look(), far.frozen, len(far.armed)) == (0, False, 1), "ended, and still there"
    far.set_read_only("on")
    assert (far.look(), far.frozen, len(far.armed)) == (0, False, 1)
    far.set_read_only("off")
    assert (far.look(), far.stored) == (0, "default_transaction_read_only=off"), "somebody else's is let be"
    far.rewrite(uptime=-2400.0)
    assert (far.look(), far.nothing_left) == (0, True)


def test_a_reboot_of_the_host_does_not_keep_it_on(far: Far, wait_until: Wait) -> None:
    """As after a real reboot, which a container has not: another boot's id, and by the clock it is over. Twice."""
    far.leased()
    far.keep()
    for _ in range(2):
        far.host.run("systemctl", "stop", f"irctl-lease-{far.armed[0]}.timer")  # it is enabled, so the boot starts it
        far.rewrite(boot="another-boot", uptime=9_000_000.0, utc=-1800)
        assert far.frozen
        podman.podman("restart", "--time", "5", far.host.container)
        wait_until(lambda: far.host.run("systemctl", "is-active", "postgresql@15-main", check=False).returncode == 0, 60)
        wait_until(lambda: not far.frozen, WITHIN)
        wait_until(lambda: far.nothing_left, 20)
        far.again()


def test_nothing_but_time_ends_it_on_the_host(far: Far) -> None:
    """The clock is stepped either way, five times each; then its time is up. For reboots see tests/unit/host/test_leases.py."""
    far.leased()
    for _ in range(5):
        for step in (7200, -7200):
            far.rewrite(utc=step)
            assert (far.look(), far.frozen) == (0, True), step
            far.rewrite(utc=-step)
    far.rewrite(uptime=-1800.0)
    assert (far.look(), far.frozen, far.nothing_left) == (0, False, True)


def test_a_clock_that_was_set_back_across_a_reboot_does_not_keep_it_on(far: Far) -> None:
    """Half an hour of the boot before was seen, and now the clock is two hours wrong. Five times."""
    far.leased()
    far.keep()
    for _ in range(5):
        far.rewrite(boot="another-boot", uptime=9_000_000.0, utc=7200, seen=1800)
        assert (far.look(), far.frozen, far.nothing_left) == (0, False, True)
        far.again()


def test_a_revert_that_fails_on_the_host_is_loud_and_tried_again_until_it_succeeds(far: Far) -> None:
    far.leased()
    far.rewrite(uptime=-1800.0)
    far.host.run("systemctl", "stop", "postgresql@15-main")
    assert far.look() != 0
    loud = far.journal("--priority=err", "--since=-5min")
    assert "is over and could not be ended (1 attempts): PostgreSQL does not answer" in loud
    lease = far.lease()
    assert (lease["attempts"], "does not answer" in lease["why"]) == (1, True)
    far.host.run("systemctl", "start", "postgresql@15-main")
    assert (far.look(), far.frozen) == (0, True), "a minute later, not at once"
    lease["tried"]["uptime"] -= 61
    far.write(lease)
    assert (far.look(), far.frozen, far.nothing_left) == (0, False, True)


def test_what_somebody_else_has_changed_since_is_left_alone_until_it_is_given_up(far: Far) -> None:
    run = far.leased()
    far.set_read_only("off")
    far.rewrite(uptime=-1800.0)
    assert far.look() != 0
    assert far.stored == "default_transaction_read_only=off"
    assert "Somebody else has changed default_transaction_read_only of shop since" in far.journal("--since=-5min")
    [path] = (far.irctl.home / "leases").glob("*.json")
    lease = json.loads(path.read_text())
    lease["armed"]["uptime"] -= 1800
    path.write_text(json.dumps(lease))
    assert "FAILED: db-freeze-writes on h1" in far.irctl("leases", "run-due").out
    closed = far.irctl("leases", "close", run, "made permanent by change 4711")
    assert (closed.code, far.on(), far.nothing_left) == (0, [], True), closed


def test_both_ends_at_once_are_harmless(far: Far, tmp_path: Path) -> None:
    """Five times, each at another moment of the other's; either order is right."""
    five = controllers(far.set, tmp_path)
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(Far.leased, five))
        for one in five:
            one.rewrite(uptime=-1800.0)
        here = [pool.submit(one.irctl, "leases", "end", run) for one, run in zip(five, runs, strict=True)]
        there = []
        for one in five:
            there += [pool.submit(one.look, name) for name in one.armed]
            time.sleep(0.7)
    assert [end.result().code for end in here] == [0] * 5, [end.result() for end in here]
    assert {end.result() for end in there} <= {0, 1, 5}, "done, or gone: before it was started, or while it was"
    loud = [line for line in far.journal("--since=-30min").splitlines() if "could not be ended" in line]
    assert [line for line in loud if any(run in line for run in runs)] == []
    assert (stored(far.host), far.nothing_left, [one.on() for one in five]) == ({}, True, [[]] * 5)
