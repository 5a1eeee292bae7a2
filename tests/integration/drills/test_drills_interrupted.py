"""What a drill has made goes away again although the drill is stopped, killed, or cannot take it away at first."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from irctl.errors import FAILED, INDETERMINATE, REFUSED
from irctl.record.journal import canonical
from irctl.record.manifest_format import FIRST
from tests.conftest import Done
from tests.integration.conftest import Collection
from tests.integration.drills.practice import Practice

Wait = Callable[..., Any]
SIGNALS = pytest.mark.parametrize(("step", "number"), [("main", signal.SIGINT), ("fault", signal.SIGTERM), ("main", signal.SIGHUP)])
STEPS = pytest.mark.parametrize("step", ["fault", "main"])


@pytest.fixture
def practice(collection: Collection, tmp_path: Path) -> Practice:
    return Practice(collection, tmp_path)


def cut(practice: Practice, wait_until: Wait, step: str, number: signal.Signals) -> tuple[int, str, str]:
    """Start a drill and send it a signal in the middle of a step; its code and what it said."""
    practice.mood(f"{step}-slow")
    process = practice.start()
    wait_until(lambda: practice.begun(step), 120)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def killed(practice: Practice, wait_until: Wait, step: str = "main") -> str:
    """A drill that was killed in the middle of a step: its incident."""
    cut(practice, wait_until, step, signal.SIGKILL)
    (found,) = (practice.irctl.home / "drills").iterdir()
    return found.name


def end(practice: Practice, incident: str) -> tuple[str, str]:
    """The verdict, and why, of a drill that is closed."""
    events = practice.events(incident)
    assert events[-1]["event"] == "closed"
    (drilled,) = [event for event in events if event["event"] == "drilled"]
    return drilled["verdict"], drilled["why"]


@SIGNALS
def test_a_drill_that_is_stopped_restores_and_says_so(
    practice: Practice, wait_until: Wait, step: str, number: signal.Signals
) -> None:
    code, out, err = cut(practice, wait_until, step, number)
    assert code == INDETERMINATE, err
    (drill,) = json.loads(out)["drills"]
    assert (drill["verdict"], drill["why"]) == ("unknown", f"stopped by {number.name}")
    assert practice.state == "well"
    assert practice.begun("restore")
    assert end(practice, drill["incident"]) == ("unknown", f"stopped by {number.name}")
    assert "Traceback" not in err
    assert practice.irctl("runs").err == "", "nothing is left behind"


def test_a_stop_before_the_fault_makes_none(practice: Practice, wait_until: Wait) -> None:
    path = practice.root / "roles" / "bulb" / "tasks" / "verify.yml"
    slow = f"touch {practice.folder}/verify-begun; cat {practice.file}; sleep 20"
    path.write_text(
        path.read_text().replace("ansible.builtin.command", "ansible.builtin.shell").replace(f"cat {practice.file}", slow)
    )
    process = practice.start()
    wait_until(lambda: practice.begun("verify"), 120)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == INDETERMINATE
    assert json.loads(out)["drills"][0]["verdict"] == "unknown"
    assert (practice.begun("fault"), practice.begun("restore")) == (False, False)


def test_a_stop_between_two_looks_is_heard_at_once(practice: Practice, wait_until: Wait) -> None:
    practice.mood("fault-idle")
    process = practice.start("--detect-within", "10m")
    runs = practice.irctl.home / "runs"
    wait_until(lambda: len(list(runs.glob("*-bulb-verify-*/result.json"))) >= 2, 60)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == INDETERMINATE
    assert json.loads(out)["drills"][0]["why"] == "stopped by SIGTERM"
    assert practice.begun("restore")


def test_a_stop_of_all_names_the_drills_that_were_not_held(practice: Practice, collection: Collection, wait_until: Wait) -> None:
    practice.mood("main-slow")
    process = practice.irctl.start("drill", "run", "bulb", "db-connections", "--host", "here", "--json")
    wait_until(lambda: practice.begun("main"), 120)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    document = json.loads(out)
    assert [drill["verdict"] for drill in document["drills"]] == ["unknown"]
    assert document["not_drilled"] == [{"remediation": "db-connections", "reason": "stopped by SIGINT"}]
    assert (process.returncode, practice.state) == (INDETERMINATE, "well")


def test_a_second_signal_while_it_restores_is_no_reason_to_leave_the_fault(practice: Practice, wait_until: Wait) -> None:
    practice.mood("main-slow", "restore-slow")
    process = practice.start()
    wait_until(lambda: practice.begun("main"), 120)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: practice.begun("restore"), 120)
    practice.cheer("restore-slow")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == INDETERMINATE
    assert practice.state == "well"
    assert practice.irctl("runs").err == ""


@STEPS
def test_a_drill_that_was_killed_is_reported_by_every_command_until_it_is_restored(
    practice: Practice, wait_until: Wait, step: str
) -> None:
    incident = killed(practice, wait_until, step)
    said = f"drill {incident} (bulb on here) was cut short and its fault may still be there: irctl drill restore {incident}"
    for words in (["runs"], ["drill", "list"], ["leases"]):
        assert said in practice.irctl(*words).err, words
    assert not practice.begun("restore")
    restored = practice.irctl("drill", "restore", incident[-3:])
    assert restored.code == 0, restored
    assert restored.out == f"restored: bulb on here ({incident}): unknown\n"
    assert (practice.state, practice.begun("restore")) == ("well", True)
    assert end(practice, incident) == ("unknown", "its process was killed")
    assert practice.irctl("runs").err == ""
    assert practice.irctl("drill", "restore").out == "no drill was cut short\n"


def forged(journal: bytes, **changes: Any) -> bytes:
    """The journal with another first line, and with a chain that is whole all the same."""
    previous, lines = FIRST, []
    for number, line in enumerate(journal.splitlines()):
        entry = json.loads(line) | ({} if number else changes) | {"prev": previous}
        lines.append(canonical(entry))
        previous = hashlib.sha256(lines[-1]).hexdigest()
    return b"\n".join(lines) + b"\n"


def test_the_timer_that_ends_leases_restores_a_killed_drill(practice: Practice, wait_until: Wait) -> None:
    incident = killed(practice, wait_until)
    shutil.rmtree(practice.irctl.home / "drills")
    path = practice.irctl.home / "incidents" / incident / "journal.jsonl"
    genuine = path.read_bytes()
    path.write_bytes(forged(genuine, hosts=["there"]))
    refused = practice.irctl("leases", "run-due", "--every", "1m")
    assert (refused.code, practice.state) == (FAILED, "broken"), refused
    assert f"line 1 of the journal of {incident} is not the one that the journal of this home knows" in refused.out
    path.write_bytes(genuine)
    ticked = practice.irctl("leases", "run-due", "--every", "1m")
    assert ticked.code == 0, ticked
    assert f"restored: bulb on here (drill {incident}): unknown" in ticked.out
    assert practice.state == "well"
    assert practice.irctl("leases", "run-due", "--every", "1m").out == ""


def test_it_is_restored_although_everything_is_stopped(practice: Practice, wait_until: Wait) -> None:
    killed(practice, wait_until, "main")
    assert practice.state == "broken"
    practice.irctl("stop", "the storage is being moved")
    assert practice.irctl("drill", "restore").code == 0
    assert practice.state == "well"


def test_it_is_restored_with_the_inventory_that_it_was_begun_with(practice: Practice, wait_until: Wait, tmp_path: Path) -> None:
    killed(practice, wait_until, "main")
    other = tmp_path / "other.yml"
    other.write_text("all:\n  hosts:\n    here:\n      ansible_connection: local\n")
    assert practice.irctl("drill", "restore", IRCTL_INVENTORY=str(other), IRCTL_CONTENT="").code == 0
    assert practice.state == "well"


def test_a_drill_that_is_under_way_is_not_restored_by_others(practice: Practice, wait_until: Wait) -> None:
    practice.mood("main-slow")
    process = practice.start()
    wait_until(lambda: practice.begun("main"), 120)
    (incident,) = [path.name for path in (practice.irctl.home / "drills").iterdir()]
    assert "is under way" in practice.irctl("drill", "restore", incident).err
    assert practice.irctl("leases", "run-due", "--every", "1m").out == ""
    assert "cut short" not in practice.irctl("runs").err
    assert not practice.begun("restore")
    process.terminate()
    process.communicate(timeout=120)


def test_killed_before_its_fault_it_is_closed_without_one(practice: Practice, wait_until: Wait) -> None:
    incident = killed(practice, wait_until, "main")
    journals = [practice.irctl.home / "incidents" / incident / "journal.jsonl", practice.irctl.home / "journal.jsonl"]
    for journal in journals:  # as they were then
        lines = journal.read_text().splitlines(keepends=True)
        opened = next(number for number, line in enumerate(lines, 1) if incident in line)
        journal.write_text("".join(lines[:opened]))
    practice.file.write_text("broken\n")
    assert practice.irctl("drill", "restore").code == 0
    assert (practice.state, practice.begun("restore")) == ("broken", False), "what it did not make it does not take away"


def restore_again(practice: Practice, incident: str) -> Done:
    """The timer, as if the last attempt had been long ago."""
    path = practice.irctl.home / "incidents" / incident / "journal.jsonl"
    assert practice.irctl("leases", "run-due", "--every", "1m").out == "", "not at once"
    assert "drill-not-restored" in path.read_text()
    script = "from irctl.drills import history; history.worth_a_try = lambda *a: True; import irctl.cli.app; "
    return practice.irctl.python(f"{script}irctl.cli.app.main(['leases', 'run-due', '--every', '1m'])")


def test_what_cannot_be_taken_away_is_worse_and_is_tried_again(practice: Practice) -> None:
    practice.mood("restore-bad", "main-idle")
    done = practice.drill()
    assert done.code == FAILED
    (drill,) = done.json["drills"]
    assert drill["verdict"] == "worse"
    assert "its fault is not taken away" in drill["why"]
    assert practice.state == "broken"
    incident = drill["incident"]
    assert f"irctl drill restore {incident}" in practice.irctl("runs").err
    failed = restore_again(practice, incident)
    assert failed.code == FAILED
    assert failed.out.startswith(f"FAILED: drill {incident} could not be restored")
    practice.cheer("restore-bad")
    assert practice.irctl("drill", "restore", incident).code == FAILED, "it was worse, and stays so in the record"
    assert practice.state == "well"
    assert end(practice, incident)[0] == "worse"
    assert practice.irctl("runs").err == ""


def test_a_drill_that_is_given_up_is_no_longer_reported(practice: Practice, wait_until: Wait) -> None:
    incident = killed(practice, wait_until, "main")
    assert practice.irctl("incident", "close", incident, "--resolution", "mended by hand").code == 0
    assert practice.irctl("runs").err.count("cut short") == 0
    assert practice.irctl("drill", "restore", incident).code == REFUSED
    assert practice.state == "broken"
