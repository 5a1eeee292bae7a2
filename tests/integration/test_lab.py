"""The lab from start to end, and the fault that is made in it and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from irctl.content import SCHEMAS
from irctl.lab import Postgres
from tests.conftest import Irctl, Sessions, host_of, write_inventory


def test_the_lab_goes_up_and_down_and_says_so(tmp_path: Path) -> None:
    irctl = Irctl(tmp_path / "home", tmp_path / "home" / "lab" / "inventory")
    assert irctl("lab", "status").code == 1
    assert "start it with: irctl lab up" in irctl("lab", "fault", "db-connections").err
    try:
        up = irctl("lab", "up", "--json").json
        assert up["running"] is True
        assert "was running already" in irctl("lab", "up").out
        assert irctl("lab", "status").code == 0
        made = irctl("lab", "fault", "db-connections", "--json")
        jsonschema.validate(made.json, json.loads((SCHEMAS / "run-1.json").read_text()))
        assert (made.json["outcome"], made.json["remediation"]) == ("changed", "db-connections fault")
        assert "-db-connections-fault-" in made.json["run"]
        mended = irctl.mend()
        assert mended.host()["reason"].startswith("12 sessions ended")
    finally:
        down = irctl("lab", "down")
    assert "stopped and removed" in down.out
    assert not (tmp_path / "home" / "lab").exists()
    assert irctl.mend().code == 2, "the lab's inventory is gone with it"


def test_no_fault_is_made_where_the_inventory_does_not_allow_drills(tmp_path: Path, server: Postgres, sessions: Sessions) -> None:
    home = tmp_path / "home"
    hosts = {"lab": host_of(server, irctl_drills="")}
    irctl = Irctl(home, write_inventory(tmp_path, hosts))
    before = sessions.ask("SELECT count(*) FROM pg_stat_activity")
    script = "from irctl import catalog, config, flow; import os\n"
    script += "s = config.load({}, os.environ)\n"
    script += "f = catalog.load('db-connections', s.contents, entry_point='fault')\n"
    script += "d = flow.carry_out(flow.Order(f, ('lab',), {}, entry_point='fault'), s, lambda *a: None)\n"
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
