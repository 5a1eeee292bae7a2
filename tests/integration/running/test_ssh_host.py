"""A host reached by ssh whose PostgreSQL is reached over the local socket as the system user postgres. HAZARDS H7, H21."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from irctl.lab.postgres import free_port
from tests.conftest import OLD, Irctl, write_inventory
from tests.integration.conftest import Collection

SSHD = "/usr/sbin/sshd"
KEYS = Path("/run/irctl-test-keys")  # of users beside root, who may not look into the tests' own folders
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub {keys}/%u
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
"""


def missing() -> str:
    """What this machine lacks for these tests; '' for nothing."""
    if os.geteuid() != 0:
        return "only root can start an sshd and a Debian cluster"
    programs = {SSHD: "openssh-server", "ssh": "openssh-client", "sudo": "sudo", "pg_createcluster": "postgresql"}
    lacking = [package for program, package in programs.items() if not shutil.which(program)]
    return f"apt-get install {' '.join(lacking)}, as tools/install-test-servers does" if lacking else ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@dataclass(frozen=True)
class Cluster:
    """One of Debian's PostgreSQL clusters: peer over its socket, so that only the system user postgres is its superuser."""

    version: str
    name: str
    port: int

    def make(self) -> None:
        options = ["--port", str(self.port), "--start-conf", "manual", "--locale", "C", "-o", "fsync=off"]
        run("pg_createcluster", *options, self.version, self.name, "--", "--auth-local=peer", "--auth-host=trust", "--no-sync")
        self.start()
        run("psql", "-X", "-q", "-p", str(self.port), "-c", "CREATE ROLE app LOGIN", user="postgres", cwd="/")

    def start(self) -> None:
        run("pg_ctlcluster", "--skip-systemctl-redirect", self.version, self.name, "start")

    def stop(self) -> None:
        run("pg_ctlcluster", "--skip-systemctl-redirect", self.version, self.name, "stop", "-m", "fast")

    def connect(self, application: str) -> psycopg.Connection:
        where = f"host=127.0.0.1 port={self.port} user=app dbname=postgres"
        return psycopg.connect(where, application_name=application, autocommit=True, connect_timeout=5)

    def alive(self, application: str) -> int:
        with self.connect("test") as session:
            row = session.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [application]).fetchone()
            return int(row[0]) if row else 0


def run(*words: str, **more: Any) -> None:
    # A file for output: a server that lives on would hold a pipe open.
    with open(os.devnull, "w") as nowhere:
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=nowhere, timeout=60, **more)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    versions = [path.parent.parent.name for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    cluster = Cluster(max(versions, key=float), f"irctl{os.getpid()}", free_port())
    try:
        cluster.make()
        yield cluster
    finally:
        run("pg_dropcluster", "--stop", cluster.version, cluster.name)


@dataclass(frozen=True)
class Sshd:
    """An sshd of our own on loopback; `known` is a known_hosts file that holds its key."""

    folder: Path
    port: int

    @property
    def known(self) -> Path:
        return self.folder / "known_hosts"

    def knows(self, key: str) -> str:
        """The line of a known_hosts file that gives this server the named key."""
        return f"[127.0.0.1]:{self.port} {(self.folder / key).read_text()}"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"), free_port())
    for key in ("host", "client", "other"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(server.folder / key))
    server.known.write_text(server.knows("host.pub"))
    config = server.folder / "sshd_config"
    config.write_text(CONFIG.format(folder=server.folder, port=server.port, keys=KEYS))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (server.folder / "log").open("w") as log:
        process = subprocess.Popen([SSHD, "-f", str(config), "-D", "-e"], stderr=log)
    try:
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                    break
            time.sleep(0.01)
        yield server
    finally:
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.terminate()
        process.wait()


@pytest.fixture
def far(cluster: Cluster, sshd: Sshd, tmp_path: Path) -> Callable[..., Irctl]:
    """The command, with host `far` leading to the cluster over ssh; other variables of the host may be given."""

    def command(known: Path = sshd.known, **more: Any) -> Irctl:
        reach = {"ansible_host": "127.0.0.1", "ansible_port": sshd.port, "ansible_user": "root"}
        trust = {"ansible_ssh_common_args": f"-o UserKnownHostsFile={known}"}
        trust["ansible_ssh_private_key_file"] = str(sshd.folder / "client")
        target = {"ansible_python_interpreter": "/usr/bin/python3", "ansible_become": True, "ansible_become_user": "postgres"}
        where = {"postgres_port": cluster.port, "db_connections_idle_for": "5s"}
        return Irctl(tmp_path / "home", write_inventory(tmp_path, {"far": {**reach, **trust, **target, **where, **more}}))

    return command


@pytest.fixture(scope="module")
def idle(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with three old sessions of `web`, which the tests leave alone, and three of `batch`, which one test ends."""
    with ExitStack() as stack:
        for application in ("web", "batch") * 3:
            stack.callback(cluster.connect(application).close)
        time.sleep(OLD)
        yield cluster


def test_the_targets_python_has_no_driver_so_psql_does_the_work() -> None:
    assert subprocess.run(["/usr/bin/python3", "-c", "import psycopg"], stderr=subprocess.DEVNULL).returncode == 1


def test_a_dry_run_over_ssh_says_what_it_would_end_and_ends_nothing(far: Callable[..., Irctl], idle: Cluster) -> None:
    done = far().mend("--check", "--application", "web", host="far")
    assert (done.code, done.host("far")["outcome"]) == (0, "changed"), done.out
    assert "3 sessions would be ended" in done.host("far")["reason"]
    assert idle.alive("web") == 3


def test_idle_sessions_end_over_ssh_as_postgres_and_the_evidence_is_here(far: Callable[..., Irctl], idle: Cluster) -> None:
    command = far()
    first = command.mend("--application", "batch", host="far")
    assert (first.code, first.host("far")["outcome"]) == (0, "changed"), first.err
    assert first.host("far")["reason"].startswith("3 sessions ended")
    assert first.host("far")["before"]["role"] == "postgres"
    assert (idle.alive("batch"), idle.alive("web")) == (0, 3)
    evidence = Path(first.json["folder"]) / "evidence" / "far" / "sessions-before.json"
    assert [row["user"] for row in json.loads(evidence.read_text())] == ["app"] * 3
    assert command("evidence", "verify", first.json["run"]).code == 0
    assert command.mend("--application", "batch", host="far").json["outcome"] == "unchanged"


@pytest.fixture
def person(sshd: Sshd) -> Iterator[tuple[str, str]]:
    """A user who may log in, and become postgres by sudo with a password; name and password."""
    name, password, sudoers = f"irctl{os.getpid()}", "correct horse", Path("/etc/sudoers.d") / f"irctl-test-{os.getpid()}"
    KEYS.mkdir(mode=0o755, exist_ok=True)
    shutil.copy(sshd.folder / "client.pub", KEYS / name)
    (KEYS / name).chmod(0o644)
    run("useradd", "--no-create-home", "--home-dir", "/var/tmp", "--shell", "/bin/sh", name)
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{password}", text=True, check=True)
        sudoers.write_text(f"{name} ALL=(postgres) ALL\n")
        yield name, password
    finally:
        sudoers.unlink(missing_ok=True)
        run("userdel", "--force", name)  # the ssh connection of the run may outlive it for some seconds
        (KEYS / name).unlink()


def test_a_become_password_that_is_encrypted_is_used_and_kept_nowhere(
    far: Callable[..., Irctl], idle: Cluster, person: tuple[str, str], tmp_path: Path
) -> None:
    """By ansible-vault, as one value and as a whole file; the passwords of both come from a file and from a program."""
    name, password = person
    command = far(ansible_user=name, ansible_remote_tmp="/var/tmp/.ansible-irctl-test")
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("first vault password\n")
    one.chmod(0o600)
    other.write_text("#!/bin/sh\necho second vault password\n")
    other.chmod(0o700)
    encrypt = [Path(sys.executable).with_name("ansible-vault"), "encrypt", "--vault-id"]
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(f'vaulted_password: "{password}"\n')
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "far.yml").write_text('ansible_become_password: "{{ vaulted_password }}"\n')
    subprocess.run([*encrypt, f"default@{one}", tmp_path / "group_vars" / "all.yml"], check=True)
    subprocess.run([*encrypt, f"second@{other}", tmp_path / "host_vars" / "far.yml"], check=True)

    without = command.mend("--check", "--application", "web", host="far")
    assert without.code == 2
    assert "is encrypted; vault_password_file or vault_ids name its password" in without.err
    vaults = {"IRCTL_VAULT_PASSWORD_FILE": str(one), "IRCTL_VAULT_IDS": f"second@{other}"}
    words = ("remediate", "db-connections", "--host", "far", "--check", "--application", "web", "--json", "-vv")
    done = command(*words, **vaults)
    assert (done.code, done.host("far")["outcome"]) == (0, "changed"), done.out
    kept = b"".join(path.read_bytes() for path in command.home.rglob("*") if path.is_file())
    for secret in (password, "first vault password", "second vault password"):
        assert secret not in done.out + done.err
        assert secret.encode() not in kept


def test_a_diagnosis_over_ssh_says_what_would_be_ended(far: Callable[..., Irctl], idle: Cluster) -> None:
    done = far()("diagnose", "postgres", "--host", "far", "--json")
    assert done.code == 0, done.err
    assert any("db-connections would end them" in finding["says"] for finding in done.host("far")["findings"])
    assert idle.alive("web") == 3


@pytest.mark.parametrize(("key", "why"), [("", "Host key verification failed"), ("other.pub", "not the one in known_hosts")])
def test_a_host_whose_key_is_unknown_or_changed_is_not_reached(
    far: Callable[..., Irctl], idle: Cluster, sshd: Sshd, tmp_path: Path, key: str, why: str
) -> None:
    """H21, also right after a run that did reach it: an ssh connection that is still open must not vouch for the host."""
    assert far()("diagnose", "postgres", "--host", "far").code == 0
    known = tmp_path / "known_hosts"
    known.write_text(sshd.knows(key) if key else "")
    done = far(known).mend(host="far")
    assert (done.code, done.json["outcome"]) == (4, "unreachable"), done.err
    assert why in done.host("far")["reason"]
    assert idle.alive("web") == 3


def test_a_host_that_does_not_answer_is_unreachable(far: Callable[..., Irctl]) -> None:
    done = far(ansible_port=free_port()).mend(host="far")
    assert (done.code, done.json["outcome"]) == (4, "unreachable"), done.err
    assert "Connection refused" in done.host("far")["reason"]


def test_a_stopped_postgresql_is_said_in_a_sentence(far: Callable[..., Irctl], cluster: Cluster) -> None:
    cluster.stop()
    try:
        done = far().mend(host="far")
    finally:
        cluster.start()
    assert done.code in (1, 4)
    assert "PostgreSQL does not answer: " in done.host("far")["reason"]
    assert "Traceback" not in done.out + done.err


@pytest.fixture
def marks() -> Iterator[Path]:
    """A folder that the system user postgres can write to; pytest's own are closed to it."""
    with tempfile.TemporaryDirectory(prefix="irctl-marks-") as folder:
        shutil.chown(folder, "postgres")
        yield Path(folder)


@pytest.fixture
def slow(far: Callable[..., Irctl], collection: Collection, marks: Path) -> Irctl:
    """The command with a remediation whose change begins with a mark, goes on until the test lets it, and ends with a mark."""
    until = f"until [ -e {marks}/go-on ]; do sleep 0.1; done"
    collection.role("slow", change=f"ansible.builtin.shell: touch {marks}/begun; {until}; touch {marks}/finished")
    command = far()
    command.environment |= collection.irctl.environment
    return command


def doers(marks: Path) -> list[psutil.Process]:
    """The far side's processes: of the change's shell, and of all that carries it."""
    return [
        one for one in psutil.process_iter(["cmdline"]) if any(f"{marks}/finished" in word for word in one.info["cmdline"] or [])
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_when_irctl_is_ended_nobody_works_on_at_the_target(
    slow: Irctl, marks: Path, number: signal.Signals, wait_until: Callable[..., Any]
) -> None:
    """H7: Ansible alone leaves the module at work, and its change comes after the failure was reported."""
    process = slow.start("remediate", "slow", "--host", "far", "--json")
    wait_until((marks / "begun").exists, 20)
    assert doers(marks)
    process.send_signal(number)
    process.wait(60)
    wait_until(lambda: not doers(marks))
    (run,) = slow("runs", "--json").json["runs"]
    assert run["outcome"] == "indeterminate"
    (marks / "go-on").touch()
    assert not (marks / "finished").exists()


def test_when_the_time_limit_is_reached_nobody_works_on_at_the_target(
    slow: Irctl, marks: Path, wait_until: Callable[..., Any]
) -> None:
    done = slow("remediate", "slow", "--host", "far", "--json", "--timeout", "10s")
    assert (done.code, done.json["outcome"]) == (7, "indeterminate")
    assert (marks / "begun").exists()
    wait_until(lambda: not doers(marks))
    (marks / "go-on").touch()
    assert not (marks / "finished").exists()


def test_a_command_whose_connection_was_lost_is_not_sent_again_whatever_the_inventory_says(
    far: Callable[..., Irctl], collection: Collection, marks: Path, tmp_path: Path
) -> None:
    """ssh ends with 255 too where the remote shell was killed after its effect."""
    collection.role("lost", capture=f'ansible.builtin.raw: "echo done >> {marks}/done; exit 255"\nchanged_when: false')
    command = far(ansible_ssh_retries=3)
    command.environment |= collection.irctl.environment
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "far.yml").write_text("ansible_ssh_retries: 3\n")
    done = command("remediate", "lost", "--host", "far", "--json")
    assert (marks / "done").read_text() == "done\n", "once"
    assert (done.code, done.host("far")["outcome"]) == (7, "indeterminate"), done.out
    assert "may have been done" in done.host("far")["reason"]
