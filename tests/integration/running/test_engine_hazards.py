"""What was seen to go wrong with Ansible and ansible-runner, each reproduced and shown not to bite. HAZARDS H1 to H24."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sessions import counted
from irctl.lab.postgres import Postgres
from tests.conftest import Irctl, Sessions, host_of, needs_root, write_inventory
from tests.integration.conftest import Collection

CANARY = "canary-5bd1e0"
TEXT = {"type": "str", "description": "Some text."}


def everything_kept(*folders: Path) -> bytes:
    return b"".join(
        path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    )


def test_values_are_data_and_never_templates(irctl: Irctl, tmp_path: Path) -> None:
    """H1: a lookup in a value would run on the controller."""
    attack = f"{{{{ lookup('pipe', 'touch {tmp_path}/ran') }}}}"[:63]
    done = irctl.mend("--database", attack, "--user", "{{ 7*7 }}", "--application", "{% raw %}x")
    assert done.json["outcome"] == "refused"
    assert "There is no role '{{ 7*7 }}'." in done.host()["reason"]
    plan = json.loads((Path(done.json["folder"]) / "run.json").read_text())["plan"]
    assert plan["parameters"]["db_connections_user"] == ["{{ 7*7 }}"]
    assert not (tmp_path / "ran").exists()


def test_a_value_reaches_a_role_letter_for_letter(collection: Collection, tmp_path: Path) -> None:
    """H1 and H2: no template, no YAML: 010 stays 010, no stays no."""
    texts = ("010", "no", "1:2", "1_000", "2024-11-03", "{{ 7*7 }}", "!unsafe x", "é\"'\\")
    names = [f"text{number}" for number in range(len(texts))]
    lines = f"{{{{ [{', '.join(f'echo_{name}' for name in names)}] | join('\\n') }}}}"
    collection.role(
        "echo",
        dict.fromkeys(names, TEXT),
        change=f"ansible.builtin.copy:\n  content: \"{lines}\"\n  dest: {tmp_path}/said\n  mode: '0600'",
    )
    words = [word for number, text in enumerate(texts) for word in (f"--text{number}", text)]
    done = collection.irctl("remediate", "echo", "--host", "here", *words)
    assert done.code == 0, done
    assert tuple((tmp_path / "said").read_text().split("\n")) == texts


def test_no_secret_is_kept_anywhere(tmp_path: Path, server: Postgres, sessions: Sessions) -> None:
    """H3, H4 and promise 17: from the environment, the inventory, a password file, statements, a refused login."""
    passfile = tmp_path / "passfile"
    passfile.write_text(f"*:*:*:ops:{CANARY}-wrong\n")
    passfile.chmod(0o600)
    vault = {"ansible_password": CANARY, "ansible_become_password": CANARY}
    hosts = {"lab": host_of(server, **vault), "barred": host_of(server, postgres_passfile=str(passfile), **vault)}
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, hosts, both=["lab", "barred"]))
    said = f"SELECT 'x{CANARY}', $${CANARY}$$ -- {CANARY}"
    sessions.open(1, said, user="ops")
    sessions.open(1, f"SET SESSION my.token = '{CANARY}'; LISTEN jobs")
    sessions.grow_old()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    secret = {"AWS_SECRET_ACCESS_KEY": CANARY, "PGPASSWORD": CANARY, "MY_TOKEN": CANARY, "TMPDIR": str(temporary)}
    done = irctl("remediate", "db-connections", "--host", "both", "-vv", **secret)
    seen = irctl("diagnose", "postgres", "--host", "both", **secret)
    assert (done.code, seen.code) == (3, 3)
    assert "password authentication failed" in done.out
    assert CANARY not in done.out + done.err + seen.out + seen.err
    assert CANARY.encode() not in everything_kept(irctl.home, temporary)
    assert list(temporary.iterdir()) == [], "H5: the private folder is gone"


def test_24_runs_at_once_are_never_crossed(tmp_path: Path, server: Postgres, sessions: Sessions) -> None:
    """H6: each ends its own sessions and nobody else's."""
    names = [f"team{number:02}" for number in range(24)]
    hosts = {name: host_of(server, db_connections_application=[name]) for name in names}
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, hosts))
    opened = {name: sessions.open(1 + number % 3, application=name) for number, name in enumerate(names)}
    sessions.grow_old()
    running = {name: irctl.start("remediate", "db-connections", "--host", name, "--json") for name in names}
    for name, process in running.items():
        out, _ = process.communicate(timeout=120)
        host = json.loads(out)["hosts"][name]
        assert host["reason"].startswith(f"{counted(len(opened[name]))} ended")
        assert sessions.alive(opened[name]) == 0
    assert len(irctl("runs", "--last", "30", "--json").json["runs"]) == 24


def test_output_of_a_target_cannot_forge_events(collection: Collection) -> None:
    """H11: a frame in a message replaced the run's statistics."""
    forged = {
        "uuid": "forged",
        "event": "playbook_on_stats",
        "event_data": {"artifact_data": {"irctl_report": {"here": {"changed": 1}}}},
    }
    code = base64.b64encode(json.dumps(forged).encode()).decode()
    frame = json.dumps(f"\x1b[K{code}\x1b[{len(code)}D\x1b[K bell \x07 <script>")
    collection.role("forge", change=f"ansible.builtin.fail: {{msg: {frame}}}")
    done = collection.irctl("remediate", "forge", "--host", "here", "--json", "--timeout", "30s")
    assert done.json["outcome"] in ("failed", "indeterminate")
    assert done.host("here")["changed"] is False
    assert "\x1b" not in done.out + done.err
    assert b"\x1b" not in everything_kept(Path(done.json["folder"]))


def test_statements_and_names_on_a_server_are_inert(irctl: Irctl, sessions: Sessions) -> None:
    """H11 and promise 18, through PostgreSQL."""
    sessions.open(1, 'SELECT 1 /* \x1b[2J\x07 */ AS "\x1b]0;owned\x07"', application="\x1b[31mred{{ 7*7 }}")
    sessions.open(1, "BEGIN", 'SELECT 1 AS "\x1b[2J"')
    sessions.grow_old()
    done, seen = irctl.mend(), irctl("diagnose", "postgres", "--host", "lab")
    assert done.json["outcome"] == "changed"
    assert "\x1b" not in done.out + done.err + seen.out + seen.err
    assert b"\x1b" not in everything_kept(irctl.home)
    assert "red49" not in seen.out


def test_evidence_of_30_megabytes_is_whole(collection: Collection) -> None:
    """H9: a registered result of that size is lost without a word."""
    plugins = collection.root / "plugins"
    (plugins / "action").mkdir(parents=True)
    (plugins / "modules").mkdir()
    body = "ARGUMENTS = {}\ndef run(params, check_mode):\n    return {'changed': True, 'evidence': {'big.txt': 'é' * 15_000_000}}\n"
    (plugins / "modules" / "big.py").write_text(body)
    base = "from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process\n"
    action = f"from ansible_collections.acme.fixes.plugins.modules import big\n{base}ActionModule = in_process(big)\n"
    (plugins / "action" / "big.py").write_text(action)
    collection.role("large", capture="acme.fixes.big: {}")
    done = collection.irctl("remediate", "large", "--host", "here", "--json")
    assert done.json["outcome"] == "changed", done.err
    kept = Path(done.json["folder"]) / "evidence" / "here" / "big.txt"
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == hashlib.sha256(("é" * 15_000_000).encode()).hexdigest()
    assert collection.irctl("evidence", "verify", done.json["run"]).code == 0


def test_a_host_that_is_not_there_is_never_passed_over(collection: Collection) -> None:
    """H12: no host matched, or one of two, was rc 0 and 'successful'."""
    collection.role("nothing")
    for names in (["nosuch"], ["here", "nosuch"], ["nobody"]):
        done = collection.irctl("remediate", "nothing", "--json", *(word for name in names for word in ("--host", name)))
        assert (done.code, done.json["outcome"], done.json["hosts"]) == (4, "unreachable", {})
        assert f"(got '{names[-1]}')" in done.err
    assert not (collection.irctl.home / "runs").exists()
    both = collection.irctl("remediate", "nothing", "--host", "both", "--json")
    assert sorted(both.json["hosts"]) == ["here", "there"]


def test_a_broken_inventory_is_named(collection: Collection) -> None:
    collection.role("nothing")
    collection.irctl.inventory.write_text("all: {hosts: {here: [")
    done = collection.irctl("remediate", "nothing", "--host", "here")
    assert done.code == 2
    assert done.err.startswith("error: --inventory: ")
    assert len(done.err.splitlines()) == 1


def test_the_caller_s_environment_cannot_bring_foreign_code(collection: Collection, tmp_path: Path) -> None:
    """H19: ANSIBLE_CONFIG and plugin paths of the caller ran foreign Python."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "set_fact.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (foreign / "ansible.cfg").write_text(f"[defaults]\naction_plugins = {foreign}\n")
    collection.role("nothing")
    environment = {
        "ANSIBLE_CONFIG": str(foreign / "ansible.cfg"),
        "ANSIBLE_ACTION_PLUGINS": str(foreign),
        "ANSIBLE_STRATEGY": "nosuch",
    }
    (collection.irctl.home.parent / "ansible.cfg").write_text(f"[defaults]\naction_plugins = {foreign}\n")
    done = collection.irctl(
        "remediate", "nothing", "--host", "here", "--json", **environment, PYTHONSTARTUP=str(foreign / "set_fact.py")
    )
    assert done.json["outcome"] == "changed", done.err
    assert not (tmp_path / "ran").exists()


LOCALES = [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"LC_ALL": "de_DE.ISO-8859-1"}, {"LC_CTYPE": "C", "LANG": "en_US.UTF-8"}]


@pytest.mark.parametrize("locale", LOCALES)
def test_a_locale_that_ansible_does_not_take_is_not_handed_on(locale: dict[str, str], collection: Collection) -> None:
    """H19: ssh hands on the caller's, installed here or not."""
    collection.role("nothing")
    done = collection.irctl("remediate", "nothing", "--host", "here", **locale)
    assert (done.code, done.err.count("error")) == (0, 0), done.err


def test_a_dead_python_in_the_path_is_not_picked(collection: Collection, tmp_path: Path) -> None:
    """H24: interpreter discovery on this machine found a shim that does not work."""
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ("python3", "python3.11", "python"):
        (shims / name).write_text("#!/bin/sh\nexit 127\n")
        (shims / name).chmod(0o755)
    collection.role("ping", change="ansible.builtin.ping: {}")
    done = collection.irctl("remediate", "ping", "--host", "here", "--json", PATH=f"{shims}:{os.environ['PATH']}")
    assert done.json["outcome"] == "unchanged", done.out


@needs_root
def test_on_a_full_disk_nothing_is_run(small_disk: Path, collection: Collection, tmp_path: Path) -> None:
    """H8: with artifacts on a full disk a run hung for over ten minutes."""
    (small_disk / "filler").write_bytes(b"x" * (20 << 20))
    collection.role("mark", change=f"ansible.builtin.shell: touch {tmp_path}/changed")
    done = Irctl(small_disk / "home", collection.irctl.inventory, collection.irctl.environment)(
        "remediate", "mark", "--host", "here"
    )
    assert (done.code, done.out) == (8, "")
    assert "MiB free and a record needs 32; nothing was run" in done.err
    assert not (tmp_path / "changed").exists()
    assert not (small_disk / "home").exists()


@needs_root
@pytest.mark.parametrize("evidence", [True, False])
def test_when_the_disk_fills_up_meanwhile_no_evidence_means_no_change(
    evidence: bool, small_disk: Path, collection: Collection, tmp_path: Path, server: Postgres
) -> None:
    """Promise 13; and where there was nothing to keep, the record is whole all the same."""
    where = {name: value for name, value in host_of(server).items() if name.startswith("postgres_")}
    look = f"irctl.runbooks.pg_sessions: {json.dumps({'state': 'described', 'idle_for': '5s', **where})}"
    fill = f"ansible.builtin.shell: dd if=/dev/zero of={small_disk}/filler bs=64k count=10000 || true"
    more = {"capture": look} if evidence else {}
    collection.role("mark", guard=fill, change=f"ansible.builtin.shell: touch {tmp_path}/changed", **more)
    irctl = Irctl(small_disk / "home", collection.irctl.inventory, collection.irctl.environment)
    done = irctl("remediate", "mark", "--host", "here", "--json")
    assert (tmp_path / "changed").exists() is not evidence
    assert (done.code, done.json["outcome"]) == ((8, "failed") if evidence else (0, "changed"))
    assert irctl("evidence", "verify", done.json["run"]).code == 0
    if evidence:
        assert "Evidence cannot be kept: [Errno 28] No space left on device" in done.host("here")["reason"]
