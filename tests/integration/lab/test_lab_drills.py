"""Every drill that the lab can hold, on the lab: its fault shows, it is mended, and nothing of it is left."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from ansible_collections.irctl.runbooks.plugins.module_utils.arguments.aws import ARGUMENTS as AWS
from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from irctl.lab.lab import Lab
from tests.conftest import Irctl

ATTACKER, NEIGHBOUR = "198.51.100.7/32", "185.1.1.1/32"
HELD = [
    "archive-evidence",
    "block-ip",
    "capture-evidence",
    "clear-rate-limit",
    "db-blockers",
    "db-connections",
    "db-freeze-writes",
    "flush-policy-cache",
    "purge-evidence",
]
MOST = 120.0  # seconds of work for all of them; the clock on the wall is the machine's, which others may keep busy
LONGEST = 900.0


class Practice:
    """A lab with the command, and a look at its servers that does not go through irctl."""

    def __init__(self, home: Path) -> None:
        self.lab = Lab(home)
        self.irctl = Irctl(home, self.lab.inventory)

    @property
    def host(self) -> dict[str, Any]:
        shared = yaml.safe_load((self.lab.inventory / "hosts.yml").read_text())["databases"]["hosts"]["lab"]
        here: dict[str, Any] = yaml.safe_load((self.lab.inventory / "host_vars" / "lab.yml").read_text())
        return shared | here

    def client(self, service: str) -> Any:
        return clients.client(service, {name: self.host.get(f"aws_{name}") for name in (one.removeprefix("aws_") for one in AWS)})

    def blocked(self) -> list[str]:
        """The entries of the IP set for IPv4, if the web ACL has a rule that blocks what is in it."""
        waf, scope = self.client("wafv2"), {"Scope": "REGIONAL"}
        [known] = [one for one in waf.list_ip_sets(**scope)["IPSets"] if one["Name"] == self.host["edge_wafv2_name_v4"]]
        [acl] = waf.list_web_acls(**scope)["WebACLs"]
        rules = waf.get_web_acl(Name=acl["Name"], Id=acl["Id"], **scope)["WebACL"]["Rules"]
        assert [rule for rule in rules if known["ARN"] in json.dumps(rule["Statement"]) and "Block" in rule["Action"]]
        return sorted(waf.get_ip_set(Name=known["Name"], Id=known["Id"], **scope)["IPSet"]["Addresses"])

    def ask(self, statement: str) -> Any:
        with psycopg.connect(self.lab.postgres.address("postgres"), autocommit=True) as session:
            row = session.execute(statement.encode()).fetchone()
            return row[0] if row else None


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    practice = Practice(tmp_path_factory.mktemp("practice") / "home")
    assert practice.irctl("lab", "up").code == 0
    yield practice
    assert practice.irctl("lab", "down").code == 0


def test_the_fault_of_block_ip_lets_an_attacker_through_who_was_blocked_and_nobody_else(practice: Practice) -> None:
    words = ["--address", NEIGHBOUR.removesuffix("/32"), "--address", ATTACKER.removesuffix("/32")]
    done = practice.irctl("remediate", "block-ip", "--host", "lab", "--json", *words)
    assert practice.blocked() == [NEIGHBOUR, ATTACKER], done.out
    made = practice.irctl("lab", "fault", "block-ip", "--json")
    assert (made.code, made.host()["reason"]) == (0, "198.51.100.7 let through"), made.out
    assert practice.blocked() == [NEIGHBOUR]
    assert practice.irctl("revert", done.json["run"], "--json").host()["reason"].startswith("1 address let through again, 1 gone")
    assert practice.blocked() == []


def test_the_example_of_block_ip_in_its_own_help_works_as_it_stands(practice: Practice) -> None:
    [example] = re.findall(r"Example: irctl (remediate block-ip .*)", practice.irctl("remediate", "block-ip", "--help").out)
    done = practice.irctl(*example.split(), "--json")
    assert (done.code, practice.blocked()) == (0, [ATTACKER]), done.err
    assert practice.irctl("revert", done.json["run"]).code == 0


def worked() -> float:
    """The seconds that all processes which were waited for have worked so far."""
    return sum(os.times()[2:4])


def test_every_drill_that_the_lab_can_hold_is_fixed_with_less_than_two_minutes_of_work_and_leaves_nothing(
    practice: Practice,
) -> None:
    before = practice.ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    begun, process = worked(), practice.irctl.start("drill", "run", *HELD, "--host", "lab", "--json")
    out, err = process.communicate(timeout=LONGEST)
    drills = json.loads(out)["drills"]
    assert {one["remediation"]: one["verdict"] for one in drills} == dict.fromkeys(HELD, "fixed"), out + err
    assert process.returncode == 0
    assert worked() - begun < MOST
    assert practice.blocked() == []
    assert practice.ask("SELECT count(*) FROM pg_database WHERE datname LIKE 'irctl%'") == 0
    assert practice.ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == before
    assert not [path for path in Path(practice.host["archive_evidence_tree"]).rglob("*") if path.is_file()]
