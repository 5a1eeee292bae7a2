"""A run that is cut short ends in a stated condition, and nobody goes on working. HAZARDS H7; exit codes 6 and 7."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from irctl.running import engine
from tests.integration.conftest import Collection

Wait = Callable[..., Any]


@pytest.fixture
def slow(collection: Collection, tmp_path: Path) -> Collection:
    """A remediation whose change goes on until the test lets it, and then leaves a mark."""
    until = f"until [ -e {tmp_path}/go-on ]; do sleep 0.05; done"
    collection.role("slow", change=f"ansible.builtin.shell: touch {tmp_path}/begun; {until}; touch {tmp_path}/finished")
    return collection


def let_go_on(tmp_path: Path) -> None:
    """Let the change of `slow` come to its end, where there still is one."""
    (tmp_path / "go-on").touch()


def nobody_goes_on(tmp_path: Path, wait_until: Wait) -> bool:
    """Whether the change ended without its mark: nobody works for it any more, even when it is let."""
    let_go_on(tmp_path)
    wait_until(lambda: not at_work(tmp_path))
    return not (tmp_path / "finished").exists()


def start(slow: Collection, wait_until: Wait, tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    """Start it, and return once the change is under way."""
    process = slow.irctl.start("remediate", "slow", "--host", "here", "--json", *words, TMPDIR=str(tmp_path))
    wait_until((tmp_path / "begun").exists, 20)
    return process


def at_work(tmp_path: Path) -> list[psutil.Process]:
    """Every process that still works for a run whose private folder was below tmp_path."""
    return [one for one in psutil.process_iter(["cmdline"]) if any(str(tmp_path) in word for word in one.info["cmdline"] or [])]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_and_says_that_the_state_is_unknown(
    number: signal.Signals, slow: Collection, tmp_path: Path, wait_until: Wait
) -> None:
    process = start(slow, wait_until, tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 7
    host = json.loads(out)["hosts"]["here"]
    assert host["outcome"] == "indeterminate"
    assert host["reason"] == f"stopped by {number.name}; the last step seen was Change"
    assert "Traceback" not in err
    assert at_work(tmp_path) == []
    assert nobody_goes_on(tmp_path, wait_until)
    assert list(tmp_path.glob("irctl-*")) == []


def test_the_time_limit_does_the_same(slow: Collection, tmp_path: Path) -> None:
    slow.role("slower", change=f"ansible.builtin.shell: sleep 600; touch {tmp_path}/finished")
    done = slow.irctl("remediate", "slower", "--host", "here", "--json", "--timeout", "10s", TMPDIR=str(tmp_path))
    assert (done.code, done.json["outcome"]) == (7, "indeterminate")
    assert done.host("here")["reason"] == "the time limit of 10 s was reached; the last step seen was Change"
    assert at_work(tmp_path) == []


def test_after_kill_9_nobody_works_and_the_next_command_tells_the_truth(slow: Collection, tmp_path: Path, wait_until: Wait) -> None:
    process = start(slow, wait_until, tmp_path)
    process.kill()
    process.wait()
    wait_until(lambda: not at_work(tmp_path))
    found = slow.irctl("runs", "--json", TMPDIR=str(tmp_path))
    assert found.err.startswith("warning: run ")
    assert "was killed; the last step seen was Change on here. Its hosts may have been changed." in found.err
    (run,) = found.json["runs"]
    assert run["outcome"] == "indeterminate"
    assert slow.irctl("evidence", "verify", run["run"]).code == 0
    assert slow.irctl("runs").err == "", "it is said once"
    assert list(tmp_path.glob("irctl-*")) == [], "what the run kept to itself is removed"
    assert nobody_goes_on(tmp_path, wait_until)
    assert slow.irctl("remediate", "slow", "--host", "here").code == 0, "the target is free again"


def test_killed_at_any_moment_it_is_never_called_a_success(slow: Collection, tmp_path: Path, wait_until: Wait) -> None:
    for moment in (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0, 2.5):
        process = slow.irctl.start("remediate", "slow", "--host", "here", TMPDIR=str(tmp_path))
        time.sleep(moment)
        process.kill()
        process.wait()
    wait_until(lambda: not at_work(tmp_path))
    rows = slow.irctl("runs", "--json").json["runs"]
    assert {row["outcome"] for row in rows} <= {"indeterminate"}
    for row in rows:
        assert slow.irctl("evidence", "verify", row["run"]).code == 0
    assert nobody_goes_on(tmp_path, wait_until)


def test_what_a_run_left_that_was_killed_before_its_record_began_is_swept_away(slow: Collection, tmp_path: Path) -> None:
    process = slow.irctl.start("remediate", "slow", "--host", "here", TMPDIR=str(tmp_path))
    until = time.monotonic() + 60
    while not (left := list(tmp_path.glob("irctl-*/alive"))) and time.monotonic() < until:
        time.sleep(0.002)
    process.kill()
    process.wait()
    private = left[0].parent
    sockets = Path("/tmp") / f"irctl-ssh-{private.name[-6:]}"
    assert sockets.is_dir()
    slow.irctl("runs", TMPDIR=str(tmp_path))
    assert private.is_dir(), "it might be just being made"
    os.utime(private, (0, 0))
    slow.irctl("runs", TMPDIR=str(tmp_path))
    assert not private.exists()
    assert not sockets.exists()


def test_a_run_that_was_killed_while_it_was_sealed_keeps_its_result(slow: Collection, tmp_path: Path) -> None:
    let_go_on(tmp_path)
    done = slow.irctl("remediate", "slow", "--host", "here", "--json").json
    folder = Path(done["folder"])
    (folder / "manifest.json").unlink()
    journal = slow.irctl.home / "journal.jsonl"
    *before, sealed = journal.read_bytes().splitlines(keepends=True)
    assert b"run-sealed" in sealed, "the journal is written after the manifest"
    journal.write_bytes(b"".join(before))
    (slow.irctl.home / "open" / done["run"]).write_text("1")
    found = slow.irctl("runs", "--json")
    assert "was killed after its end; its outcome was: changed" in found.err
    assert found.json["runs"][0]["outcome"] == "changed"
    assert slow.irctl("evidence", "verify", done["run"]).code == 0


def test_a_second_run_on_a_host_is_turned_away_within_two_seconds(slow: Collection, tmp_path: Path, wait_until: Wait) -> None:
    process = start(slow, wait_until, tmp_path)
    since = time.monotonic()
    slow.irctl("runs")
    usual, since = time.monotonic() - since, time.monotonic()
    second = slow.irctl("remediate", "slow", "--host", "here", "--json")
    took = time.monotonic() - since
    overlapping = slow.irctl("remediate", "slow", "--host", "both", "--json")
    elsewhere = slow.irctl("remediate", "slow", "--host", "there", "--json", "--check")
    let_go_on(tmp_path)
    assert (second.code, second.json["outcome"]) == (6, "busy")
    assert took < 1.5 + 5 * usual, "it waits for nobody; what any command takes here now is allowed for"
    assert "here is busy: " in second.err
    assert (overlapping.code, overlapping.json["outcome"]) == (6, "busy")
    assert elsewhere.code == 0
    process.communicate(timeout=180)
    assert process.returncode == 0
    assert len(list((slow.irctl.home / "runs").iterdir())) == 2, "who is turned away leaves no record of a run"


def test_a_run_goes_on_when_its_terminal_is_gone(slow: Collection, tmp_path: Path) -> None:
    """Output that nobody reads must not decide about the change."""
    process = slow.irctl.start("remediate", "slow", "--host", "here", TMPDIR=str(tmp_path))
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stderr.close()
    let_go_on(tmp_path)
    process.wait(timeout=180)
    assert (tmp_path / "finished").exists()
    (run,) = slow.irctl("runs", "--json").json["runs"]
    assert run["outcome"] == "changed"
    assert os.path.exists(slow.irctl.home)


def test_more_signals_before_the_first_is_answered_make_no_difference(slow: Collection, tmp_path: Path, wait_until: Wait) -> None:
    """To the last: they come while the run is killed, while its record is sealed, and while its result is said."""
    process = start(slow, wait_until, tmp_path)
    said = threading.Thread(target=lambda: found.append(process.communicate(timeout=180)))
    found: list[tuple[str, str]] = []
    said.start()
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    said.join()
    out, err = found[0]
    assert (process.returncode, err) == (7, "")
    document = json.loads(out)
    assert document["hosts"]["here"]["reason"] == "stopped by SIGINT; the last step seen was Change"
    assert slow.irctl("evidence", "verify", document["run"]).code == 0


def test_a_signal_within_the_answer_to_one_is_no_second_answer_and_an_error_in_it_comes_up_nowhere(slow: Collection) -> None:
    script = """
        import os, signal, sys
        from irctl.running import engine

        def kill():
            tried.append("psutil" in sys.modules)
            os.kill(os.getpid(), signal.SIGTERM)
            raise AttributeError("partially initialized")

        tried, end, engine.kill_children = [], engine.End(), kill
        with engine._cut_short_by_signals(end, 60):
            os.kill(os.getpid(), signal.SIGINT)
        print(end.interrupted, set(tried), len(tried))
    """
    done = slow.irctl.python(textwrap.dedent(script))
    assert (done.out, done.err) == ("stopped by SIGINT {True} 3\n", "")


def test_who_asked_at_the_gate_may_be_gone_before_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unseen: list[object] = []
    monkeypatch.setattr(threading, "excepthook", unseen.append)
    for name in ("gate.request", "gate.reply"):
        os.mkfifo(tmp_path / name)
    for _ in range(50):
        with engine._Gatekeeper(engine.End(), tmp_path, lambda asked: None) as keeper:
            (tmp_path / "gate.request").write_text("{}")
        assert (keeper.passed, keeper.is_alive()) == (True, False)
    assert unseen == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_signal_while_irctl_starts_is_one_line(
    words: list[str], number: signal.Signals, slow: Collection, tmp_path: Path, wait_until: Wait
) -> None:
    (tmp_path / "first" / "click").mkdir(parents=True)
    slowly = f"import pathlib, time\npathlib.Path({str(tmp_path / 'importing')!r}).touch()\ntime.sleep(60)\n"
    (tmp_path / "first" / "click" / "__init__.py").write_text(slowly)
    process = slow.irctl.start("remediate", "slow", "--host", "here", *words, PYTHONPATH=str(tmp_path / "first"))
    wait_until((tmp_path / "importing").exists, 20)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (7, f"error: stopped by {number.name}; nothing was run\n")
    if words:
        assert (json.loads(out)["outcome"], json.loads(out)["exit_code"]) == ("indeterminate", 7)
    else:
        assert out == ""


SLOW_RUNNER = """
import pathlib, sys, time
folder = pathlib.Path(__file__).parents[2]
(folder / "importing").touch()
while not (folder / "go-on").exists():
    time.sleep(0.01)
sys.path.remove(str(folder / "first"))
del sys.modules["ansible_runner"]
import ansible_runner
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_ansible_runs_is_heard(number: signal.Signals, slow: Collection, tmp_path: Path, wait_until: Wait) -> None:
    (tmp_path / "first" / "ansible_runner").mkdir(parents=True)
    (tmp_path / "first" / "ansible_runner" / "__init__.py").write_text(SLOW_RUNNER)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    surroundings = {"PYTHONPATH": str(tmp_path / "first"), "TMPDIR": str(temporary)}
    process = slow.irctl.start("remediate", "slow", "--host", "here", **surroundings)
    wait_until((tmp_path / "importing").exists, 20)
    process.send_signal(number)
    (tmp_path / "go-on").touch()
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (7, "", f"error: stopped by {number.name}; nothing was run\n")
    assert not (tmp_path / "begun").exists()
    assert list(temporary.iterdir()) == []
    assert slow.irctl("runs", "--json").json["runs"] == []


def test_what_is_ignored_by_nohup_stays_ignored(slow: Collection, tmp_path: Path, wait_until: Wait) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(slow, wait_until, tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    let_go_on(tmp_path)
    process.communicate(timeout=180)
    assert process.returncode == 0
    assert (tmp_path / "finished").exists()


@pytest.mark.parametrize(
    ("redirection", "warned"),
    [
        (">/dev/full", "No space left on device"),
        ("| true", "Broken pipe"),
        ("2>&1 | head -1", ""),
        (">/dev/full 2>/dev/full", ""),
        (">&-", ""),
        ("2>&-", ""),
        ("<&- >&- 2>&-", ""),
    ],
)
def test_output_that_goes_nowhere_decides_nothing(redirection: str, warned: str, collection: Collection) -> None:
    collection.role("nothing")
    irctl, code = collection.irctl, collection.irctl.home.parent / "code"
    line = f'{{ "{sys.executable}" -m irctl remediate nothing --host here; echo $? >{code}; }} {redirection}'
    settings = {"IRCTL_HOME": str(irctl.home), "IRCTL_INVENTORY": str(irctl.inventory), "IRCTL_CONFIG": "", **irctl.environment}
    done = subprocess.run(["sh", "-c", line], env={**os.environ, **settings}, capture_output=True, text=True, timeout=180)
    assert code.read_text() == "0\n", done
    assert [line for line in done.stderr.splitlines() if "standard output" in line] == (
        [f"warning: standard output could not be written: {warned}; what was done stands"] if warned else []
    )
    (run,) = irctl("runs", "--json").json["runs"]
    assert run["outcome"] == "changed"
    assert irctl("evidence", "verify", run["run"]).code == 0
