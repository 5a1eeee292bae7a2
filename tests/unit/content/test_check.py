"""What `irctl content check` finds: nothing in a new remediation, and each rule when it is broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from irctl.catalog.content import Content, content_of
from irctl.content import check, generated, scaffold
from irctl.errors import Invalid

ROLE = "roles/clear_lock"
DEFINITION, MAIN, REVERT = f"{ROLE}/meta/remediation.yml", f"{ROLE}/tasks/main.yml", f"{ROLE}/tasks/revert.yml"
MODULE = "plugins/modules/clear_lock.py"
HUGE = "\n".join("# a line" for _ in range(80))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("acme")
    scaffold.new(folder, "clear-lock", "acme.books")
    return folder


@pytest.fixture
def content(begun: Path, tmp_path: Path) -> Content:
    return content_of(shutil.copytree(begun, tmp_path / "acme", symlinks=True))


def test_a_new_remediation_keeps_every_rule(content: Content) -> None:
    assert check.faults(content) == []


BROKEN = [  # a file, what is put in the place of what in it, and what is said of that
    (DEFINITION, "service: clear-lock\n", "", "service is missing"),
    (DEFINITION, "severity: low", "severity: lwo", "severity: one of low, medium, high, critical is needed (got 'lwo')"),
    (DEFINITION, "kind: path", "kind: foldr", "clear_lock_path: there is no kind foldr; known are"),
    (DEFINITION, "minimum: 1,", "minimun: 1,", "parameters.max_bytes: there is no key minimun. Did you mean minimum?"),
    (DEFINITION, "  max_bytes:", "  check:", "clear_lock_check: it would be the option --check, which is irctl's own"),
    (DEFINITION, "  max_bytes:", "  host:", "clear_lock_host: it would be the option --host, which is irctl's own"),
    (DEFINITION, "  max_bytes:", "  no_force:", "clear_lock_force: it would be the option --no-force, which is that of"),
    (DEFINITION, "kind: path,", "kind: path, minimum: 5,", "clear_lock_path: it has a limit, and the kind path has no measure()"),
    (DEFINITION, "kind: path,", "maximum: 5,", "clear_lock_path: it has a limit, and its type is path; a limit is for int"),
    (
        DEFINITION,
        "in: [revert]",
        "in: [revret]",
        "parameters.force.in.0: one of main, verify, fault, decoy, revert, restore is needed",
    ),
    (DEFINITION, "shared: [run_lease]", "shared: [run_leese]", "clear_lock shares run_leese, which meta/parameters/run.yml does"),
    (DEFINITION, "lease: {limit: 4h}", "lease: {limit: 4}", "lease.limit: 4 is not of type 'string'"),
    (DEFINITION, "summary: Remove a", "summary: remove a", "summary of main: a few words are needed that begin with a capital"),
    (DEFINITION, "it gone.", "it gone", "impact: a sentence is needed"),
    (DEFINITION, "example: --host", "example: --hots", "example: the options of an example are needed"),
    (DEFINITION, '"The file; its whole path."', '"the file"', "clear_lock_path: its description is a sentence"),
    (DEFINITION, "example: 4096,", "", "clear_lock_max_bytes becomes an option, and its help needs an example"),
    (DEFINITION, "default: 10000", "default: 0", "clear_lock_max_bytes of the defaults: at least 1 (got '0')"),
    (DEFINITION, "parameters: {clear_lock_path", "parameters: {clear_lock_pth", "drill.parameters: clear_lock_pth is no parameter"),
    (DEFINITION, "minimum: 1, maximum: 1000000, ", "", "clear_lock_max_bytes: it needs a minimum and a maximum"),
    (DEFINITION, "in: [revert],", "in: [main, revert],", "force: it is of revert only, and main takes it"),
    (DEFINITION, "drill_every: 30d\n", "", "drill_every: how often it is practised is missing"),
    (DEFINITION, "reversible: true", "reversible: false", "reversible: it is true where there is the entry point revert"),
    (DEFINITION, "kind: remediation", "kind: diagnosis", "kind: the name of a diagnosis begins with diagnose_"),
    (DEFINITION, "kind: remediation", "kind: diagnosis", "tasks/main.yml: a diagnosis has no Change"),
    (DEFINITION, "approvals: []", "diagnose: locks", "diagnose: there is no diagnosis locks"),
    (DEFINITION, "summary: Remove a", "summary: Delete a", "it is not what follows from the definition; run: irctl content build"),
    (DEFINITION, "lease: {limit", "lease: {limit: [", "cannot be read"),
    (MAIN, "Guard | It", "Capture | It", "tasks/main.yml: it has no Guard"),
    (MAIN, "Gather | What", "Verify | What", "tasks/main.yml: the phases are in the order Gather, Guard"),
    (MAIN, "Capture | Its end", "Change | Its end", "tasks/main.yml: it has 2 tasks that change something; one changes all"),
    (MAIN, "Gather | What", "Look what", "tasks/main.yml: 'Look what is there now' is no name such as"),
    (MAIN, "  run_once: true\n", "", "tasks/main.yml: the last task is `Report | ...`"),
    (MAIN, "register: __clear_lock_change", "register: __clear_lock_after", "Change registers __clear_lock_change"),
    (MAIN, "register: __clear_lock_after", "register: __clear_lock_end", "Verify registers __clear_lock_after"),
    (MAIN, "register: __clear_lock_end", "register: result", "tasks/main.yml: result is of the role alone"),
    (MAIN, "register: __clear_lock_end", "register: __clear_lock_before", "before is registered in Gather, not in Capture"),
    (MAIN, ", in revert.json", "", "tasks/main.yml: a Capture is named after the record that it keeps, revert.json"),
    (MAIN, "    state: listed\n", "    state: listed\n    sttae: x\n", "gives sttae, which the module does not take"),
    (MAIN, "    quiet: true", "    quiet: '{{ clear_lock_quiet }}'", "clear_lock_quiet is used and is no parameter"),
    (MAIN, "    quiet: true", "   quiet: true", "mapping"),
    (MAIN, "---\n", f"---\n{HUGE}\n", "lines; fewer than 80 fit on one screen"),
    (
        MAIN,
        "irctl.runbooks.lease_end:\n    module: clear_lock",
        "ansible.builtin.include_role:\n    name: x",
        "includes another role",
    ),
    (MODULE, '"record": {"type": "dict"}', "**{}", "does not take the record of the run that it undoes"),
    (MODULE, "    type: dict\n", "    type: str\n", "DOCUMENTATION: record is documented as {'type': 'str'} and taken as"),
    (MODULE, "module: clear_lock\n", "module: other\n", "DOCUMENTATION: module: clear_lock is missing"),
    (MODULE, "Own module, because", "It is here, because", "description: a sentence 'Own module, because ...' says which"),
    (MODULE, "    path: /run/app/stale.lock", "    paht: /run/app/stale.lock", "EXAMPLES: paht is no argument"),
    (MODULE, 'RETURN = """', 'RETURN = """\n"""\nX = """', "RETURN is missing"),
    (
        MODULE,
        "PARAMETERS = (*MAIN, *REVERT)",
        'PARAMETERS = ("path",)',
        "clear_lock_max_bytes reaches no module, so it does nothing",
    ),
    (MODULE, "(*MAIN, *REVERT)\n", '(*MAIN, *REVERT, "nosuch_x")\nSHARED = ("nosuch_",)\n', "no role has the parameter nosuch_x"),
    (MODULE, "def run(", "def run((", "line "),
    (
        f"{ROLE}/README.md",
        "Not while the process",
        "Not written yet. Say where this does harm, and where it does not help.\n",
        "README.md: ",
    ),
]


@pytest.mark.parametrize(("file", "text", "other", "says"), BROKEN, ids=[says[:60] for *_, says in BROKEN])
def test_what_breaks_a_rule_is_told(content: Content, file: str, text: str, other: str, says: str) -> None:
    path = content.root / file
    assert text in path.read_text()
    path.write_text(path.read_text().replace(text, other, 1))
    found = [f"{fault.where}: {fault.says}" for fault in check.faults(content)]
    assert any(says in fault for fault in found), found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda root: (root / ROLE / "tasks/fault.yml").unlink(), "tasks/fault.yml is missing"),
        (lambda root: (root / ROLE / "tasks/more.yml").write_text("[]"), "tasks/more.yml is of no entry point"),
        (lambda root: shutil.rmtree(root / "molecule"), "molecule/clear_lock/molecule.yml is missing"),
        (lambda root: (root / "plugins/action/other.py").write_text(""), "plugins/action/other.py: there is no module"),
        (lambda root: (root / "playbooks/clear_lock.yml").unlink(), "playbooks/clear_lock.yml: it is not what follows"),
    ],
)
def test_a_file_that_is_missing_or_too_many_is_told(content: Content, change: Callable[[Path], object], says: str) -> None:
    change(content.root)
    found = [f"{fault.where}: {fault.says}" for fault in check.faults(content)]
    assert any(says in fault for fault in found), found


def test_what_is_stale_is_written_again_and_what_people_wrote_stays(content: Content) -> None:
    path = content.root / DEFINITION
    path.write_text(path.read_text().replace("summary: Remove a", "summary: Delete a", 1))
    generated.write(generated.stale(content))
    assert check.faults(content) == []
    page = (content.root / ROLE / "README.md").read_text()
    assert ("# clear-lock: Delete a file" in page, "Not while the process that wrote" in page) == (True, True)


def test_a_second_one_goes_beside_the_first_and_nothing_is_overwritten(content: Content) -> None:
    before = {path: path.read_text() for path in content.root.rglob("*") if path.is_file()}
    scaffold.new(content.root, "clear-flag")
    assert {path: path.read_text() for path in before} == before
    assert check.faults(content) == []
    with pytest.raises(Invalid, match="it is there already"):
        scaffold.new(content.root, "clear-flag")


@pytest.mark.parametrize(
    ("name", "collection", "says"),
    [
        ("Clear Lock", "acme.books", "lower case letters, digits and hyphens"),
        ("../clear", "acme.books", "lower case letters, digits and hyphens"),
        ("clear-lock", "acme", "give it a name, such as acme.books"),
        ("clear-lock", "", "give it a name, such as acme.books"),
    ],
)
def test_what_cannot_be_named_so_is_refused_and_nothing_is_written(tmp_path: Path, name: str, collection: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        scaffold.new(tmp_path, name, collection)
    assert [*tmp_path.iterdir()] == []
