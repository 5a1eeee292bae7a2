"""The folders on the controller that a run keeps a host's evidence in, and that a revert takes it from."""

from __future__ import annotations

import os
import re
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


def evidence_folder(action: ActionBase, task_vars: dict[str, Any]) -> str:
    """Where this run keeps what it captures of the task's host: below run_evidence_root, or in a folder of plain Ansible's own."""
    root = action._templar.template(task_vars.get("run_evidence_root")) or _of_plain_ansible()
    return _of_host(root, task_vars)


def revert_folder(action: ActionBase, task_vars: dict[str, Any]) -> str:
    """Where the run whose change is put back kept what it captured of the task's host. Raises AnsibleActionFail."""
    root = action._templar.template(task_vars.get("run_revert_root"))
    if not root:
        raise AnsibleActionFail("run_revert_root is not set: it names the evidence of the run whose change is put back.")
    return _of_host(root, task_vars)


def _of_host(root: str, task_vars: dict[str, Any]) -> str:
    return os.path.join(root, re.sub(r"[^A-Za-z0-9_.-]", "_", task_vars["inventory_hostname"]))


def _of_plain_ansible() -> str:
    """One folder for all tasks of ansible-playbook, named after the moment at which that process began."""
    try:
        began = os.stat(f"/proc/{os.getppid()}").st_ctime
    except OSError:
        began = time.time()
    return os.path.expanduser(time.strftime("~/irctl-evidence/%Y%m%dT%H%M%SZ", time.gmtime(began)))
