"""One incident from its opening to its evidence pack, with everything that the record is for, on a real PostgreSQL."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from irctl.lab.postgres import Postgres
from tests.conftest import Done, Irctl, host_of, write_inventory

PEOPLE = {"ana@example.com": "", "ben@example.com": "incident-commander"}


@pytest.fixture
def people(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Two people with a key each; the environment of one of them."""
    lines = []
    for who, roles in PEOPLE.items():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / who], check=True)
        lines.append(f"{who} {' '.join((tmp_path / f'{who}.pub').read_text().split()[:2])} roles={roles}\n")
    allowed = tmp_path / "allowed"
    allowed.write_text("".join(lines))
    allowed.chmod(0o600)

    def environment(who: str) -> dict[str, str]:
        return {"IRCTL_PRINCIPAL": who, "IRCTL_SIGNING_KEY": str(tmp_path / who), "IRCTL_ALLOWED_SIGNERS": str(allowed)}

    return environment


def writes(server: Postgres) -> bool:
    """Whether a client can write to the shop. A session that is ended meanwhile asks again."""
    try:
        with psycopg.connect(server.address("ops", "shop"), autocommit=True) as session:
            session.execute("CREATE TABLE IF NOT EXISTS ledger (n int); INSERT INTO ledger VALUES (1)")
    except psycopg.errors.ReadOnlySqlTransaction:
        return False
    except psycopg.OperationalError:
        return writes(server)
    return True


def test_an_incident_from_its_opening_to_a_pack_that_verifies_elsewhere(
    tmp_path: Path, server: Postgres, people: Callable[[str], dict[str, str]], wait_until: Callable[..., Any]
) -> None:
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, {"lab": host_of(server)}))

    def by(who: str, *words: str, code: int = 0) -> Done:
        done = irctl(*words, **people(f"{who}@example.com"))
        assert done.code == code, (words, done)
        return done

    incident = by("ana", "incident", "open", "--title", "The ledger is corrupt", "--severity", "P1", "--json").json["incident"]
    by("ana", "incident", "ack", incident)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "shop.log").write_text("ERROR checksum\n" * 100)
    by("ana", "evidence", "collect", str(tmp_path / "logs" / "shop.log"), "--incident", incident, "--root", str(tmp_path / "logs"))
    by("ana", "leases", "run-due", "--every", "1m")

    freeze = ("db-freeze-writes", "--host", "lab", "--database", "shop", "--for", "1h", "--incident", incident)
    assert writes(server)
    by("ana", "remediate", *freeze, code=5)
    assert writes(server), "nothing without approval"
    request = by("ana", "request", *freeze, "--json").json["id"]
    by("ana", "approve", request, "--as", "incident-commander", "--yes", code=5)
    by("ben", "approve", request, "--as", "incident-commander", "--yes")
    process = irctl.start("remediate", *freeze[:1], "--plan", request, **people("ana@example.com"))
    wait_until(lambda: not writes(server), 30)
    process.kill()
    process.wait()

    [path] = (irctl.home / "leases").glob("*.json")
    lease = json.loads(path.read_text())
    path.write_text(json.dumps({**lease, "armed": {**lease["armed"], "uptime": lease["armed"]["uptime"] - 3600}}))
    irctl("leases", "run-due", "--every", "1m")
    assert writes(server), "it ended by itself, although the process that made it was killed"

    by("ana", "incident", "impact", incident, "--users", "500", "--services", "shop", "--data", "ledger", "--personal-data", "no")
    by("ana", "incident", "status", incident, "resolved")
    by("ana", "incident", "close", incident)
    by("ana", "incident", "pack", incident)
    verified = by("ana", "evidence", "verify", incident)
    assert "is as it was sealed" in verified.out

    copy = tmp_path / "far away"
    shutil.copytree(irctl.home / "incidents" / incident, copy)
    events = [json.loads(line)["event"] for line in (copy / "journal.jsonl").read_text().splitlines()]
    wanted = ["opened", "acknowledged", "collected", "requested", "approved", "lease-armed", "approval-spent"]
    wanted += ["lease-ended", "impact", "status", "closed", "packed"]
    assert [event for event in dict.fromkeys(events) if event in wanted] == wanted
    assert events.count("run-started") == events.count("run-ended") == 3, "the dry run of the request, the run, its undoing"
    assert "ben@example.com" in (copy / "timeline.md").read_text()

    def checked() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-I", str(copy / "verify.py"), str(copy), "--allowed-signers", str(tmp_path / "allowed")]
        return subprocess.run(words, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})

    assert checked().returncode == 0, checked().stdout
    assert "ana@example.com" in checked().stdout
    log = next(copy.rglob("shop*.log"))
    log.write_text(log.read_text().replace("ERROR", "error", 1))
    assert checked().returncode == 8
    assert log.name in checked().stdout
