"""Changes that end by themselves, whatever becomes of the processes, the clock, the disk and the machine. Promise 10."""

from __future__ import annotations

import fcntl
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from irctl.catalog import config
from irctl.errors import BUSY, EVIDENCE, FAILED, INVALID, REFUSED, Invalid
from irctl.leases import register
from irctl.orders import lease_change
from irctl.record import locks
from tests.conftest import Done, needs_root
from tests.integration.conftest import Collection, needs_cron

Wait = Callable[..., Any]
FIVE_TIMES = pytest.mark.parametrize("time_number", range(5))


OF_HOST = "{{ inventory_hostname | regex_replace('[^A-Za-z0-9_.-]', '_') }}"


class Switch:
    """A remediation that writes `on` into a file, and can write back what it had found; the file is the world."""

    def __init__(self, collection: Collection, folder: Path) -> None:
        self.irctl, self.file = collection.irctl, folder / "switch"
        self.file.write_text("off\n")
        root = collection.root
        keep = "'{{ run_evidence_root }}/" + OF_HOST + "'"
        keep = f"mkdir -p {keep} && cp {self.file} {keep}/revert.json"
        put = f"grep -qx on {self.file} || {{{{ 'sleep 3;' if {str(folder / 'slow')!r} is exists else '' }}}} echo on > {self.file}"
        collection.role(
            "switch",
            capture=f"ansible.builtin.shell: |\n  {keep}\nchanged_when: false",
            change=f"ansible.builtin.shell: |\n  {put}\nchanged_when: __done_gather.stdout != 'on'",
            gather=f"ansible.builtin.command: cat {self.file}\nchanged_when: false\ncheck_mode: false",
        )
        self._revert(root / "roles" / "switch")
        play = {"name": "Switch", "hosts": "{{ irctl_target }}", "gather_facts": False}
        role = {"name": "acme.fixes.switch", "tasks_from": "{{ irctl_entry_point | default('main') }}", "rolespec_validate": False}
        task = {"name": "Carry out", "ansible.builtin.import_role": role}
        (root / "playbooks" / "switch.yml").write_text(yaml.safe_dump([{**play, "tasks": [task]}]))
        about = yaml.safe_load((root / "roles" / "switch" / "meta" / "remediation.yml").read_text())
        about |= {"lease": {"limit": "1h"}, "approvals": [], "entry_points": {"revert": {"summary": "Put it back"}}}
        about |= {"parameters": {"force": {"type": "bool", "in": ["revert"], "description": "Even so."}}}
        (root / "roles" / "switch" / "meta" / "remediation.yml").write_text(yaml.safe_dump(about))

    def _revert(self, role: Path) -> None:
        kept = "{{ run_revert_root }}/" + OF_HOST + "/revert.json"
        since = f"grep -qx on {self.file} || cmp -s {self.file} {kept} || [ '{{{{ switch_force | default(false) }}}}' = True ]"
        steps = [
            {"name": "Gather | Now", "ansible.builtin.command": f"cat {self.file}", "register": "__now", "changed_when": False},
            {"name": "Guard | Nobody else has changed it", "ansible.builtin.shell": since, "changed_when": False},
            {"name": "Change | Put it back", "ansible.builtin.copy": {"src": kept, "dest": str(self.file)}, "register": "__put"},
            {"name": "Report | Done", "irctl.runbooks.report": {"change": "__put"}, "run_once": True},
        ]
        (role / "tasks" / "revert.yml").write_text(yaml.safe_dump(steps))

    @property
    def state(self) -> str:
        return self.file.read_text().strip()

    def on(self, *words: str, **environment: str) -> Done:
        return self.irctl("remediate", "switch", "--host", "here", "--json", *words, **environment)

    def tick(self, stepped: int = 0) -> Done:
        """What a timer does; `stepped` is by how many seconds the clock is wrong. What counts since boot goes on as it was."""
        words = ["leases", "run-due", "--every", "1m"]
        if not stepped:
            return self.irctl(*words)
        wrong = f"import time; right = time.time; time.time = lambda: right() + {stepped}"
        return self.irctl.python(f"{wrong}; import irctl.cli.app; irctl.cli.app.main({words})")

    def leases(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.irctl("leases", "--json").json["leases"]
        return found

    def pass_time(self, seconds: float) -> None:
        """As if every lease had been armed so much earlier."""
        for path in self.files():
            lease = json.loads(path.read_text())
            lease["armed"]["uptime"] -= seconds
            path.write_text(json.dumps(lease))

    def files(self) -> list[Path]:
        return sorted((self.irctl.home / "leases").glob("*.json"))


@pytest.fixture
def switch(collection: Collection, tmp_path: Path) -> Switch:
    switch = Switch(collection, tmp_path)
    assert switch.tick().code == 0
    return switch


def test_a_lease_is_shown_and_ends_by_itself_and_its_change_with_it(switch: Switch) -> None:
    done = switch.on("--for", "20s")
    assert (done.code, switch.state) == (0, "on"), done.out
    [lease] = switch.leases()
    assert (lease["run"], lease["hosts"], lease["state"]) == (done.json["run"], ["here"], "on")
    assert switch.irctl("leases").out.splitlines()[1].split()[:4] == [lease["run"], "switch", "here", lease["owner"]]
    time.sleep(max(lease["left"], 0) + 1)
    ended = switch.tick()
    assert (ended.code, switch.state) == (0, "off")
    assert ended.out.startswith("ended: switch on here")
    assert "changed by 2" in ended.out
    assert switch.leases() == []
    assert switch.tick().out == "", "it is ended once"


def test_before_it_is_over_nothing_ends_it(switch: Switch) -> None:
    done = switch.on("--for", "1m")
    assert done.code == 0, done
    assert (switch.tick().out, switch.state) == ("", "on")


def test_where_nothing_would_end_it_nothing_is_changed(switch: Switch) -> None:
    (switch.irctl.home / "leases" / "beat").unlink()
    done = switch.on("--for", "1m")
    assert (done.code, switch.state) == (REFUSED, "off")
    assert "irctl leases install" in done.json["reason"]
    assert switch.files() == []


def test_a_lease_of_no_length_or_beyond_its_limit_is_bad_input(switch: Switch) -> None:
    for length in ("0", "0s", "10", "-1m", "61m", "2h", "1.5h", ""):
        done = switch.on("--for", length)
        assert (done.code, switch.state) == (INVALID, "off"), length
        assert done.err.startswith("error: --for: ")


def test_a_dry_run_and_a_run_that_changes_nothing_leave_no_lease(switch: Switch) -> None:
    assert "no lease is on" not in switch.on("--for", "1m", "--check").err
    assert (switch.state, switch.files()) == ("off", [])
    switch.file.write_text("on\n")
    done = switch.on("--for", "1m")
    assert done.json["outcome"] == "unchanged"
    assert done.err == "warning: nothing was changed, so no lease is on; what was so before does not end by itself\n"
    assert switch.files() == []


@FIVE_TIMES
def test_it_ends_although_its_run_was_killed_in_the_middle(
    switch: Switch, tmp_path: Path, time_number: int, wait_until: Wait
) -> None:
    (tmp_path / "slow").touch()
    process = switch.irctl.start("remediate", "switch", "--host", "here", "--for", "1m")
    wait_until(switch.files, 20)
    time.sleep(0.3 * time_number)
    process.kill()
    process.wait()
    switch.pass_time(60)
    switch.tick()
    assert switch.state == "off"
    assert switch.leases() == []


@FIVE_TIMES
def test_it_ends_although_its_end_was_killed(switch: Switch, time_number: int) -> None:
    switch.on("--for", "1m")
    switch.pass_time(60)
    process = switch.irctl.start("leases", "run-due", "--every", "1m")
    time.sleep(0.2 + 0.25 * time_number)
    process.kill()
    process.wait()
    switch.tick()
    assert switch.state == "off"
    assert switch.leases() == []


def test_a_second_one_while_it_is_on_is_refused_and_the_first_state_comes_back(switch: Switch) -> None:
    first = switch.on("--for", "1m").json
    for words in (("--for", "1h"), ()):
        second = switch.on(*words)
        assert second.code == REFUSED
        assert f"irctl leases extend {first['run']}" in second.json["reason"]
    switch.pass_time(60)
    switch.tick()
    assert switch.state == "off"


@pytest.mark.parametrize("step", [7200, -7200])
def test_a_clock_that_is_stepped_changes_nothing(switch: Switch, step: int) -> None:
    switch.on("--for", "1m")
    for _ in range(5):
        assert (switch.tick(step).out, switch.state) == ("", "on"), "not before its time"
    switch.pass_time(60)
    said = switch.tick(step)
    assert switch.state == "off", said.out + said.err


@pytest.mark.parametrize("step", [7200, -7200, 0])
def test_a_reboot_with_a_stepped_clock_does_not_keep_it_on(switch: Switch, step: int) -> None:
    """The file as it looks after a reboot: another boot's id, armed late in that boot."""
    switch.on("--for", "1m")
    [path] = switch.files()
    lease = json.loads(path.read_text())
    lease["armed"] |= {"boot": "another-boot", "uptime": 9_000_000.0, "utc": lease["armed"]["utc"] - 60}
    path.write_text(json.dumps(lease))
    said = switch.tick(step)
    assert switch.state == "off", said.out + said.err


@needs_root
def test_a_full_disk_does_not_keep_it_on(small_disk: Path, collection: Collection, tmp_path: Path) -> None:
    collection.irctl.home = small_disk / "home"
    switch = Switch(collection, tmp_path)
    switch.tick()
    done = switch.on("--for", "1m")
    assert done.code == 0, done.out
    subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/filler", "bs=4k"], check=False, stderr=subprocess.DEVNULL)
    switch.pass_time(60)
    said = switch.tick()
    assert switch.state == "off", said.err + said.out
    (small_disk / "filler").unlink()
    switch.tick()
    assert switch.leases() == []


@needs_root
def test_no_lease_is_armed_on_a_full_disk(small_disk: Path, collection: Collection, tmp_path: Path) -> None:
    collection.irctl.home = small_disk / "home"
    switch = Switch(collection, tmp_path)
    switch.tick()
    subprocess.run(["fallocate", "-l", "39M", str(small_disk / "filler")], check=False)
    done = switch.on("--for", "1m")
    assert (done.code, switch.state) == (EVIDENCE, "off")


def test_an_end_that_fails_is_tried_again_and_said_by_every_command(switch: Switch) -> None:
    run = switch.on("--for", "1m").json["run"]
    switch.file.write_text("somebody else's\n")
    switch.pass_time(60)
    failed = switch.tick()
    assert failed.code == FAILED
    assert failed.out.startswith("FAILED: switch on here could not be ended")
    assert switch.state == "somebody else's", "what somebody else has set is left alone"
    assert "could not be ended (1 attempts)" in switch.irctl("runs").err
    assert switch.tick().out == "", "a minute later, not at once"
    switch.file.write_text("on\n")
    assert switch.irctl("leases", "end", run).code == 0
    assert (switch.state, switch.leases()) == ("off", [])


def test_a_lease_that_cannot_be_ended_is_given_up_with_a_reason_or_forced(switch: Switch) -> None:
    run = switch.on("--for", "1m").json["run"]
    assert switch.irctl("leases", "close", run, "because").code == REFUSED, "it can be ended"
    switch.file.write_text("somebody else's\n")
    switch.pass_time(60)
    switch.tick()
    assert switch.irctl("leases", "end", run).code == FAILED
    assert switch.irctl("leases", "close", run, "made permanent by change 4711").code == 0
    assert (switch.state, switch.leases()) == ("somebody else's", [])
    assert "change 4711" in (switch.irctl.home / "journal.jsonl").read_text()


def test_the_watch_ends_what_is_over_goes_on_after_what_fails_and_ends_well_when_it_is_stopped(
    switch: Switch, wait_until: Wait
) -> None:
    run = switch.on("--for", "1m").json["run"]
    broken = switch.irctl.home / "drills" / "INC-2026-1121-001"
    broken.parent.mkdir(mode=0o700)
    broken.touch(mode=0o600)  # a drill without a journal
    watch = switch.irctl.start("leases", "watch", "--every", "5s")
    try:
        switch.pass_time(60)
        wait_until(lambda: switch.state == "off" and not switch.files(), 60)
        switch.on("--for", "1m")
        switch.pass_time(60)
        wait_until(lambda: switch.state == "off" and not switch.files(), 60)
    finally:
        watch.terminate()
    _, err = watch.communicate(timeout=60)
    assert watch.returncode == 0, err
    assert f"ended: switch on here ({run})" in err
    assert "FAILED: drill INC-2026-1121-001" in err
    assert "Traceback" not in err


def test_while_somebody_ends_it_a_lease_is_neither_extended_nor_given_up(switch: Switch) -> None:
    """What was read before the other's end would be written back, and the lease be on again."""
    run = switch.on("--for", "1m").json["run"]
    switch.file.write_text("somebody else's\n")
    switch.pass_time(60)
    switch.tick()
    [before] = [path.read_bytes() for path in switch.files()]
    held = locks.hold(switch.irctl.home / "locks" / f"lease-{run}")
    assert held is not None
    for words in (("extend", run, "--for", "10m"), ("close", run, "made permanent")):
        refused = switch.irctl("leases", *words)
        assert (refused.code, "being ended just now" in refused.err) == (BUSY, True), refused.err
    assert [path.read_bytes() for path in switch.files()] == [before]
    locks.release([held])
    assert switch.irctl("leases", "close", run, "made permanent").code == 0


def test_a_lease_that_ended_while_its_extension_waited_stays_ended(switch: Switch) -> None:
    run = switch.on("--for", "1m").json["run"]
    settings = config.load({"home": str(switch.irctl.home)}, {})
    lease = register.find(switch.irctl.home, run)
    assert switch.irctl("leases", "end", run).code == 0
    with pytest.raises(Invalid, match="no lease of"):
        lease_change.extend(settings, lease, 600, lambda what, about: None)
    assert (switch.leases(), switch.state) == ([], "off")


def test_it_is_extended_from_now_and_never_beyond_its_limit(switch: Switch) -> None:
    run = switch.on("--for", "1m").json["run"]
    assert switch.irctl("leases", "extend", run[-6:], "--for", "30m").code == 0
    switch.pass_time(60)
    assert (switch.tick().out, switch.state) == ("", "on")
    beyond = switch.irctl("leases", "extend", run, "--for", "1h")
    assert beyond.code == REFUSED
    assert "ends 1h after its start at the latest: --for 35" in beyond.err
    assert switch.irctl("leases", "end", run).code == 0
    assert switch.state == "off"


def test_a_busy_target_is_tried_again(switch: Switch) -> None:
    switch.on("--for", "1m")
    switch.pass_time(60)
    lock = next((switch.irctl.home / "locks").glob("anything-*"))
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert switch.tick().code == FAILED
    [path] = switch.files()
    lease = json.loads(path.read_text())
    lease["tried"]["uptime"] -= 61
    path.write_text(json.dumps(lease))
    switch.tick()
    assert (switch.state, switch.leases()) == ("off", [])


def test_two_timers_at_once_end_it_once(switch: Switch) -> None:
    switch.on("--for", "1m")
    switch.pass_time(60)
    both = [switch.irctl.start("leases", "run-due", "--every", "1m") for _ in range(2)]
    said = "".join(process.communicate(timeout=60)[0] for process in both)
    assert said.count("ended: ") == 1
    assert switch.state == "off"
    runs = [row for row in switch.irctl("runs", "--json").json["runs"] if row["remediation"] == "switch revert"]
    assert len(runs) == 1


def test_a_run_is_reverted_by_hand_once_and_its_lease_is_over(switch: Switch) -> None:
    run = switch.on("--for", "1h").json["run"]
    dry = switch.irctl("revert", run, "--check", "--json")
    assert (dry.json["outcome"], switch.state) == ("changed", "on")
    done = switch.irctl("revert", run[-6:], "--json")
    assert (done.json["outcome"], switch.state) == ("changed", "off"), done.err
    assert switch.leases() == []
    assert switch.irctl("revert", run, "--json").json["outcome"] == "unchanged"


def test_a_revert_leaves_alone_what_somebody_else_has_set_unless_told(switch: Switch) -> None:
    run = switch.on().json["run"]
    switch.file.write_text("somebody else's\n")
    assert switch.irctl("revert", run, "--json").json["outcome"] == "refused"
    assert switch.state == "somebody else's"
    assert switch.irctl("revert", run, "--force", "--json").json["outcome"] == "changed"
    assert switch.state == "off"


def test_a_revert_from_a_record_that_was_changed_is_refused(switch: Switch) -> None:
    done = switch.on().json
    (Path(done["folder"]) / "evidence" / "here" / "revert.json").write_text("evil\n")
    refused = switch.irctl("revert", done["run"])
    assert (refused.code, switch.state) == (EVIDENCE, "on")
    assert "is not as it was sealed: changed: evidence/here/revert.json" in refused.err


def test_while_everything_is_stopped_no_change_is_made_and_a_lease_still_ends(switch: Switch) -> None:
    switch.on("--for", "1m")
    assert switch.irctl("stop", "the storage is being moved").code == 0
    (switch.irctl.home / "stopped.json").unlink()  # the journal knows it
    for words in (("remediate", "switch", "--host", "there"), ("revert", switch.leases()[0]["run"])):
        refused = switch.irctl(*words)
        assert refused.code == REFUSED
        assert "the storage is being moved. To allow them again: irctl resume" in refused.err
    assert switch.irctl("leases", "end", switch.leases()[0]["run"]).code == REFUSED
    assert list((switch.irctl.home / "leases").glob("*.ballast")), "space for its end is still kept back"
    assert switch.irctl("remediate", "switch", "--host", "there", "--check").code == 0
    switch.pass_time(60)
    switch.tick()
    assert switch.state == "off"
    assert switch.irctl("resume").code == 0
    assert switch.on().code == 0


@needs_cron
def test_the_timer_that_is_installed_ends_a_lease_when_every_process_of_irctl_was_killed(
    switch: Switch, cron: None, tmp_path: Path, wait_until: Wait
) -> None:
    (switch.irctl.home / "leases" / "beat").unlink()
    installed = subprocess.Popen.wait(switch.irctl.start("leases", "install"), 150)
    assert installed == 0
    assert switch.irctl("leases", "install", "--json").json["outcome"] == "unchanged"
    (tmp_path / "slow").touch()
    process = switch.irctl.start("remediate", "switch", "--host", "here", "--for", "20s")
    wait_until(lambda: switch.state == "on", 20)
    process.kill()
    subprocess.run(["pkill", "-KILL", "-f", str(switch.irctl.home)], check=False)
    wait_until(lambda: switch.state == "off", 140)
    wait_until(lambda: not switch.files(), 20)
    assert switch.irctl("leases", "install", "--remove").code == 0
    assert str(switch.irctl.home) not in subprocess.run(["crontab", "-l"], capture_output=True, text=True).stdout
