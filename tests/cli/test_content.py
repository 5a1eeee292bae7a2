"""irctl content, and what is told of a content folder whose definitions or files are wrong: one line, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from irctl.content import scaffold
from tests.cli.conftest import listing, only_object
from tests.conftest import Irctl, write_inventory

Refused = Callable[..., str]
DEFINITION, MODULE, TASKS = (
    "roles/clear_lock/meta/remediation.yml",
    "plugins/modules/clear_lock.py",
    "roles/clear_lock/tasks/main.yml",
)
RUN = ("remediate", "clear-lock", "--host", "here", "--path", "/nosuch/lock")


@pytest.fixture
def acme(irctl: Irctl, tmp_path: Path) -> Path:
    """A content folder in force, with one remediation."""
    content, _ = scaffold.new(tmp_path / "acme", "clear-lock", "acme.books")
    irctl.environment["IRCTL_CONTENT"] = str(content.root)
    write_inventory(tmp_path, {"here": {"ansible_connection": "local"}})
    return content.root


def test_a_new_remediation_is_a_command_at_once_and_passes_its_check(irctl: Irctl, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    begun = irctl("content", "new", "clear-lock", "--dir", str(folder), "--collection", "acme.books")
    assert (begun.code, f"{folder}/{DEFINITION}" in begun.out.splitlines()) == (0, True), begun
    irctl.environment["IRCTL_CONTENT"] = str(folder)
    assert "--path PATH" in irctl("remediate", "clear-lock", "--help").out
    checked = irctl("content", "check", str(folder))
    assert (checked.code, checked.out) == (0, "acme.books: every rule is kept\n")
    assert irctl("content", "build", str(folder)).out == "All of it is as the definitions say\n"


def test_what_breaks_a_rule_is_told_with_its_place_and_the_exit_is_1(irctl: Irctl, acme: Path) -> None:
    change(acme / DEFINITION, "drill_every: 30d\n", "")
    done = irctl("content", "check", str(acme))
    assert done.code == 1
    assert "roles/clear_lock: drill_every: how often it is practised is missing, such as 30d" in done.out.splitlines()
    rows = only_object(irctl("content", "check", str(acme), "--json"))["faults"]
    assert {"where": "roles/clear_lock", "says": "drill_every: how often it is practised is missing, such as 30d"} in rows
    built = irctl("content", "build", str(acme), "--json").json["written"]
    assert built == ["roles/clear_lock/README.md"], "what follows from the definition, and no more"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["new", "db-connections", "--dir", "DIR"], "NAME: irctl has a remediation of this name (got 'db-connections')"),
        (
            ["new", "clear-lock", "--dir", "DIR"],
            "--collection: DIR is no collection yet; give it a name, such as acme.books (got '')",
        ),
        (["check", "DIR/nosuch"], "content: DIR/nosuch is not a collection: it needs a galaxy.yml with namespace and name"),
        (["build", "DIR"], "content: DIR is not a collection: it needs a galaxy.yml with namespace and name"),
    ],
)
def test_what_cannot_be_begun_or_checked_is_bad_input(refused: Refused, tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "empty").mkdir()
    there = str(tmp_path / "empty")
    assert refused("content", *(word.replace("DIR", there) for word in words)) == says.replace("DIR", there)


@pytest.mark.parametrize(
    ("text", "other", "says"),
    [
        ("kind: path", "kind: foldr", "clear_lock_path: there is no kind foldr; known are bucket, "),
        ("minimum: 1,", "minimun: 1,", "parameters.max_bytes: there is no key minimun. Did you mean minimum?"),
        ("severity: low", "severity: lwo", "severity: one of low, medium, high, critical is needed (got 'lwo')"),
        ("service: clear-lock\n", "", "service is missing"),
        (
            "  max_bytes:",
            "  check:",
            "clear_lock_check: it would be the option --check, which is irctl's own; give it another name",
        ),
        ("  max_bytes:", "  host:", "clear_lock_host: it would be the option --host, which is irctl's own; give it another name"),
    ],
)
def test_a_definition_that_is_wrong_is_told_before_anything_runs(
    refused: Refused, irctl: Irctl, acme: Path, text: str, other: str, says: str
) -> None:
    change(acme / DEFINITION, text, other)
    assert refused(*RUN).startswith(f"content: {acme}/{DEFINITION}: {says}")
    told = irctl("doctor", "--json")
    assert told.code == 1
    assert [check["name"] for check in told.json["checks"] if says[:40] in check["says"]] == ["content"]
    assert irctl("remediate", "db-connections", "--help").code == 0, "the others are not held up"


@pytest.mark.parametrize(
    ("file", "text", "other", "says"),
    [(MODULE, "def run(", "def run((", "line "), (TASKS, "    quiet: true", "   quiet: true", "while parsing a block mapping")],
)
def test_a_file_that_cannot_be_read_is_told_before_anything_runs(
    refused: Refused, acme: Path, file: str, text: str, other: str, says: str
) -> None:
    change(acme / file, text, other)
    message = refused(*RUN)
    assert message.startswith(f"content: {acme}/{file}: {says}")
    assert message.endswith("; nothing was run")


def test_a_check_writes_nothing(irctl: Irctl, acme: Path) -> None:
    before = listing(acme)
    irctl("content", "check", str(acme))
    assert {name for name in {*listing(acme)} - {*before} if "__pycache__" not in name} == set()


def change(path: Path, text: str, other: str) -> None:
    assert text in path.read_text()
    path.write_text(path.read_text().replace(text, other, 1))
