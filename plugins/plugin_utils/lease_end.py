"""Arming the end of a lease on its host: what undoes the change is rendered as Ansible would ship it, and kept there."""

from __future__ import annotations

import importlib
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.loader import become_loader

from ansible_collections.irctl.runbooks.plugins.module_utils.host import leases
from ansible_collections.irctl.runbooks.plugins.module_utils.phases import REVERT_RECORD
from ansible_collections.irctl.runbooks.plugins.modules import host_lease
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process, keep, parameters, read, recorded
from ansible_collections.irctl.runbooks.plugins.plugin_utils.folders import evidence_folder, revert_folder

COLLECTION = "irctl.runbooks"
HOST_LEASE = f"{COLLECTION}.host_lease"
NEAR = "lease.json"  # kept on the controller: what ends the lease beside it
RUN_SECONDS = 600  # how long a run may take where nobody says
SLACK = 15  # seconds; a module gets some to end by itself
STATES = {"change.py": "changed", "verify.py": "proved"}

Vars = dict[str, Any]
Result = dict[str, Any]


class ActionModule(in_process(host_lease)):  # type: ignore[misc]  # a class that a function makes
    """Runs on the controller, and ships the module host_lease to hosts that can end a lease by themselves."""

    def _result(self, task_vars: Vars) -> Result:
        given = dict(self._task.args)
        state = given.pop("state", "armed")
        if state == "armed":
            return self._arm(given, task_vars)
        return self._again(state, given, task_vars)

    def _arm(self, given: Vars, task_vars: Vars) -> Result:
        if self._task.check_mode:
            return {"changed": False, "msg": "not armed in a dry run"}
        own, name = _split(given), self._name("run_evidence_root", task_vars)
        module = self._full_name(own["module"])
        given = self._of_the_revert(module, given, task_vars)
        where, why, user = self._nearest(own["near"], task_vars)
        about = {"where": where, "why": why, "name": name, "module": module, "arguments": given}
        folder = evidence_folder(self, task_vars)
        record = recorded(folder, REVERT_RECORD)
        kept = keep({NEAR: json.dumps(about, indent=1) + "\n"}, folder)  # before it is armed, so that it is known to be there
        if where != "host":
            return {"changed": False, "msg": why, "kept": kept}
        seconds = int(self._templar.template(task_vars["run_lease"]))
        settles = int(task_vars.get("irctl_time_limit") or RUN_SECONDS) + SLACK
        scripts, python = self._scripts(module, {**given, "record": record}, name, task_vars)
        lease = {"seconds": seconds, "settles": settles, "module": module, "user": user, "python": python, "record": record}
        with self._as_root(user, task_vars):
            shipped = {"name": name, "alone": own["alone"], "lease": lease, "scripts": scripts}
            return {**self._ship(HOST_LEASE, {"state": "armed", **shipped}, task_vars), "changed": False, "kept": kept}

    def _full_name(self, module: str) -> str:
        """The module with its collection, which is that of the role where nothing else is said."""
        role = self._task._role.get_name() if self._task._role else ""
        collection = role.rpartition(".")[0] or COLLECTION
        return module if "." in module else f"{collection}.{module}"

    def _of_the_revert(self, module: str, given: Vars, task_vars: Vars) -> Vars:
        """The arguments of the module that undoes the change, from the variables of the role."""
        collection, name = module.rsplit(".", 1)
        reverting = importlib.import_module(f"ansible_collections.{collection}.plugins.modules.{name}")
        names = getattr(reverting, "REVERT_PARAMETERS", ())
        return parameters(self, reverting, names, task_vars) | given

    def _again(self, state: str, given: Vars, task_vars: Vars) -> Result:
        """Extend, disarm or look at what the run armed whose evidence run_revert_root names."""
        near = self._near(task_vars)
        if near["where"] == "kernel" and state == "extended":
            _require_extendable(near["module"])
            seconds = {"run_lease": int(given["left"])}
            record = recorded(revert_folder(self, task_vars), REVERT_RECORD)
            return self._ship(near["module"], {**near["arguments"], **seconds, "record": record, "state": state}, task_vars)
        if near["where"] != "host":
            return {"changed": False, "msg": near["why"] or "not armed on the host", "left": None}
        with self._as_root(self._user(), task_vars):
            return self._ship(HOST_LEASE, {"state": state, "name": near["name"], "left": given.get("left")}, task_vars)

    def _near(self, task_vars: Vars) -> Vars:
        """What was kept of where the end was armed; a run without a lease kept nothing."""
        folder = revert_folder(self, task_vars)
        try:
            near: Vars = json.loads(read(os.path.join(folder, NEAR)))
        except FileNotFoundError:
            return {"where": "controller", "why": ""}
        except (OSError, ValueError, RecursionError) as error:
            raise AnsibleActionFail(f"Where that run armed its end cannot be read: {error}.") from None
        return near

    def _name(self, root: str, task_vars: Vars) -> str:
        """Of the run and the host: irctl's evidence lies in runs/RUN/evidence, plain Ansible's in a folder of its own."""
        path = str(self._templar.template(task_vars[root])).removesuffix("/evidence")
        return leases.name_of(os.path.basename(path), task_vars["inventory_hostname"])

    def _nearest(self, near: str, task_vars: Vars) -> tuple[str, str, str]:
        """Where it can be armed beside the controller, why not nearer, and as whom the role is carried out there."""
        if near != "host":
            return near, {"kernel": "the host's kernel lets go by itself", "controller": "ends by the controller's timer"}[near], ""
        if self._connection.transport == "local":
            return "controller", "the controller is the host, so its timer is the near one", ""
        user = self._user()
        try:
            with self._as_root(user, task_vars):
                answer = self._output("id -u; test -d /run/systemd/system && echo systemd")
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            answer = str(error)
        if answer.split() == ["0", "systemd"]:
            return "host", "", user
        missing = "systemd" if answer.split()[:1] == ["0"] else "root on the host"
        return "controller", f"ends by the controller's timer only: no {missing}", user

    def _user(self) -> str:
        return self._output("id -un")

    def _output(self, command: str) -> str:
        return str(self._low_level_execute_command(command)["stdout"]).strip()

    @contextmanager
    def _as_root(self, user: str, task_vars: Vars) -> Iterator[None]:
        """The same connection as root, by the host's own way of becoming somebody else, where that is not who it is already."""
        before = self._connection.become
        if user == "root":
            yield
            return
        become = before or become_loader.get(str(self._templar.template(task_vars.get("ansible_become_method") or "sudo")))
        if not before:
            known = self._plugin_variables(become, task_vars)
            become.set_options(var_options=known)
            self._connection.set_become_plugin(become)
        whose = become.get_option("become_user")
        become.set_option("become_user", "root")
        try:
            yield
        finally:
            become.set_option("become_user", whose)
            self._connection.set_become_plugin(before)

    def _plugin_variables(self, become: Any, task_vars: Vars) -> Vars:
        from ansible import constants

        names = constants.config.get_plugin_vars("become", become._load_name)
        return {name: self._templar.template(task_vars[name]) for name in names if name in task_vars}

    def _ship(self, module: str, arguments: Vars, task_vars: Vars) -> Result:
        given = {name: value for name, value in arguments.items() if value is not None}
        result: Result = self._execute_module(module_name=module, module_args=given, task_vars=task_vars)
        result.pop("invocation", None)
        if result.pop("unanswered", False):
            raise AnsibleConnectionFailure(result["msg"])
        return result

    def _scripts(self, module: str, arguments: Vars, name: str, task_vars: Vars) -> tuple[dict[str, str], list[str]]:
        """What the host keeps, by file name, and what runs it: the revert's two steps, and the look that starts them."""
        steps = {file: self._rendered(module, {**arguments, "state": STATES[file]}, task_vars) for file in leases.STEPS}
        quiet = {"_ansible_no_log": True}  # or every look would be in the journal
        look = self._rendered(HOST_LEASE, {"state": "due", "name": name}, task_vars, **quiet)
        return {file: text for file, (text, _result) in {**steps, leases.LOOK: look}.items()}, look[1]

    def _rendered(self, module: str, arguments: Vars, task_vars: Vars, **internal: Any) -> tuple[str, list[str]]:
        """The module with its arguments in one script, and the interpreter that it is for."""
        given = dict(arguments)
        self._update_module_args(module, given, task_vars)
        given |= {"_ansible_check_mode": False, "_ansible_tmpdir": None, **internal}
        built = self._configure_module(module_name=module, module_args=given, task_vars=task_vars)[0]
        return built.b_module_data.decode(), shlex.split(built.shebang.removeprefix("#!"))


def _require_extendable(module: str) -> None:
    """Raises AnsibleActionFail where the module cannot move the time at which the kernel lets go by itself."""
    collection, name = module.rsplit(".", 1)
    known = getattr(importlib.import_module(f"ansible_collections.{collection}.plugins.modules.{name}"), "ARGUMENTS", {})
    if "extended" not in known.get("state", {}).get("choices", ()) or "run_lease" not in known:
        why = f"{module} cannot move that, because it has no state 'extended' with run_lease"
        raise AnsibleActionFail(
            f"The kernel lets go by itself when the time is over, and {why}. End it, and make the change again."
        )


def _split(given: Vars) -> Vars:
    """Take out the arguments that are this action's own; what is left is for the module that undoes the change."""
    own = {name: given.pop(name, default) for name, default in (("near", "host"), ("alone", True), ("module", ""))}
    if not own["module"]:
        raise AnsibleActionFail("module: the one that undoes the change is needed.")
    return own
