"""What can act in a run: nothing is missing, nothing foreign is in it, and one byte in any of it is another digest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from irctl.catalog import catalog, closure
from irctl.catalog.content import OURS, Content
from irctl.catalog.snapshot import Snapshot
from irctl.errors import Invalid

TASKS = """
- shout:
- ansible.builtin.include_role: {name: other}
- ansible.builtin.include_tasks: more.yml
- ansible.builtin.template: {src: motd.weird, dest: /tmp/motd}
- acme.books.whisper:
- debug: {msg: "{{ lookup('ansible.builtin.file', role_path ~ '/../../shared/words.txt') }}"}
"""
THROAT = """
from .lungs import left
from ..module_utils.near import breath
from ansible_collections.irctl.runbooks.plugins.module_utils import values
"""
DEFINITION = """
{kind: remediation, summary: M, service: motd, severity: low, impact: None., reversible: false,
 parameters: {tone: {kind: tone, description: T.}}}
"""
FILES = {
    "galaxy.yml": "{namespace: acme, name: books, version: 1.0.0}",
    "meta/runtime.yml": "{}",
    "playbooks/motd.yml": "- hosts: all\n  roles: [motd]\n- import_playbook: after.yml\n",
    "playbooks/after.yml": "- hosts: all\n  roles: [late]\n",
    "playbooks/group_vars/all.yml": "{}",
    "playbooks/foreign.yml": "- hosts: all\n",
    "roles/motd/meta/remediation.yml": DEFINITION,
    "roles/motd/tasks/main.yml": TASKS,
    "roles/motd/tasks/more.yml": "[]",
    "roles/motd/templates/motd.weird": "hello",
    "roles/motd/README.md": "words",
    "roles/other/meta/main.yml": "dependencies: [{role: base}]",
    "roles/other/tasks/main.yml": "[]",
    "roles/base/tasks/main.yml": "[]",
    "roles/late/tasks/main.yml": "[]",
    "roles/foreign/tasks/main.yml": "[]",
    "shared/words.txt": "words",
    "plugins/modules/shout.py": "from ansible_collections.acme.books.plugins.module_utils.lungs import (\n    air,\n)\n",
    "plugins/modules/whisper.py": "import ansible_collections.acme.books.plugins.module_utils.throat\n",
    "plugins/modules/foreign.py": "",
    "plugins/module_utils/lungs/__init__.py": "",
    "plugins/module_utils/lungs/air.py": "",
    "plugins/module_utils/near.py": "",
    "plugins/module_utils/lungs/left.py": "",
    "plugins/module_utils/throat.py": THROAT,
    "plugins/module_utils/foreign.py": "",
    "plugins/module_utils/kinds/tone.py": "METAVAR = 'TONE'\ncheck = str\n",
    "plugins/filter/louder.py": "",
    "plugins/doc_fragments/louder.py": "",
    "plugins/modules/__pycache__/shout.cpython-311.pyc": "",
}
NO_PART = {
    "galaxy.yml",
    "playbooks/foreign.yml",
    "roles/motd/README.md",
    "roles/foreign/tasks/main.yml",
    "plugins/modules/foreign.py",
    "plugins/module_utils/foreign.py",
    "plugins/modules/__pycache__/shout.cpython-311.pyc",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def snapshot_of(root: Path) -> Snapshot:
    return closure.snapshot(catalog.load("motd", [Content(root, "acme.books")]))


def test_all_that_a_users_own_remediation_names_has_a_part_and_nothing_else_of_it(root: Path) -> None:
    names = {name.removeprefix("acme.books/") for name in snapshot_of(root).files if name.startswith("acme.books/")}
    assert names == {*FILES} - NO_PART


@pytest.mark.parametrize("name", sorted({*FILES} - NO_PART))
def test_one_byte_in_what_has_a_part_is_another_digest(root: Path, name: str) -> None:
    before = snapshot_of(root).digest
    with (root / name).open("a") as file:
        file.write("\n")
    assert snapshot_of(root).digest != before


@pytest.mark.parametrize("name", sorted(NO_PART))
def test_an_edit_elsewhere_leaves_the_digest_as_it_is(root: Path, name: str) -> None:
    before = snapshot_of(root).digest
    with (root / name).open("a") as file:
        file.write("\n")
    assert snapshot_of(root).digest == before


def test_a_folder_that_is_a_link_has_a_part_and_one_that_leads_to_itself_is_read_once(root: Path) -> None:
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "deep.yml").write_text("[]")
    (root / "roles" / "motd" / "files").symlink_to(elsewhere)
    (root / "roles" / "motd" / "loop").symlink_to(root / "roles" / "motd")
    before = snapshot_of(root).digest
    (elsewhere / "deep.yml").write_text("[1]")
    assert snapshot_of(root).digest != before


@pytest.mark.parametrize(
    "task",
    [
        "include_tasks: {0}/roles/motd/tasks/more.yml",
        "ansible.builtin.include_tasks:\n    file: {0}/roles/motd/tasks/more.yml",
        "ansible.builtin.include_vars: '{0}/shared/words.txt'",
        'import_tasks: "{0}/roles/motd/tasks/more.yml"',
        "include_tasks: {{file: {0}/roles/motd/tasks/more.yml}}",
        "ansible.builtin.include_vars: {{name: words, dir: {0}/shared}}",
        "block: [{{ansible.builtin.template: {{dest: /etc/motd, src: {0}/shared/words.txt}}}}]",
        "ansible.builtin.copy: src={0}/shared/words.txt dest=/etc/motd",
        "ansible.builtin.script: {0}/shared/words.txt --now",
        "ansible.builtin.script:\n    cmd: {0}/shared/words.txt --now",
        "debug: {{msg: \"{{{{ lookup('ansible.builtin.file', '{0}/shared/words.txt') }}}}\"}}",
        "debug: {{msg: '{{{{ item }}}}'}}\n  with_file: ['{0}/shared/words.txt']",
        "import_playbook: {0}/playbooks/more.yml",
        "hosts: all\n  vars_files: !whatever [{0}/shared/words.txt]",
    ],
)
def test_what_is_read_by_its_whole_path_is_refused_because_another_may_be_there_when_it_runs(root: Path, task: str) -> None:
    (root / "roles" / "motd" / "tasks" / "main.yml").write_text(f"- {task.format(root)}\n")
    with pytest.raises(Invalid, match=r"reads .* by its whole path, which would be read anew when it is carried out"):
        snapshot_of(root)


@pytest.mark.parametrize(
    "task",
    [
        "ansible.builtin.copy: {src: /etc/motd, dest: /etc/motd.old, remote_src: true}",
        "ansible.builtin.copy: src=/etc/motd dest=/etc/motd.old remote_src=yes",
        "ansible.builtin.copy: {src: motd, dest: /etc/motd}",
        "ansible.builtin.template: {src: motd.j2, dest: /etc/motd}",
        "ansible.builtin.command: /usr/bin/script /etc/motd",
        "ansible.builtin.debug: {msg: '/etc/motd and /etc/hosts'}",
    ],
)
def test_a_whole_path_on_the_target_is_no_objection(root: Path, task: str) -> None:
    (root / "roles" / "motd" / "tasks" / "main.yml").write_text(f"- {task}\n")
    assert snapshot_of(root)


@pytest.mark.parametrize("name", ["roles/motd/tasks/main.yml", "roles/motd/templates", "plugins/module_utils/throat.py"])
def test_a_file_or_folder_of_it_that_everybody_may_write_is_refused(root: Path, name: str) -> None:
    (root / name).chmod(0o707)
    with pytest.raises(Invalid, match=r"^content: writable by everybody"):
        snapshot_of(root)


def test_a_link_to_what_everybody_may_write_is_refused(root: Path) -> None:
    (root / "theirs").mkdir()
    (root / "theirs" / "more.yml").write_text("[]")
    (root / "theirs").chmod(0o777)
    (root / "roles" / "motd" / "tasks" / "link.yml").symlink_to(root / "theirs" / "more.yml")
    with pytest.raises(Invalid, match=r"^content: writable by everybody"):
        snapshot_of(root)


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Content:
    """A copy of this collection, as if it were ours."""
    for name in ("meta", "playbooks", "plugins", "roles"):
        shutil.copytree(OURS.root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    copied = Content(tmp_path, OURS.name)
    for module in (closure, catalog):
        if hasattr(module, "OURS"):
            monkeypatch.setattr(module, "OURS", copied)
    return copied


def digest_of(ours: Content, name: str = "db-connections", *, diagnosis: bool = False) -> str:
    return closure.snapshot(catalog.load(name, [ours], diagnosis=diagnosis)).digest


@pytest.mark.parametrize("suffix", ["yml", "json"])
def test_an_edit_of_the_definition_of_a_parameter_that_is_shared_is_another_digest(ours: Content, suffix: str) -> None:
    before = digest_of(ours, "postgres", diagnosis=True)
    with (ours.root / "roles" / "db_connections" / "meta" / f"remediation.{suffix}").open("a") as file:
        file.write("\n")
    assert digest_of(ours, "postgres", diagnosis=True) != before


@pytest.mark.parametrize(
    ("name", "has_a_part"),
    [
        ("plugins/module_utils/postgres/sessions.py", True),
        ("plugins/plugin_utils/action.py", True),
        ("plugins/action/report.py", True),
        ("plugins/shell/tethered.py", True),
        ("meta/parameters/postgres.yml", True),
        ("meta/runtime.yml", True),
        ("plugins/module_utils/capture/masks.py", False),
        ("plugins/modules/block_list.py", False),
        ("roles/block_ip/tasks/main.yml", False),
        ("meta/parameters/edge.yml", False),
        ("roles/db_connections/README.md", False),
    ],
)
def test_an_edit_voids_an_approval_of_db_connections_only_where_it_has_a_part(ours: Content, name: str, has_a_part: bool) -> None:
    before = digest_of(ours)
    with (ours.root / name).open("a") as file:
        file.write("\n# edited\n")
    assert (digest_of(ours) != before) == has_a_part
