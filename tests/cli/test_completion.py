"""Completion: the scripts, and what they ask irctl for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import listing, only_object
from tests.conftest import Irctl
from tests.schemas import require_valid

VERBS = [
    "remediate",
    "diagnose",
    "plan",
    "catalog",
    "revert",
    "incident",
    "request",
    "approve",
    "approvals",
    "drill",
    "leases",
    "stop",
    "resume",
]
VERBS += ["runs", "evidence", "lab", "init", "doctor", "content", "help", "completion"]


def completed(irctl: Irctl, words: str) -> list[str]:
    """What bash offers for the last of these words."""
    done = irctl(_IRCTL_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1))
    assert done.err == "", "TAB must not clutter the line that is being typed"
    return [line.partition(",")[2] for line in done.out.splitlines() if line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(irctl: Irctl, shell: str) -> None:
    done = irctl("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert f"_IRCTL_COMPLETE={shell}_complete" in done.out


def test_with_json_the_script_stands_in_one_object_and_an_error_is_one_of_the_same_schema(irctl: Irctl) -> None:
    document = only_object(irctl("completion", "zsh", "--json"))
    require_valid(document)
    assert document["script"] + "\n" == irctl("completion", "zsh").out
    refused = irctl("completion", "--json")
    require_valid(only_object(refused))
    assert (refused.code, refused.json["schema"]) == (2, document["schema"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_can_be_read_by_that_shell(irctl: Irctl, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} on this machine")
    script = irctl("completion", shell).out
    assert subprocess.run([program, "-n"], input=script, text=True, capture_output=True).stderr == ""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("irctl remediate db-c", ["db-connections"]),
        ("irctl plan db-c", ["db-connections"]),
        ("irctl diagnose p", ["postgres"]),
        ("irctl catalog db-c", ["db-connections"]),
        ("irctl rem", ["remediate"]),
        ("irctl ", VERBS),
        ("irctl remediate zzz", []),
        ("irctl remediate zzz --h", []),
        ("irctl lab st", ["status"]),
        ("irctl remediate db-connections --idle-i", ["--idle-in-transaction-for"]),
        ("irctl remediate db-connections --host d", ["db1", "db2"]),
        ("irctl remediate db-connections --host pro", ["prod"]),
        ("irctl diagnose postgres --host rep", ["replica3"]),
    ],
)
def test_what_was_begun_is_completed(irctl: Irctl, words: str, offered: list[str]) -> None:
    assert completed(irctl, words) == offered


def test_bash_itself_completes_a_remediation(irctl: Irctl, tmp_path: Path) -> None:
    """The whole way: the script read by bash, its function called as TAB calls it."""
    (tmp_path / "completion").write_text(irctl("completion", "bash").out)
    as_tab = 'COMP_WORDS=(irctl remediate db-c); COMP_CWORD=2; _irctl_completion irctl; echo "${COMPREPLY[*]}"'
    done = subprocess.run(["bash", "--norc", "-c", f". {tmp_path}/completion; {as_tab}"], capture_output=True, text=True)
    assert done.stdout.strip() == "db-connections", done


@pytest.mark.parametrize("inventory", ["nosuch", "broken"])
def test_an_inventory_that_cannot_be_read_completes_nothing_and_says_nothing(irctl: Irctl, tmp_path: Path, inventory: str) -> None:
    (tmp_path / "broken").write_text("a: [")
    irctl.inventory = tmp_path / inventory
    assert completed(irctl, "irctl remediate db-connections --host d") == []


def test_a_host_with_an_encrypted_value_is_completed_too(irctl: Irctl, tmp_path: Path) -> None:
    value = "ansible_become_password: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n          00"
    irctl.inventory = tmp_path / "vaulted.yml"
    irctl.inventory.write_text(f"all:\n  hosts:\n    dbhost:\n      {value}\n")
    assert completed(irctl, "irctl remediate db-connections --host d") == ["dbhost"]


def test_completing_writes_nothing(irctl: Irctl, tmp_path: Path) -> None:
    before = listing(tmp_path)
    completed(irctl, "irctl remediate db-connections --host d")
    completed(irctl, "irctl runs 2")
    assert listing(tmp_path) == before
