"""What was checked is what is executed: whatever is edited once the run was let through has no part in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Collection

MODULE = """
import os
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.acme.fixes.plugins.module_utils.words import WORD

module = AnsibleModule({"path": {"type": "str"}})
with open(module.params["path"], "a") as file:
    file.write("module " + WORD + "\\n")
module.exit_json(changed=True)
"""
LINE = "ansible.builtin.shell: echo {{ lookup('file', 'word') }} >> "


@pytest.fixture
def marks(collection: Collection, tmp_path: Path) -> Path:
    """Where the role `mark` writes what acted: a file of the role, tasks that are read late, a module and what that imports."""
    marks = tmp_path / "marks"
    edit = f"ansible.builtin.shell: '[ ! -e {tmp_path}/edit ] || sh {tmp_path}/edit'"
    collection.role("mark", gather=edit, capture=LINE + str(marks), change="ansible.builtin.include_tasks: change.yml")
    files = {
        "roles/mark/tasks/change.yml": f"- acme.fixes.mark: {{path: {marks}}}\n",
        "roles/mark/files/word": "checked",
        "plugins/modules/mark.py": MODULE,
        "plugins/module_utils/words.py": "WORD = 'checked'\n",
    }
    for name, text in files.items():
        (collection.root / name).parent.mkdir(parents=True, exist_ok=True)
        (collection.root / name).write_text(text)
    return marks


def editing(root: Path) -> str:
    """Shell commands that change every file of the collection which could still act, in place."""
    names = ["tasks/main.yml", "tasks/change.yml", "files/word"]
    edited = [root / "roles" / "mark" / name for name in names]
    edited += [root / "playbooks" / "mark.yml", root / "plugins/modules/mark.py", root / "plugins/module_utils/words.py"]
    return "\n".join(f"echo edited > {path}" for path in edited)


def test_what_is_edited_after_the_gate_does_not_run(collection: Collection, marks: Path, tmp_path: Path) -> None:
    script = tmp_path / "edit-after-the-gate"
    script.write_text(editing(collection.root))
    done = collection.irctl.python(f"""
import subprocess
from irctl.cli import app
from irctl.orders.execution import _Execution

begin = _Execution.begin

def begin_and_edit(self, inventory):
    begin(self, inventory)
    subprocess.run(["sh", {str(script)!r}], check=True)

_Execution.begin = begin_and_edit
app.main(["remediate", "mark", "--host", "here", "--json"])
""")
    assert done.code == 0, done
    assert marks.read_text() == "checked\nmodule checked\n"
    assert (collection.root / "playbooks" / "mark.yml").read_text() == "edited\n"


def test_what_is_edited_while_the_run_looks_does_not_run_and_its_private_copy_is_gone_afterwards(
    collection: Collection, marks: Path, tmp_path: Path
) -> None:
    look = f"stat -c %a {tmp_path}/irctl-* {tmp_path}/irctl-*/ansible_collections/acme/fixes/playbooks/mark.yml"
    (tmp_path / "edit").write_text(f"{editing(collection.root)}\n{look} > {tmp_path}/modes\n")
    done = collection.irctl("remediate", "mark", "--host", "here", "--json", TMPDIR=str(tmp_path))
    assert done.code == 0, done
    assert marks.read_text() == "checked\nmodule checked\n"
    assert (tmp_path / "modes").read_text().split() == ["700", "600"]
    assert list(tmp_path.glob("irctl-*")) == []
