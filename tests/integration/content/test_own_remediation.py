"""A remediation of one's own, by CONTRIBUTING alone: a few files by hand beside those of `irctl content new`, and it is drilled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Irctl, write_inventory

HAND_WRITTEN = Path(__file__).with_name("hand_written")
FILES = sorted(HAND_WRITTEN.rglob("*.in"))
HOST = {"ansible_connection": "local", "irctl_drills": "allowed"}


@pytest.fixture
def irctl(tmp_path: Path) -> Irctl:
    """The command, with a content folder of the remediation in force, and host `here` for its drills."""
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, {"here": HOST}))
    begun = irctl("content", "new", "close-permissions", "--dir", str(tmp_path / "acme"), "--collection", "acme.books")
    assert begun.code == 0, begun
    irctl.environment["IRCTL_CONTENT"] = str(tmp_path / "acme")
    for file in FILES:
        (tmp_path / "acme" / file.relative_to(HAND_WRITTEN)).with_suffix("").write_text(file.read_text())
    return irctl


def test_a_lease_that_the_kernel_ends_is_extended_by_the_module_or_said_to_be_beyond_it(irctl: Irctl, tmp_path: Path) -> None:
    acme, lock = tmp_path / "acme", tmp_path / "app.lock"
    assert irctl("content", "new", "clear-lock", "--dir", str(acme)).code == 0
    tasks, module = acme / "roles" / "clear_lock" / "tasks" / "main.yml", acme / "plugins" / "modules" / "clear_lock.py"
    tasks.write_text(tasks.read_text().replace("    module: clear_lock\n", "    module: clear_lock\n    near: kernel\n"))
    lock.write_text("1234\n")
    assert irctl("leases", "run-due", "--every", "1m").code == 0
    assert irctl("remediate", "clear-lock", "--host", "here", "--path", str(lock), "--for", "30m").code == 0
    [before] = irctl("leases", "--json").json["leases"]
    assert before["armed"] == {"here": "kernel"}
    refused = irctl("leases", "extend", "last", "--for", "1h")
    assert refused.code == 5, refused
    assert "acme.books.clear_lock cannot move that, because it has no state 'extended' with run_lease" in refused.err
    assert abs(irctl("leases", "--json").json["leases"][0]["left"] - before["left"]) < 60
    text = module.read_text().replace('"changed", "proved",', '"changed", "extended", "proved",')
    text = text.replace('"record": {"type": "dict"}}', '"record": {"type": "dict"}, "run_lease": {"type": "int"}}')
    moved = f"""    if state == "extended":
        with open({str(tmp_path / "moved")!r}, "w") as file:
            file.write(f"{{params['run_lease']}} {{path}}")
        return {{"changed": True}}
"""
    module.write_text(text.replace('    if state == "proved":\n', moved + '    if state == "proved":\n'))
    assert irctl("leases", "extend", "last", "--for", "1h").code == 0
    assert (tmp_path / "moved").read_text() == f"3600 {lock}"
    assert irctl("leases", "--json").json["leases"][0]["left"] > 3500
    ended = irctl("leases", "end", "last")
    assert (ended.code, lock.read_text()) == (0, "1234\n"), ended


def test_a_mistake_of_an_author_is_named_with_its_place_and_nothing_is_indeterminate(irctl: Irctl, tmp_path: Path) -> None:
    acme = tmp_path / "acme"
    assert irctl("content", "new", "clear-lock", "--dir", str(acme)).code == 0
    tasks, module = acme / "roles" / "clear_lock" / "tasks" / "main.yml", acme / "plugins" / "modules" / "clear_lock.py"
    right, works = tasks.read_text(), module.read_text()
    order = ("remediate", "clear-lock", "--host", "here", "--path", "/nosuch", "--json")
    tasks.write_text(right + "- nam: x\n")
    unread = irctl(*order)
    assert (unread.code, unread.json["outcome"]) == (1, "failed")
    assert unread.host("here")["reason"].startswith(
        "Ansible cannot read it, so nothing was run: couldn't resolve module/action 'nam'."
    )
    tasks.write_text(right.replace("    state: listed", "    stat: listed"))
    assert "Gather: no such argument: stat. Supported parameters include: " in irctl(*order).host("here")["reason"]
    tasks.write_text(right)
    module.write_text(works.replace('    record, state = params["record"], params["state"]\n', '    raise KeyError("boom")\n'))
    fault = irctl(*order)
    assert (fault.code, "a fault at clear_lock.py, line " in fault.host("here")["reason"]) == (1, True), fault
    assert "KeyError: 'boom'. Nothing was changed." in fault.host("here")["reason"]


def test_it_is_few_files_and_lines() -> None:
    assert len(FILES) <= 6
    assert sum(len(file.read_text().splitlines()) for file in FILES) <= 150


def test_it_keeps_every_rule_and_its_drill_ends_as_fixed(irctl: Irctl, tmp_path: Path) -> None:
    acme = str(tmp_path / "acme")
    assert irctl("content", "check", acme).code == 1, "what follows from the definition is not written yet"
    assert irctl("content", "build", acme).code == 0
    checked = irctl("content", "check", acme)
    assert (checked.code, checked.out) == (0, "acme.books: every rule is kept\n")
    drilled = irctl("drill", "run", "close-permissions", "--host", "here")
    assert (drilled.code, "close-permissions  here  fixed" in drilled.out) == (0, True), drilled
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_close_permissions.py"]
    tested = subprocess.run(words, cwd=acme, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout
