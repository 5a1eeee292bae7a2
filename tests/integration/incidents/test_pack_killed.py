"""A pack whose making was killed, or for which the disk had no room, is the one before or the new one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from irctl.errors import Busy
from irctl.incidents import incidents, pack_place
from irctl.record import journal, verify
from tests.cli.conftest import listing
from tests.integration.incidents.packs import Case

PACK = """
import sys
from pathlib import Path
from irctl.catalog import config
from irctl.incidents import pack, pack_place
print("ready", flush=True)
sys.stdin.readline()
pack.pack(Path(sys.argv[1]), sys.argv[2], config.load({}, {"IRCTL_SIGNING_KEY": sys.argv[3]}))
"""


def packed(case: Case, kill_after: float | None) -> float:
    """Seal in a process of its own, killed after so many seconds of work; the seconds that it took."""
    words = [sys.executable, "-c", PACK, str(case.home), case.incident, str(case.key)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    process.stdout.readline()
    begun = time.monotonic()
    process.stdin.write(b"\n")
    process.stdin.flush()
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return time.monotonic() - begun


def test_a_pack_killed_at_any_moment_is_the_one_before_or_the_new_one(case: Case) -> None:
    """Where it was killed while it was put in place, the next look at it finishes that."""
    chance = random.Random(4711)
    case.pack()
    took = packed(case, None)
    kept = set()
    for number in range(40):
        incidents.record(case.home, case.incident, {"event": "note", "text": f"note {number}", "by": "ana"})
        before = verify.read_manifest(case.folder)[1]
        packed(case, chance.uniform(number, number + 1) / 40 * took * 1.5)
        assert case.differences() == []
        kept.add(verify.read_manifest(case.folder)[1] == before)
    assert True in kept
    while kept == {True}:  # a busier machine than at the start
        took *= 2
        incidents.record(case.home, case.incident, {"event": "note", "text": f"after {took}", "by": "ana"})
        before = verify.read_manifest(case.folder)[1]
        packed(case, took)
        kept.add(verify.read_manifest(case.folder)[1] == before)
    assert case.pack().code == 0
    assert case.differences() == []
    assert not list((case.home / "staging").glob("pack-*"))


STEPS = ("rename", "link", "unlink", "mkdir", "rmdir")


@pytest.mark.parametrize("number", range(0, 60, 3))
def test_a_pack_killed_at_each_step_of_being_put_in_place_is_finished_later(case: Case, number: int) -> None:
    """The kill comes just before the numbered change to a folder after the pack was made ready."""
    case.pack()
    incidents.record(case.home, case.incident, {"event": "note", "text": "more", "by": "ana"})
    script = f"""
import os, sys
from irctl.incidents import pack, pack_place
left = [{number}]
def dying(event, arguments):
    if event in {tuple(f"os.{step}" for step in STEPS)!r} and counting:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), 9)
counting = []
sys.addaudithook(dying)
finish = pack_place.finish
def counted(*given):
    counting.append(1)
    finish(*given)
    counting.clear()
pack_place.finish = counted
{PACK.split("sys.stdin.readline()")[1]}
"""
    words = [sys.executable, "-c", f"from pathlib import Path\nfrom irctl.catalog import config\n{script}"]
    done = subprocess.run([*words, str(case.home), case.incident, str(case.key)], capture_output=True)
    assert done.returncode in (0, -9), done.stderr
    assert case.differences() == []
    assert (
        verify.read_manifest(case.folder)[1] == [e["manifest"] for e in journal.read(case.home) if e["event"] == "pack-sealed"][-1]
    )


def test_while_a_pack_is_checked_none_is_made(case: Case) -> None:
    case.pack()
    with pack_place.at_rest(case.home, case.incident):
        done = case.irctl("incident", "pack", case.incident)
        assert done.code == 6
        assert case.verify().code == 0
    with pack_place.locked(case.home, case.incident, 2), pytest.raises(Busy), pack_place.at_rest(case.home, case.incident):
        raise AssertionError("it was let in")


def without_journal(case: Case) -> dict[str, Any]:
    """What lies in the incident's folder, but for the journal, which may have grown."""
    return {name: about for name, about in listing(case.folder).items() if not name.endswith("/journal.jsonl")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk of its own")
def test_a_full_disk_leaves_the_old_pack_as_it_was(case: Case, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", disk], capture_output=True).returncode:
        pytest.skip("this machine does not let its root mount")
    try:
        shutil.copytree(case.home, disk / "home")
        case.irctl.home = disk / "home"
        assert case.pack().code == 0
        before = without_journal(case)
        filler = disk / "filler"
        script = f"from irctl.record import runs\nruns.require_room = lambda home: None\n{PACK}"  # as if it filled up only then
        words = [sys.executable, "-c", script, str(case.home), case.incident, str(case.key)]
        for left in (0, 12 << 10, 24 << 10):
            filler.write_bytes(b"x" * (shutil.disk_usage(disk).free - left))
            done = subprocess.run(words, input=b"\n", capture_output=True)
            filler.unlink()
            assert b"No space left on device" in done.stderr
            assert without_journal(case) == before
            assert case.differences() == []
        filler.write_bytes(b"x" * (shutil.disk_usage(disk).free - (8 << 20)))
        assert not list((case.home / "staging").iterdir())
        refused = case.irctl("incident", "pack", case.incident)
        assert refused.code == 8
        assert "MiB free" in refused.err
        filler.unlink()
        assert case.pack().code == 0
        assert case.differences() == []
    finally:
        subprocess.run(["umount", disk], check=True)
