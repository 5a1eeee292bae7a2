#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make files that look like old evidence, for drills, and remove them."""

from __future__ import annotations

DOCUMENTATION = """
module: scratch_evidence
short_description: Make or remove files that look like old evidence
description:
  - Makes files below C(irctl-drill/) of a folder, of different sizes and contents, and dates them back; or removes those.
  - Own module, because C(ansible.builtin.copy) and C(ansible.builtin.file) take a task for each file.
options:
  state:
    description: Whether the files shall be there.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [irctl.runbooks.archive_evidence.fault]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Fifty old files
  irctl.runbooks.scratch_evidence:
    tree: /var/tmp/drill
"""
RETURN = """
summary:
  description: The folder and the number of files in it.
  returned: always
  type: dict
"""

import os
import time
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, trees, values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import archive_evidence
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import DRILL, DRILLED

OWN_NAMES = {"fault_files": "files", "fault_age": "age"}
PARAMETERS: dict[str, Any] = {
    **archive_evidence.FAULT,
}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    **PARAMETERS,
}

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Make the files, those that are there already anew, or remove them. Raises Failure or ValueError."""
    params = own_names(params, (), OWN_NAMES)
    if not params["tree"] or not os.path.isabs(params["tree"]):
        raise ValueError(f"tree: the whole path of a folder is needed; the drill makes its files below {DRILL}/ in it")
    return _STATES[params["state"]](params, check_mode)


def _present(params: Params, check_mode: bool) -> Result:
    folder = os.path.join(params["tree"], DRILL)
    when = time.time() - values.seconds(params["age"])
    if not check_mode:
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            for number in range(params["files"]):
                _make(os.path.join(folder, f"evidence-{number:04}.log"), number, when)
        except OSError as error:
            raise Failure(f"{folder} cannot be written: {error.strerror}") from None
    made = f"{params['files']} files of {params['age']} ago in {folder}"
    return {"changed": True, "summary": {"folder": folder, "files": params["files"]}, "msg": made}


def _absent(params: Params, check_mode: bool) -> Result:
    """Nothing but files of a drill's names goes, and the folder where it is empty then."""
    folder = os.path.join(params["tree"], DRILL)
    made = [file for file in (trees.walk(folder).files if paths.has_name(folder) else []) if DRILLED.fullmatch(file.path)]
    try:
        gone = [file.path for file in made if check_mode or trees.remove(folder, file)]
    except OSError as error:
        raise Failure(f"{folder} cannot be emptied: {error.strerror}") from None
    if not check_mode:
        trees.remove_empty(params["tree"], {f"{DRILL}/"})
    message = f"{len(gone)} files of a drill removed from {folder}" if gone else "no file of a drill is there"
    return {"changed": bool(gone), "summary": {"folder": folder, "files": len(made) - len(gone)}, "msg": message}


def _make(path: str, number: int, when: float) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(f"evidence {number} of a drill\n".encode() * (1 + number * 13 % 97))
    os.utime(path, (when, when), follow_symlinks=False)


_STATES = {"present": _present, "absent": _absent}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
