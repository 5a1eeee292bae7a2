"""A play with more hosts than forks: a fork answers for several hosts, and each is still judged, told and recorded on its own."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from irctl.lab.postgres import Postgres
from tests.conftest import Irctl, Sessions, host_of, write_inventory
from tests.integration.conftest import Collection

NAMES = [f"db{number:02}" for number in range(30)]  # crews of three, as there are ten forks


def test_each_host_of_a_crew_has_its_own_outcome_and_its_own_evidence(tmp_path: Path, server: Postgres, sessions: Sessions) -> None:
    hosts = {name: host_of(server, db_connections_application=[name]) for name in NAMES}
    hosts["db02"] = host_of(server, db_connections_user=["postgres"])
    hosts["db04"]["postgres_passfile"] = str(tmp_path / "missing")
    opened = {name: sessions.open(count, application=name) for name, count in (("db00", 1), ("db01", 2), ("db05", 3), ("db29", 1))}
    sessions.grow_old()
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, hosts, fleet=NAMES))
    done = irctl("remediate", "db-connections", "--host", "fleet", "--json", "--max", "2")
    assert (done.code, done.json["outcome"]) == (3, "partial"), done.err
    outcomes = {name: host["outcome"] for name, host in done.json["hosts"].items()}
    expected = {"db00": "changed", "db01": "changed", "db02": "unchanged", "db04": "failed", "db05": "refused", "db29": "changed"}
    assert outcomes == dict.fromkeys(NAMES, "refused") | expected, "there is no session with the other names"
    assert {name: sessions.alive(of) for name, of in opened.items()} == {"db00": 0, "db01": 0, "db05": 3, "db29": 0}
    evidence = Path(done.json["folder"]) / "evidence"
    for name in ("db00", "db01", "db29"):
        assert (evidence / name / "sessions-before.json").read_text().count(f'"application": "{name}"') == len(opened[name])


def test_a_host_s_variables_can_be_read_by_the_rest_of_its_crew(tmp_path: Path, collection: Collection) -> None:
    """Ansible's worker forgets the variables of a host that it has answered for."""
    hosts = {name: {"ansible_connection": "local", "flavour": f"of {name}"} for name in NAMES}
    collection.irctl.inventory = write_inventory(tmp_path, hosts)
    collection.role(
        "reads_all",
        guard="""
            ansible.builtin.assert:
              that: ansible_play_hosts_all | map('extract', hostvars, 'flavour') | unique | length == 30
        """,
    )
    done = collection.irctl("remediate", "reads-all", *(word for name in NAMES for word in ("--host", name)), "--json")
    assert done.code == 0, done.out


@pytest.mark.parametrize(("number", "forks"), [(30, 10), (5, 5)], ids=["crews of three", "each its own fork"])
def test_more_hosts_than_forks_go_in_crews(tmp_path: Path, collection: Collection, number: int, forks: int) -> None:
    names = NAMES[:number]
    collection.irctl.inventory = write_inventory(tmp_path, {name: {"ansible_connection": "local"} for name in names}, fleet=names)
    told = tmp_path / "told"
    collection.role(
        "tells_its_fork",
        guard=f"""
            ansible.builtin.assert:
              that: lookup('pipe', 'echo $PPID >> {told}') == ''
        """,
    )
    done = collection.irctl("remediate", "tells-its-fork", "--host", "fleet", "--check", "--json")
    assert done.code == 0, done.out
    assert len(set(told.read_text().split())) == forks


@pytest.fixture
def silent() -> Iterator[tuple[int, list[float]]]:
    """A port where connections are taken and never answered, and when each came."""
    came: list[float] = []
    taken: list[socket.socket] = []

    def take(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                taken.append(listener.accept()[0])
                came.append(time.monotonic())

    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        thread = threading.Thread(target=take, args=[listener])
        thread.start()
        yield listener.getsockname()[1], came
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for one in taken:
        one.close()


def test_a_host_that_does_not_answer_does_not_hold_up_its_crew(
    tmp_path: Path, server: Postgres, silent: tuple[int, list[float]]
) -> None:
    port, came = silent
    hosts = {name: host_of(server) for name in NAMES}
    for name in ("db03", "db04", "db05"):
        hosts[name]["postgres_port"] = port
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, hosts, fleet=NAMES))
    done = irctl("remediate", "db-connections", "--host", "fleet", "--json")
    assert (done.code, done.json["outcome"]) == (3, "partial"), done.err
    unreachable = {name for name, host in done.json["hosts"].items() if host["outcome"] == "unreachable"}
    assert unreachable == {"db03", "db04", "db05"}
    first, second, third = came
    assert third - second < (second - first) / 2, "the first one alone, then the other two at once"
