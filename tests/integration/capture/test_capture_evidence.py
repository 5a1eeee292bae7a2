"""capture-evidence: what is taken from a busy host is what was hashed there, and none of it stays there. HAZARDS H9 H10 H17 H18."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import log_writer, snapshots
from irctl.errors import INDETERMINATE, INVALID, REFUSED
from tests.conftest import ROOT, Done, Irctl, write_inventory
from tests.servers.hosts import irctl_for
from tools.test_hosts.sets import Host, Set

SECRET = "hunter2-canary"
TREE = """
mkdir -p {root}/app && cd {root}/app
echo 'GET /' > access.log
printf 'a\\377b\\n' > "$(printf 'caf\\351 50%%.log')"
ln -s /etc/shadow shadow
ln -s /etc outside
mkfifo pipe
install -m 600 /dev/null private && echo secret > private && ln private other
touch -d '2 days ago' old.log
head -c 3000000 /dev/zero | tr '\\0' x > big.log && echo 'the newest line' >> big.log
"""
LYING = """#!/bin/sh
{sftp} "$@"
code=$?
fetched=$(find {folder} -name .snapshot)
test -z "$fetched" || printf '\\000' | dd of="$fetched" bs=1 seek=40 conv=notrunc 2>/dev/null
exit $code
"""


class Here:
    """This machine as a host, with folders of its own."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.root, self.temp = folder / "log", folder / "tmp"
        self.temp.mkdir()
        about = {"ansible_connection": "local", "irctl_drills": "allowed", "capture_evidence_root": [str(self.root)]}
        inventory = write_inventory(folder, {"here": {**about, "capture_evidence_temp": str(self.temp), **more}})
        self.irctl = Irctl(folder / "home", inventory)
        self.root.mkdir()

    def capture(self, *words: str) -> Done:
        """remediate capture-evidence --host here --json WORDS..."""
        return self.irctl("remediate", "capture-evidence", "--host", "here", "--json", *words)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@pytest.fixture
def tree(here: Here) -> Path:
    subprocess.run(["sh", "-ec", TREE.format(root=here.root)], check=True)
    return here.root / "app"


@contextmanager
def full_speed(folder: Path) -> Iterator[None]:
    """A log that a process writes and rotates as fast as it can."""
    (folder / log_writer.MARK).touch()
    plan = {"folder": str(folder), "seconds": 120, "largest": 1 << 20}
    writer = subprocess.Popen(["python3", log_writer.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdin
    assert writer.stdout
    writer.stdin.write(json.dumps(plan).encode())
    writer.stdin.close()
    assert writer.stdout.readline() == b"ready\n"
    yield
    (folder / log_writer.MARK).unlink()
    assert writer.wait(30) == 0


def play(irctl: Irctl, entry_point: str, host: str) -> subprocess.CompletedProcess[str]:
    """Carry out another entry point of the role, as a drill of this home does."""
    given = {
        "irctl_target": host,
        "irctl_entry_point": entry_point,
        "run_evidence_root": str(irctl.home / "runs" / "drill" / "evidence"),
    }
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT),
        "ANSIBLE_CONFIG": str(ROOT / "irctl" / "running" / "ansible.cfg"),
        "LANG": "C.UTF-8",
    }
    words = ["-i", str(irctl.inventory), "-e", json.dumps(given), "irctl.runbooks.capture_evidence"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME")}
    program = Path(sys.executable).with_name("ansible-playbook")
    return subprocess.run([program, *words], env={**kept, **environment}, capture_output=True, text=True, timeout=150)


def kept(done: Done, host: str = "here") -> tuple[Path, dict[str, Any]]:
    """The folder of a host's evidence and its listing, once each file in it has the hash that the listing gives."""
    folder = Path(done.json["folder"]) / "evidence" / host
    listed: dict[str, Any] = json.loads((folder / "captured.json").read_text())
    for one in listed["kept"]:
        content = (folder / one["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one["bytes"], one["sha256"]), one
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == {"captured.json", *(one["name"] for one in listed["kept"])}
    return folder, listed


def reasons(listed: dict[str, Any]) -> dict[str, str]:
    return {Path(one["source"]).name: one["reason"] for one in listed["skipped"]}


def files(listed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {Path(one["source"]).name: one for one in listed["kept"] if one["name"].startswith("files/")}


def test_only_regular_files_with_one_name_below_the_roots_are_taken_and_the_rest_is_listed_with_its_reason(
    here: Here, tree: Path
) -> None:
    done = here.capture()
    assert (done.code, done.json["outcome"]) == (0, "unchanged"), done.err
    folder, listed = kept(done)
    assert set(files(listed)) == {"access.log", "caf\\xe9 50%.log", "big.log", "old.log"}
    why = reasons(listed)
    assert why["shadow"] == why["outside"] == "not a regular file: a link"
    assert why["pipe"] == "not a regular file: a pipe"
    assert why["private"] == why["other"] == "it has 2 names (hard links)"
    assert listed["older"] == 0, "old.log was only made to look old"
    assert (folder / files(listed)["caf\\xe9 50%.log"]["name"]).read_bytes() == b"a\xffb\n"
    assert done.host("here")["after"]["left_out"] == len(listed["skipped"])
    assert list(here.temp.iterdir()) == []


def test_what_is_kept_is_for_its_owner_only_and_sealed_with_the_run(here: Here, tree: Path) -> None:
    done = here.capture()
    folder, listed = kept(done)
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    manifest = json.loads((Path(done.json["folder"]) / "manifest.json").read_text())
    for one in listed["kept"]:
        assert manifest["files"][f"evidence/here/{one['name']}"]["sha256"] == one["sha256"]
    big = folder / files(listed)["big.log"]["name"]
    big.write_bytes(big.read_bytes()[:-1] + b"!")
    assert here.irctl("evidence", "verify", done.json["run"]).code == 8


def test_a_second_capture_changes_nothing_either_and_keeps_its_own_evidence(here: Here, tree: Path) -> None:
    first, second = here.capture(), here.capture()
    assert (first.json["outcome"], second.json["outcome"]) == ("unchanged", "unchanged")
    assert kept(first)[0] != kept(second)[0]


def test_a_dry_run_lists_what_it_would_capture_with_sizes_and_copies_nothing(here: Here, tree: Path) -> None:
    done = here.capture("--check")
    assert done.code == 0, done.err
    folder = Path(done.json["folder"]) / "evidence" / "here"
    assert sorted(path.name for path in folder.iterdir()) == ["affected.jsonl", "would-capture.json"]
    assert {item["capture"].rpartition("/")[2] for item in done.host("here")["affected"]["items"]} >= {"access.log", "big.log"}
    would = json.loads((folder / "would-capture.json").read_text())
    assert {Path(one["source"]).name: one["bytes"] for one in would["files"]}["access.log"] == 6
    assert reasons(would)["pipe"] == "not a regular file: a pipe"
    assert done.host("here")["reason"].startswith("would be captured: 4 files (2.9 MiB), ")
    assert list(here.temp.iterdir()) == []


def test_of_a_log_that_is_too_large_the_newest_part_is_kept_and_it_is_said(here: Here, tree: Path) -> None:
    folder, listed = kept(here.capture("--max-file-mib", "1"))
    big = files(listed)["big.log"]
    content = (folder / big["name"]).read_bytes()
    assert content.endswith(b"xxthe newest line\n")
    assert (big["bytes"], big["note"]) == (1 << 20, f"its last {1 << 20} of 3000016 bytes")


def test_when_all_of_it_is_too_much_what_was_written_last_is_taken(here: Here, tree: Path) -> None:
    """The processes and sockets of this machine count too, and there may be a megabyte of them."""
    for number in range(4):
        path = here.root / f"app-{number}.log"
        path.write_bytes(b"x" * 3_200_000)
    listed = kept(here.capture("--max-mib", "8", "--path", str(here.root)))[1]
    assert "app-3.log" in files(listed)
    assert "too much in all" in reasons(listed)["app-0.log"]
    assert sum(one["bytes"] for one in listed["kept"]) <= 8 << 20


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "is not below"),
        ("{root}/app/outside/passwd", "cannot be captured: not a regular file: a link."),
        ("{root}/nothing", "cannot be captured: there is no file."),
    ],
)
def test_a_path_that_is_elsewhere_behind_a_link_or_not_there_is_refused_and_nothing_is_kept(
    here: Here, tree: Path, path: str, why: str
) -> None:
    done = here.capture("--path", path.format(root=here.root))
    assert (done.code, why in done.host("here")["reason"]) == (REFUSED, True), done.out
    assert list((Path(done.json["folder"]) / "evidence").iterdir()) == []
    assert list(here.temp.iterdir()) == []


def test_a_root_that_was_typed_and_is_not_there_is_refused_and_one_of_the_inventory_is_left_out(here: Here, tree: Path) -> None:
    gone = str(here.root / "gone")
    done = here.capture("--root", str(here.root), "--root", gone)
    assert (done.code, done.host("here")["reason"]) == (REFUSED, f"{gone} cannot be captured: no such file or directory.")
    assert list((Path(done.json["folder"]) / "evidence").iterdir()) == []
    assert here.capture("--root", gone, "--check").code == REFUSED
    about = {
        "ansible_connection": "local",
        "capture_evidence_temp": str(here.temp),
        "capture_evidence_root": [str(here.root), gone],
    }
    write_inventory(here.irctl.inventory.parent, {"here": about})
    listed = kept(here.capture())[1]
    assert reasons(listed)["gone"] == "no such file or directory"
    assert "access.log" in files(listed)


def test_a_dry_run_says_of_a_large_log_what_would_be_taken_of_it(here: Here, tree: Path) -> None:
    done = here.capture("--check", "--max-file-mib", "1")
    would = json.loads((Path(done.json["folder"]) / "evidence" / "here" / "would-capture.json").read_text())
    assert {Path(one["source"]).name: one["bytes"] for one in would["files"]}["big.log"] == 1 << 20


def test_a_path_that_climbs_and_a_limit_of_nothing_are_bad_input(here: Here, tree: Path) -> None:
    for words in (
        ["--path", f"{here.root}/../x"],
        ["--path", "etc"],
        ["--max-mib", "0"],
        ["--since", "10"],
        ["--max-file-mib", "1.5"],
    ):
        assert here.capture(*words).code == INVALID


def test_a_named_file_is_taken_however_old_it_is_and_its_folder_by_time(here: Here, tree: Path) -> None:
    listed = kept(here.capture("--path", str(tree / "old.log"), "--since", "1s"))[1]
    assert set(files(listed)) == {"old.log"}


def test_a_host_without_room_for_the_snapshot_is_refused(tmp_path: Path, small_disk: Path) -> None:
    here = Here(tmp_path, capture_evidence_temp=str(small_disk))
    (here.root / "app.log").write_text("one line\n")
    done = here.capture()
    assert done.code == REFUSED
    assert f"MiB of {small_disk}, and " in done.host("here")["reason"]
    assert list(small_disk.iterdir()) == []


def test_ten_hosts_at_once_each_keep_their_own(tmp_path: Path) -> None:
    """On one machine with one folder for snapshots, so that one sweeping what another is making would show."""
    here = Here(tmp_path)
    subprocess.run(["sh", "-ec", TREE.format(root=here.root)], check=True)
    about = {"ansible_connection": "local", "capture_evidence_root": [str(here.root)], "capture_evidence_temp": str(here.temp)}
    names = [f"host{number}" for number in range(10)]
    here.irctl.inventory = write_inventory(tmp_path, dict.fromkeys(names, about))
    done = here.irctl("remediate", "capture-evidence", *[word for name in names for word in ("--host", name)], "--json")
    assert (done.code, done.json["outcome"]) == (0, "unchanged"), done.out
    for name in names:
        assert {"access.log", "big.log"} <= set(files(kept(done, name)[1]))
    assert list(here.temp.iterdir()) == []


def test_no_secret_of_a_command_line_or_an_environment_is_kept(here: Here) -> None:
    words = ["sleep", "300", f"--password={SECRET}", "--api-token", SECRET, f"postgres://ops:{SECRET}@db/shop"]
    process = subprocess.Popen(["sh", "-c", "sleep 300; :", *words], env={**os.environ, "DATABASE_PASSWORD": SECRET})
    try:
        folder, _ = kept(here.capture())
    finally:
        process.kill()
        process.wait()
    said = next(
        line for line in (folder / "facts" / "processes.txt").read_text().splitlines() if line.startswith(f"{process.pid} ")
    )
    assert said.endswith("--password=*** --api-token *** postgres://ops:***@db/shop")
    assert not [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_what_a_killed_capture_left_goes_with_the_next_one_and_verify_tells_of_it(here: Here) -> None:
    assert play(here.irctl, "verify", "here").returncode == 0
    try:
        assert play(here.irctl, "fault", "here").returncode == 0
        [left] = here.temp.iterdir()
        proof = play(here.irctl, "verify", "here")
        assert (proof.returncode, f"1 snapshot that a killed capture left: {left}" in proof.stdout) == (2, True), proof.stdout
        done = here.capture("--check")
        assert (done.json["outcome"], left.exists()) == ("changed", True)
        done = here.capture()
        assert (done.json["outcome"], list(here.temp.iterdir())) == ("changed", []), done.out
        assert f"removed: {left}" in done.host("here")["reason"]
        listed = kept(done)[1]
        assert {"link", "pipe", "twice", "again"} <= set(reasons(listed))
        assert "app.log" in files(listed)
        assert play(here.irctl, "verify", "here").returncode == 0
    finally:
        assert play(here.irctl, "restore", "here").returncode == 0
    assert list(here.root.iterdir()) == []
    again = play(here.irctl, "restore", "here")
    assert (again.returncode, "changed=0" in again.stdout) == (0, True)


def test_a_hundred_captures_of_a_log_at_full_speed_all_match_their_hashes(here: Here, tmp_path: Path) -> None:
    """H18. Hashing first and archiving later, 17 of 20 did not match."""
    from ansible_collections.irctl.runbooks.plugins.module_utils.capture import host_capture, selection

    noted = set()
    with full_speed(here.root):
        for number in range(100):
            rules = selection.checked_rules([str(here.root)], [])
            with snapshots.making(str(here.temp), "test") as snapshot:
                for wanted in selection.choose(selection.survey(rules), rules).wanted:
                    host_capture.take_file(wanted, rules, snapshot)
            promised = [(one.name, one.size, one.sha256) for one in snapshot.kept]
            snapshots.unpack(snapshot.path, promised, str(tmp_path / "kept" / str(number)))
            assert promised
            noted.update(one.note.partition(";")[0] for one in snapshot.kept)
            snapshots.sweep(str(here.temp), "test")
    assert any(note.startswith("it grows") for note in noted), noted
    assert any("replaced or removed" in note or "another file" in note for note in noted), noted


# On hosts over ssh


@pytest.fixture
def far(hosts: Set, tmp_path: Path) -> Irctl:
    (tmp_path / "far").mkdir()
    return irctl_for(hosts, tmp_path / "far", ansible_become=True, capture_evidence_root=["/var/log"])


def left_on(host: Host) -> list[str]:
    return host.run("find", "/var/tmp", "-maxdepth", "1", "-name", f"{snapshots.PREFIX}*").stdout.split()


def free_on(host: Host) -> int:
    return int(host.run("df", "--output=avail", "-B1", "/var/tmp").stdout.split()[-1])


def capture(irctl: Irctl, *words: str, host: str = "h1") -> Done:
    return irctl("remediate", "capture-evidence", "--host", host, "--json", *words)


@pytest.fixture
def busy(far: Irctl, hosts: Set) -> Iterator[Host]:
    """h1 with the fault: a log under full load with a link and a pipe beside it, and what a killed capture left."""
    done = play(far, "fault", "h1")
    assert done.returncode == 0, done.stdout
    yield hosts["h1"]
    assert play(far, "restore", "h1").returncode == 0
    assert hosts["h1"].run("test", "-e", "/var/log/irctl-drill", check=False).returncode == 1


def test_a_busy_host_is_captured_over_ssh_and_sudo_and_nothing_is_left_there(far: Irctl, busy: Host) -> None:
    assert len(left_on(busy)) == 1
    done = capture(far)
    assert (done.code, done.json["outcome"]) == (0, "changed"), done.out + done.err
    folder, listed = kept(done, "h1")
    assert left_on(busy) == []
    assert "app.log" in files(listed)
    assert reasons(listed)["link"] == "not a regular file: a link"
    names = {one["name"] for one in listed["kept"]}
    facts = ("processes", "sockets", "mounts", "packages", "users", "cron", "disks", "memory", "clock", "services")
    assert {"journal.log", *(f"facts/{name}.txt" for name in facts)} <= names, reasons(listed)
    assert "systemd" in (folder / "journal.log").read_text()
    assert "/usr/sbin/nginx" in (folder / "facts" / "processes.txt").read_text()
    assert "openssh-server " in (folder / "facts" / "packages.txt").read_text()
    assert (capture(far).json["outcome"], left_on(busy)) == ("unchanged", [])


def test_the_journal_of_a_unit_is_its_own(far: Irctl, hosts: Set) -> None:
    hosts["h1"].run("logger", "-t", "stranger", "not of nginx")
    hosts["h1"].run("systemctl", "reload", "nginx")
    folder, _ = kept(capture(far, "--unit", "nginx.service", "--path", "/var/log/nginx"), "h1")
    lines = (folder / "journal.log").read_text()
    assert "nginx" in lines
    assert "stranger" not in lines


def test_as_an_ordinary_user_what_may_not_be_read_is_listed_and_the_rest_is_kept(hosts: Set, tmp_path: Path) -> None:
    hosts["h1"].run("sh", "-c", "echo hidden > /var/log/hidden.log && chmod 600 /var/log/hidden.log")
    try:
        folder, listed = kept(capture(irctl_for(hosts, tmp_path)), "h1")
    finally:
        hosts["h1"].run("rm", "/var/log/hidden.log")
    assert reasons(listed)["hidden.log"] == "permission denied"
    assert (folder / "facts" / "processes.txt").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_capture_that_is_killed_leaves_nothing_after_the_next_one(
    far: Irctl, hosts: Set, number: signal.Signals, wait_until: Callable[..., Any]
) -> None:
    host = hosts["h1"]
    host.run("fallocate", "-l", "300M", "/var/log/large.log")
    try:
        process = far.start("remediate", "capture-evidence", "--host", "h1", "--json", "--max-file-mib", "400")
        wait_until(lambda: left_on(host), 30)
        process.send_signal(number)
        process.wait(20)
        assert process.returncode in (INDETERMINATE, -signal.SIGKILL)
        done = capture(far, "--path", "/var/log/nginx")
        assert (done.code, left_on(host)) == (0, []), done.out
    finally:
        host.run("rm", "/var/log/large.log")


def test_what_was_changed_on_its_way_is_no_evidence(far: Irctl, hosts: Set, tmp_path: Path) -> None:
    """Promise 15. An sftp that flips a byte stands for a host that lies after it has hashed."""
    lying = tmp_path / "sftp"
    lying.write_text(LYING.format(sftp=hosts.folder / "sftp", folder=tmp_path))
    lying.chmod(0o700)
    (tmp_path / "far2").mkdir()
    irctl = irctl_for(hosts, tmp_path / "far2", ansible_become=True, ansible_sftp_executable=str(lying))
    done = capture(irctl, "--path", "/var/log/nginx")
    assert done.code == 8, done.out
    assert "is not what was hashed on the host" in done.host("h1")["reason"]
    assert left_on(hosts["h1"]) == []


def test_the_memory_is_dumped_where_there_is_a_tool_and_else_it_is_said(far: Irctl, hosts: Set) -> None:
    """avml is in no distribution; what stands for it here writes a file as it does."""
    host = hosts["h2"]
    listed = kept(capture(far, "--memory", "--path", "/var/log/nginx", host="h2"), "h2")[1]
    assert reasons(listed)["memory"] == "the host has no program that dumps memory (avml)"
    host.run("tee", "/usr/local/bin/avml", input='#!/bin/sh\nprintf "EMiL all of it" > "$1"\n')
    host.run("chmod", "755", "/usr/local/bin/avml")
    try:
        listed = kept(capture(far, "--memory", "--path", "/var/log/nginx", host="h2"), "h2")[1]
        assert "more than may be taken in all" in reasons(listed)["memory"]
        done = capture(far, "--memory", "--max-mib", "1048576", "--path", "/var/log/nginx", host="h2")
        if free_on(host) < 3 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") and done.code == REFUSED:
            assert "MiB of /var/tmp, and " in done.host("h2")["reason"], "the dump is there twice until it is copied"
        else:
            assert (kept(done, "h2")[0] / "memory.lime").read_text() == "EMiL all of it"
    finally:
        host.run("rm", "/usr/local/bin/avml")


def test_a_capture_lies_in_the_pack_of_its_incident_as_it_was_sealed(far: Irctl, hosts: Set) -> None:
    opened = far("incident", "open", "--title", "Intruder", "--severity", "P1", "--json")
    assert opened.code == 0, opened.err
    incident = opened.json["incident"]
    done = capture(far, "--incident", incident, "--path", "/var/log/nginx")
    assert far("incident", "pack", incident).code == 0
    packed = far.home / "incidents" / incident / "runs" / done.json["run"] / "evidence" / "h1"
    assert (packed / "journal.log").read_bytes() == (kept(done, "h1")[0] / "journal.log").read_bytes()
    assert far("evidence", "verify", incident).code == 0
