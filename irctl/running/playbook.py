"""ansible-playbook for irctl: it asks before it starts.

The hosts that a plan names are the hosts of the very inventory that then runs: this process reads the inventory, sends the
hosts to irctl through a FIFO, and goes on only when irctl answers 'go'. Nothing is parsed twice, nothing can differ.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from ansible import constants
from ansible.cli.playbook import PlaybookCLI
from ansible.errors import AnsibleError
from ansible.playbook.play import Play
from ansible.plugins.loader import connection_loader

from irctl.running import host_settings

CREWS = "irctl.runbooks.crews"  # the strategy for more hosts than forks


def resolved(job: dict[str, Any], loader: Any, inventory: Any, manager: Any) -> dict[str, Any]:
    """Find the hosts that names stand for, each with what the inventory says that decides what is done to it, and how."""
    names, timeout = job["names"], job["timeout"]
    groups = {} if job["only_hosts"] else inventory.groups
    unknown = [name for name in names if name not in inventory.hosts and name not in groups]
    members = {name: hosts_of(name, inventory.hosts, groups) for name in names if name not in unknown}
    hosts = {host.name: host for name in members for host in members[name]}
    empty = [name for name in members if not members[name]]
    found, unresolved, variables = {}, [], {*job["variables"]}
    localhost = delegated_to(inventory, variables)
    for host in dict.fromkeys([*hosts.values(), *localhost]):  # in the order of the inventory
        known = manager.get_vars(host=host, include_hostvars=False)
        for variable, value in missing(known, timeout).items():
            host.set_variable(variable, value)
        try:
            found[host.name] = host_settings.settings(host, variables, manager, loader)
        except host_settings.Unresolved as error:
            unresolved.append(str(error))
    of_localhost = {host.name: found.get(host.name) for host in localhost}
    found = {name: {**one, **of_localhost} for name, one in found.items() if name in hosts}
    if host_settings.ELSEWHERE & variables:
        rest = [host for name, host in inventory.hosts.items() if name not in hosts]
        elsewhere = host_settings.others(rest, inventory.groups, variables, manager, loader)
        found = {name: {**one, host_settings.OTHERS: elsewhere} for name, one in found.items()}
    return {
        "hosts": found,
        "unresolved": unresolved,
        "unknown": unknown,
        "empty": empty,
        "known": sorted({*inventory.hosts, *inventory.groups}),
    }


def delegated_to(inventory: Any, variables: set[str]) -> list[Any]:
    """The host `localhost`, where the inventory has one, which may be any machine, and where tasks are delegated to it."""
    delegating = {"localhost", "local_action"} & variables
    return [inventory.hosts["localhost"]] if delegating and "localhost" in inventory.hosts else []


def hosts_of(name: str, hosts: Mapping[str, Any], groups: Mapping[str, Any]) -> list[Any]:
    """The host or the members of the group of this name. A name is looked up, never taken as a pattern: `!x` may be one."""
    group, host = groups.get(name), hosts.get(name)
    return [*(group.get_hosts() if group else []), *([host] if host else [])]


def target(hosts: list[str], group: str, inventory: Any) -> None:
    """Put these hosts into a group of their own, which is all that the play is told: their names need not be patterns."""
    if group in inventory.groups or group in inventory.hosts:
        raise AnsibleError(f"the inventory has a group {group} already")
    inventory.add_group(group)
    for host in hosts:
        inventory.groups[group].add_host(inventory.hosts[host])


def missing(known: dict[str, Any], timeout: int) -> dict[str, Any]:
    """What a host needs that its inventory does not say: our Python where it is local, an end with us where it is not."""
    if known.get("ansible_connection") == "local":
        wanted: dict[str, Any] = {"ansible_python_interpreter": sys.executable}
    else:
        wanted = {"ansible_shell_type": "irctl.runbooks.tethered", "irctl_time_limit": timeout}
    return {variable: value for variable, value in wanted.items() if variable not in known}


def ask(answer: dict[str, Any], modules: list[str]) -> bool:
    """Send what was resolved to irctl and wait for its word; meanwhile import what the tasks will need, once for all forks."""
    with open("gate.request", "w") as request:
        json.dump(answer, request, default=str)
    for module in ["psutil", *modules]:  # psutil is what the end of the parent is answered with
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    with open("gate.reply") as reply:
        return reply.read() == "go"


class GatedPlaybook(PlaybookCLI):  # type: ignore[misc]  # Ansible has no types
    """ansible-playbook with a gate between reading the inventory and the first play."""

    def _play_prereqs(self) -> Any:
        loader, inventory, manager = super()._play_prereqs()
        with open("job.json") as file:
            job = json.load(file)
        answer = resolved(job, loader, inventory, manager)
        if not ask(answer, job["modules"]):
            os._exit(0)
        target(list(answer["hosts"]), job["group"], inventory)
        _load_connections_when_used()
        if len(answer["hosts"]) > constants.DEFAULT_FORKS:  # for fewer it does nothing, and Ansible takes 0.1 s to frown at it
            Play.fattributes["strategy"].default = CREWS
        return loader, inventory, manager


def _load_connections_when_used() -> None:
    """Do not load every connection plugin that there is before the first play, which takes 0.05 s: a task loads its own."""
    connection_loader.get("local", class_only=True)  # before the forks, each of which would load it again
    connection_loader.all = lambda *_, **__: iter(())


def run(words: list[str]) -> None:
    """Run the command line, and end this process with its code."""
    os.environ["ANSIBLE_STDOUT_CALLBACK"] = "irctl.runbooks.events"  # extends the one that ansible-runner has set
    code: Any = 1
    try:
        GatedPlaybook.cli_executor(words)
    except SystemExit as done:
        code = done.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)  # what teardown would do is done by removing the private folder
