"""A remediation is a folder and a playbook: one that is dropped in is a command, without a line of Python."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
import yaml

from tests.conftest import Irctl, write_inventory

FILES = {
    "galaxy.yml": "{namespace: acme, name: books, version: 1.0.0}",
    "playbooks/write_motd.yml": """
        - name: Write the message
          hosts: "{{ irctl_target }}"
          gather_facts: false
          tasks:
            - name: Carry out
              ansible.builtin.import_role:
                name: acme.books.write_motd
                tasks_from: "{{ irctl_entry_point | default('main') }}"
        """,
    "roles/write_motd/defaults/main.yml": "write_motd_text: hello",
    "roles/write_motd/meta/remediation.yml": """
        {summary: Write the message of the day, kind: remediation, service: motd, severity: low, impact: None., reversible: true,
         approvals: [], example: --host prod --text closed, sources: [], parameters: {
           text: {default: hello, example: closed, description: "What it says."},
           path: {type: path, description: "Where it stands."},
           tone: {kind: tone, example: calm, description: "How it says it."}}}
        """,
    "plugins/module_utils/kinds/tone.py": """
        METAVAR = "TONE"

        def check(value):
            if value not in ("calm", "loud"):
                raise ValueError("calm or loud is needed")
            return value
        """,
    "roles/write_motd/tasks/main.yml": """
        - name: Guard | The text is not empty
          ansible.builtin.assert:
            that: write_motd_text | length > 0
        - name: Change | Write it
          ansible.builtin.copy:
            content: "{{ write_motd_text }}"
            dest: "{{ motd_folder }}/motd"
            mode: "0600"
          register: __write_motd_change
        - name: Report | What changed
          irctl.runbooks.report:
          run_once: true
        """,
}


@pytest.fixture
def acme(tmp_path: Path) -> Irctl:
    """irctl with the content folder of a user who wrote one remediation."""
    content = tmp_path / "acme"
    for name, text in FILES.items():
        (content / name).parent.mkdir(parents=True, exist_ok=True)
        (content / name).write_text(textwrap.dedent(text))
    (tmp_path / "there").mkdir()
    here = {"ansible_connection": "local", "motd_folder": str(tmp_path)}
    there = {**here, "motd_folder": str(tmp_path / "there")}
    inventory = write_inventory(tmp_path, {"here": here, "there": there})
    return Irctl(tmp_path / "home", inventory, {"IRCTL_CONTENT": str(content), "COLUMNS": "110"})


def test_it_is_a_command_whose_help_shows_its_options(acme: Irctl) -> None:
    shown = acme("remediate", "write-motd", "--help")
    assert shown.code == 0, shown.err
    assert "Write the message of the day." in shown.out
    assert "--text TEXT" in shown.out
    assert "What it says. Default: hello. Example: --text closed" in " ".join(shown.out.split())
    assert "--path" in shown.out
    assert "--tone TONE" in shown.out, "a kind of its own"


def test_a_kind_of_its_own_says_what_a_value_may_be(acme: Irctl) -> None:
    done = acme("remediate", "write-motd", "--host", "here", "--tone", "shrill")
    assert (done.code, done.err) == (2, "error: --tone: calm or loud is needed (got 'shrill')\n")
    assert acme("remediate", "write-motd", "--host", "here", "--tone", "loud", "--check").code == 0


def test_it_stands_in_the_lists_and_is_told_all_about(acme: Irctl) -> None:
    assert "write-motd" in acme("catalog").out
    assert "write-motd" in acme("remediate", "--help").out
    assert "db-connections" in acme("catalog").out
    names = [entry["name"] for entry in json.loads(acme("catalog", "--json").out)["entries"]]
    assert "write-motd" in names
    assert "motd" in acme("catalog", "write-motd").out


def test_it_changes_once_and_a_second_run_changes_nothing(acme: Irctl, tmp_path: Path) -> None:
    order = ["remediate", "write-motd", "--host", "here", "--text", "{{ 7 * 7 }}", "--json"]
    first = acme(*order)
    assert (first.code, first.json["outcome"]) == (0, "changed"), first.err
    assert (tmp_path / "motd").read_text() == "{{ 7 * 7 }}", "values are data"
    second = acme(*order)
    assert (second.code, second.json["outcome"]) == (0, "unchanged"), second


def test_a_dry_run_of_it_changes_nothing(acme: Irctl, tmp_path: Path) -> None:
    done = acme("remediate", "write-motd", "--host", "here", "--check", "--json")
    assert (done.code, done.json["outcome"], done.json["check"]) == (0, "changed", True), done.err
    assert not (tmp_path / "motd").exists()


def test_its_guard_refuses(acme: Irctl, tmp_path: Path) -> None:
    tree = tmp_path / "hosts.yml"
    tree.write_text(tree.read_text().replace("motd_folder:", 'write_motd_text: ""\n      motd_folder:', 1))
    done = acme("remediate", "write-motd", "--host", "here", "--json")
    assert (done.code, done.json["outcome"]) == (5, "refused"), done.out
    assert not (tmp_path / "motd").exists()


def test_each_host_has_its_own_report(acme: Irctl, tmp_path: Path) -> None:
    (tmp_path / "there" / "motd").write_text("closed")
    (tmp_path / "there" / "motd").chmod(0o600)
    done = acme("remediate", "write-motd", "--host", "here", "--host", "there", "--text", "closed", "--json")
    assert (done.code, done.json["outcome"]) == (0, "changed"), done
    assert [done.host(name)["outcome"] for name in ("here", "there")] == ["changed", "unchanged"]


@pytest.mark.parametrize(("refuses", "acts"), [("here", "there"), ("there", "here")])
def test_a_host_that_its_guard_refuses_does_not_hold_up_the_other(acme: Irctl, tmp_path: Path, refuses: str, acts: str) -> None:
    tree = yaml.safe_load(acme.inventory.read_text())
    tree["all"]["hosts"][refuses]["write_motd_text"] = ""
    acme.inventory.write_text(yaml.safe_dump(tree))
    done = acme("remediate", "write-motd", "--host", "here", "--host", "there", "--json")
    assert (done.code, done.json["outcome"]) == (3, "partial"), done
    assert (done.host(refuses)["outcome"], done.host(acts)["outcome"]) == ("refused", "changed")
    folders = {"here": tmp_path, "there": tmp_path / "there"}
    assert ((folders[refuses] / "motd").exists(), (folders[acts] / "motd").read_text()) == (False, "hello")
