"""A host as a run would reach it: the login, Python, becoming somebody else, and then its services."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from ansible_collections.irctl.runbooks.plugins.modules import host_services
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process

SERVICES = "irctl.runbooks.host_services"

Vars = dict[str, Any]
Finding = dict[str, str]


class Unreached(Exception):
    """Where it ends; `finding` says why and what mends it."""

    def __init__(self, says: object, mend: str) -> None:
        super().__init__(str(says))
        self.finding = {"level": "problem", "says": printable(" ".join(str(says).split()), 400), "next": mend}


class ActionModule(in_process(host_services)):  # type: ignore[misc]  # a class that a function makes
    """Runs on the controller, and ships the module host_services to hosts that are reached over ssh."""

    def _result(self, task_vars: Vars) -> Vars:
        findings: list[Finding] = []
        try:
            findings += self._host(task_vars)
            findings += self._services(task_vars)
        except Unreached as error:
            findings.append(error.finding)
        bad = sum(finding["level"] == "problem" for finding in findings)
        return {
            "changed": False,
            "findings": findings,
            "msg": f"{bad} of {len(findings)} are not as they should be" if bad else "all answer",
        }

    def _host(self, task_vars: Vars) -> list[Finding]:
        """How it is logged in to, and who may do what there. Raises Unreached."""
        if self._connection.transport == "local" and not self._play_context.become:
            return [_fine("the controller itself")]
        user = self._said("id -un", "ssh: {}", self._ssh_command(task_vars), as_who_logs_in=True)
        self._said("command -v python3 || command -v python", "Python: {}", "apt-get install python3", as_who_logs_in=True)
        findings = [_fine(f"{self._connection.transport}: as {user}, with Python")]
        if self._connection.become:
            wanted = self._connection.become.get_option("become_user") or "root"
            mend = f"let {user} become {wanted} there by {self._connection.become.name}, or give ansible_become_password"
            findings.append(_fine(f"become: {self._said('id -un', 'become: {}', mend)}"))
        return findings

    def _services(self, task_vars: Vars) -> list[Finding]:
        try:
            result = super()._result(task_vars)
        except AnsibleError as error:
            raise Unreached(f"services: {error}", "look at the host's variables: ansible-inventory --host HOST") from None
        if result.get("failed"):
            raise Unreached(f"services: {result.get('msg')}", "install what the sentence names on the host")
        return list(result["findings"])

    def _shipped(self, arguments: Vars, task_vars: Vars) -> Vars:
        result: Vars = self._execute_module(module_name=SERVICES, module_args=arguments, task_vars=task_vars)
        return result

    def _said(self, command: str, sentence: str, mend: str, *, as_who_logs_in: bool = False) -> str:
        """What a command prints there. Raises Unreached where it cannot be run, or says nothing."""
        try:
            done = self._low_level_execute_command(command, sudoable=not as_who_logs_in)
        except AnsibleError as error:
            raise Unreached(sentence.format(error), mend) from None
        printed = str(done["stdout"]).strip()
        if done["rc"] or not printed:
            raise Unreached(sentence.format(str(done["stderr"]).strip() or f"`{command}` ended with {done['rc']}"), mend)
        return printed.splitlines()[-1]

    def _ssh_command(self, task_vars: Vars) -> str:
        host = task_vars.get("ansible_host") or task_vars["inventory_hostname"]
        user, port = (self._templar.template(task_vars.get(name)) for name in ("ansible_user", "ansible_port"))
        flags = f" -p {port}" if port else ""
        return f"ssh{flags} {f'{user}@' if user else ''}{self._templar.template(host)} true"


def _fine(says: str) -> Finding:
    return {"level": "fine", "says": says, "next": ""}
