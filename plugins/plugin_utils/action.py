"""The one action base: a module's run() in the controller process where the connection is local, the shipped module elsewhere.

Running in-process saves packing, shipping and starting a second Python, 0.4 s a task. A module that wants this keeps its
work in run(params, check_mode) and its parameters in ARGUMENTS.

What the role's variables hold need not be handed over: an argument in PARAMETERS is taken from the variable ROLE_ARGUMENT, and one
that begins as SHARED says, which roles have in common, from the variable of its own name. One that is not set, or empty, stays
unset. A name costs nothing, where a template is compiled anew for every host in every task: over a hundred hosts that was most of
the time.

In a role's tasks/revert.yml a module that takes `record` is handed what the run whose change is put back has kept of this host in
revert.json: it is read from below run_revert_root on the controller, whether the module runs here or is shipped. In
tasks/fault.yml and tasks/restore.yml nothing is run on a host that the inventory does not mark for drills.

A module that takes `remembered` is handed what its remember() makes of the files named EVIDENCE that earlier runs have kept of
this host.

What run() returns as `evidence` ({name: text}) is kept on the controller as 0600 files and leaves the result, so that it is
never registered, logged or cut by a size limit. What is too large for that it returns as `snapshot`: see snapshots.py.

What exactly the run is to change it returns as `affected`, which becomes a file of the evidence too: see module_utils/affected.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import traceback
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase

from ansible_collections.irctl.runbooks.plugins.module_utils import affected
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import EvidenceLost, Failure, Undecided, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.phases import REVERT_RECORD
from ansible_collections.irctl.runbooks.plugins.plugin_utils import earlier_evidence, snapshots
from ansible_collections.irctl.runbooks.plugins.plugin_utils.folders import evidence_folder, revert_folder

RECORD = ("captured", "sets", "on")
OF_DRILLS = ("fault", "restore")  # entry points for hosts that the inventory marks for drills
LARGEST_RECORD = 1 << 20  # bytes
NOT_MARKED = "The inventory does not mark {host} with irctl_drills: allowed, so nothing of a drill is done on it."


def in_process(module: ModuleType) -> type[ActionBase]:
    """Make the ActionModule class for a module that has ARGUMENTS and run()."""

    class ActionModule(ModuleAction):
        _module = module
        _validator = ArgumentSpecValidator(module.ARGUMENTS)  # once, before the forks

    return ActionModule


class ModuleAction(ActionBase):
    """Runs one module: finds its arguments, runs it here or ships it, and keeps the evidence that it returns."""

    _supports_check_mode = True
    _supports_async = False
    _module: ModuleType
    _validator: ArgumentSpecValidator

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        if self._entry_point() in OF_DRILLS and self._templar.template(variables.get("irctl_drills")) != "allowed":
            return {"failed": True, "refused": True, "msg": NOT_MARKED.format(host=variables["inventory_hostname"])}
        result = self._result(variables)
        snapshot, rows = result.pop("snapshot", None), result.pop("affected", None)
        evidence = _with_affected(result.pop("evidence", None), rows)
        folder = evidence_folder(self, variables) if snapshot or evidence else ""  # once: an inventory may name it after the moment
        if snapshot:
            snapshots.take(self, snapshot, folder)
            result["kept_in"] = folder
        if evidence:
            result["kept"] = keep(evidence, folder)
        return result

    def _result(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        arguments = self._arguments(task_vars)
        if self._connection.transport != "local" or self._play_context.become:
            return self._shipped(arguments, task_vars)
        checked = self._validator.validate(arguments)
        if checked.error_messages:
            raise AnsibleActionFail("; ".join(map(_argument_error, checked.errors)))
        try:
            result: dict[str, Any] = self._module.run(checked.validated_parameters, self._task.check_mode)
        except Unreachable as error:
            raise AnsibleConnectionFailure(str(error)) from None
        except (Failure, ValueError) as error:
            raise AnsibleActionFail(str(error), result={"undecided": isinstance(error, Undecided)}) from None
        except (LookupError, TypeError, AttributeError, ArithmeticError, AssertionError) as error:
            raise AnsibleActionFail(_fault(error)) from None
        return result

    def _shipped(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        result.pop("refused", None)  # a word of ours, not of a target
        if result.pop("unanswered", False):
            raise AnsibleConnectionFailure(result["msg"])
        return result

    def _arguments(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        given = dict(self._task.args)
        if "record" in self._module.ARGUMENTS and self._entry_point() == "revert":
            given["record"] = recorded(revert_folder(self, task_vars), REVERT_RECORD)
        arguments = parameters(self, self._module, getattr(self._module, "PARAMETERS", ()), task_vars) | given
        if "remembered" in self._module.ARGUMENTS:
            evidence = earlier_evidence.kept(evidence_folder(self, task_vars), self._module.EVIDENCE)
            arguments["remembered"] = self._module.remember(arguments, evidence)
        return arguments

    def _entry_point(self) -> str:
        """The name of the file below tasks/ that the task stands in."""
        return os.path.basename((self._task.get_path() or "").rpartition(":")[0]).removesuffix(".yml")


def _argument_error(error: Exception) -> str:
    """What is wrong with an argument. Of one that there is not, Ansible gives the name and what there is."""
    return f"no such argument: {error}" if isinstance(error, UnsupportedError) else str(error)


def _fault(error: Exception) -> str:
    """What to say of a mistake of a module's author: where it is, and of what kind."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"a fault at {os.path.basename(where.filename)}, line {where.lineno}: {type(error).__name__}: {error}."


def _with_affected(evidence: dict[str, str] | None, rows: list[dict[str, Any]] | None) -> dict[str, str] | None:
    if rows is None:
        return evidence
    try:
        return {**(evidence or {}), affected.FILE: affected.text(rows)}
    except (TypeError, ValueError) as error:
        raise AnsibleActionFail(f"Evidence cannot be kept: {error}") from None


def parameters(action: ActionBase, module: ModuleType, names: Iterable[str], task_vars: dict[str, Any]) -> dict[str, Any]:
    """What the variables of the task's role hold of a module's parameters."""
    role = action._task._role.get_name(include_role_fqcn=False) if action._task._role else ""
    shared = getattr(module, "SHARED", ())
    variables = {name: task_vars.get(name if name.startswith(shared) else f"{role}_{name}") for name in names}
    values = {name: action._templar.template(value) for name, value in variables.items() if value is not None}
    return {name: value for name, value in values.items() if value not in (None, "")}


def recorded(folder: str, name: str) -> dict[str, Any]:
    """Read what a run kept of a host's state before it changed it. Raises AnsibleActionFail."""
    try:
        record = json.loads(read(os.path.join(folder, os.path.basename(name))))
    except FileNotFoundError:
        raise AnsibleActionFail("Nothing was captured on this host by that run, so there is nothing to put back.") from None
    except (OSError, ValueError, RecursionError) as error:
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
            raise EvidenceLost("no folder to keep evidence in")
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
