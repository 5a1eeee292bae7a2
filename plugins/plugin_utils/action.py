"""The one action base: a module's run() in the controller process where the connection is local, the shipped module elsewhere.

Running in-process saves packing, shipping and starting a second Python, 0.4 s a task. A module that wants this keeps its
work in run(params, check_mode) and its parameters in ARGUMENTS.

The argument `variables` names a variable of the role that maps other arguments to the variables that hold them, such as
{host: postgres_host}; one that is not set, or empty, leaves its argument unset. A name costs nothing, where a template is
compiled anew for every host in every task: over a hundred hosts that was most of the time.

The argument `restores` names a file that another run kept of this host, such as revert.json. It is read from run_revert_folder on
the controller and handed to the module as its parameter `record`, in-process or shipped.

What run() returns as `evidence` ({name: text}) is kept on the controller as 0600 files and leaves the result, so that it is
never registered, logged or cut by a size limit. What is too large for that it returns as `snapshot`: see snapshots.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import EvidenceLost, Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.plugin_utils import snapshots

RECORD = ("captured", "sets", "on")
LARGEST_RECORD = 1 << 20  # bytes


def in_process(module: ModuleType) -> type[ActionBase]:
    """Make the ActionModule class for a module that has ARGUMENTS and run()."""

    validator = ArgumentSpecValidator(module.ARGUMENTS)  # once, before the forks

    class ActionModule(ActionBase):
        _supports_check_mode = True
        _supports_async = False

        def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
            super().run(tmp, task_vars)
            result = self._result(task_vars or {})
            folder = (task_vars or {}).get("run_evidence_folder")
            folder = self._templar.template(folder) if folder else ""
            if snapshot := result.pop("snapshot", None):
                snapshots.take(self, snapshot, folder)
                result["kept_in"] = folder
            if evidence := result.pop("evidence", None):
                result["kept"] = keep(evidence, folder)
            return result

        def _arguments(self, task_vars: dict[str, Any]) -> dict[str, Any]:
            given = dict(self._task.args)
            if name := given.pop("restores", None):
                given["record"] = self._record(name, task_vars)
            holders = task_vars.get(given.pop("variables", ""), {})
            named = {name: task_vars.get(variable) for name, variable in holders.items()}
            held = {name: self._templar.template(value) for name, value in named.items()}
            return {name: value for name, value in held.items() if value not in (None, "")} | given

        def _record(self, name: str, task_vars: dict[str, Any]) -> dict[str, Any]:
            if not task_vars.get("run_revert_root"):
                raise AnsibleActionFail("run_revert_root is not set: it names the evidence of the run whose change is put back.")
            return recorded(self._templar.template(task_vars["run_revert_folder"]), name)

        def _result(self, task_vars: dict[str, Any]) -> dict[str, Any]:
            arguments = self._arguments(task_vars)
            if self._connection.transport != "local" or self._play_context.become:
                result = self._execute_module(module_args=arguments, task_vars=task_vars)
                if result.pop("unanswered", False):
                    raise AnsibleConnectionFailure(result["msg"])
                return result
            checked = validator.validate(arguments)
            if checked.error_messages:
                raise AnsibleActionFail("; ".join(checked.error_messages))
            try:
                return module.run(checked.validated_parameters, self._task.check_mode)
            except Unreachable as error:
                raise AnsibleConnectionFailure(str(error)) from None
            except (Failure, ValueError) as error:
                raise AnsibleActionFail(str(error)) from None

    return ActionModule


def recorded(folder: str, name: str) -> dict[str, Any]:
    """Read what a run kept of a host's state before it changed it. Raises AnsibleActionFail."""
    try:
        record = json.loads(read(os.path.join(folder, os.path.basename(name))))
    except FileNotFoundError:
        raise AnsibleActionFail("Nothing was captured on this host by that run, so there is nothing to put back.") from None
    except (OSError, ValueError) as error:
        raise AnsibleActionFail(f"What that run captured on this host cannot be read: {error}.") from None
    if not isinstance(record, dict) or not all(isinstance(record.get(part), dict) for part in RECORD):
        raise AnsibleActionFail(f"What that run captured on this host is no record: {', '.join(RECORD)} are needed.")
    return record


def read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a FIFO must not hold up a revert
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST_RECORD:
            raise ValueError(f"it is not a regular file of at most {LARGEST_RECORD} bytes")
        return file.read(LARGEST_RECORD)


def keep(evidence: dict[str, str], folder: str) -> list[dict[str, Any]]:
    """Write each text below folder, fsynced; return its name, sha256 and size in bytes. Raises AnsibleActionFail."""
    try:
        if not folder:
            raise EvidenceLost("no folder to keep evidence in: run_evidence_folder is not set")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return [_write(folder, name, text.encode()) for name, text in evidence.items()]
    except (OSError, EvidenceLost) as error:
        raise AnsibleActionFail(f"Evidence cannot be kept: {error}") from None


def _write(folder: str, name: str, content: bytes) -> dict[str, Any]:
    descriptor = os.open(os.path.join(folder, os.path.basename(name)), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
