"""What the inventory says of a host that decides where, as whom and with what it is acted on: resolved, as the run will use it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.inventory.helpers import get_group_vars
from ansible.parsing.vault import EncryptedString
from ansible.template import Templar

from irctl.running.fingerprints import fingerprint

REACH = "ansible_"  # the beginning of each variable by which Ansible connects, becomes somebody else and finds an interpreter
NOT_SAID = {"inventory_hostname", "inventory_hostname_short"}
NO_TEMPLATE = {"irctl_drills"}  # the mark of hosts that take faults counts only as it stands in the inventory
_SECRET = re.compile(r"pass|pwd|secret|token|key|credential|private|auth", re.IGNORECASE)
_PLACE = re.compile(r"(file|path|dir|folder|root|user|method|mode|checking)s?\Z", re.IGNORECASE)  # says where a secret is, or how
_ADDRESS_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_TEMPLATE = re.compile(r"\{[{%]|\A#jinja2:")  # a first line of this kind chooses other brackets


ELSEWHERE = {"hostvars", "groups", "delegate_to"}  # by which a role reads, or acts on, hosts that are not its own
OTHERS = "other_hosts_and_groups"  # what a plan calls them
ALL = "vars"  # by which a role reads variables whose names it puts together


class Unresolved(Exception):
    """A value of the inventory that cannot be known before the run."""

    def __init__(self, host: str, variable: str, why: str) -> None:
        super().__init__(f"{variable} of {host} cannot be resolved before the run: {why}")


def settings(host: Any, names: Iterable[str], manager: Any, loader: Any) -> dict[str, Any]:
    """The variables of the inventory that are named, or that say how the host is reached; secrets as fingerprints.

    What is a template is resolved, and the host gets the value that it came to, so that what is planned is what is used.
    Where the names say that others may be read too, all others are there as they were written. Raises Unresolved.
    """
    names = {*names}
    said = {**get_group_vars(host.get_groups()), **host.get_vars()}
    wanted = {name for name in said if name.startswith(REACH)} | (names & {*said})
    found = {name: said[name] for name in sorted(wanted - NOT_SAID)}
    rest = {name: said[name] for name in sorted(said) if name not in wanted | NOT_SAID} if {ALL, "hostvars"} & names else {}
    templates = [name for name, value in found.items() if name not in NO_TEMPLATE and _is_template(value)]
    if templates:
        found |= _resolved(host, found, templates, manager, loader)
    return {name: _shown(name, value) for name, value in (rest | found).items()}


def others(known: Iterable[Any], groups: Mapping[str, Any], names: Iterable[str], manager: Any, loader: Any) -> str:
    """How many hosts these are, and a fingerprint of their settings and of who is in which group."""
    names, hosts = list(names), {host.name: host for host in known}
    document = {
        "hosts": {name: _settings_or_why_not(hosts[name], names, manager, loader) for name in sorted(hosts)},
        "groups": {name: sorted(host.name for host in groups[name].get_hosts()) for name in sorted(groups)},
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
    return f"{len(hosts)}, with the fingerprint {digest[:24]}"


def _settings_or_why_not(host: Any, names: Iterable[str], manager: Any, loader: Any) -> Any:
    """A host that nothing is to be done on keeps no run from beginning."""
    try:
        return settings(host, names, manager, loader)
    except Unresolved as error:
        return str(error)


def _resolved(host: Any, values: Mapping[str, Any], names: Iterable[str], manager: Any, loader: Any) -> dict[str, Any]:
    """The values of these variables, which are templates, as they come out; the host keeps them. Raises Unresolved."""
    templar = Templar(loader=loader, variables=manager.get_vars(host=host))
    resolved = {}
    for name in names:
        try:
            resolved[name] = templar.template(values[name])
        except AnsibleError as error:
            raise Unresolved(host.name, name, " ".join(str(error.message).split())) from None
        host.set_variable(name, resolved[name])
    return resolved


def _is_template(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_template, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_is_template, value))
    return isinstance(value, str) and not isinstance(value, EncryptedString) and bool(_TEMPLATE.search(value))


def _shown(name: str, value: Any) -> Any:
    """The value, or its fingerprint where it may be a secret: by its name, or because a password stands in it."""
    if isinstance(value, Mapping):
        return {key: _shown(f"{name} {key}" if _is_secret(name) else str(key), one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(name, one) for one in value]
    if isinstance(value, EncryptedString) or (isinstance(value, str) and value and _may_be_secret(name, value)):
        return f"a secret with the fingerprint {fingerprint(name, str(value))}"
    return value


def _may_be_secret(name: str, value: str) -> bool:
    return _is_secret(name) or bool(_ADDRESS_WITH_PASSWORD.search(value))


def _is_secret(name: str) -> bool:
    return bool(_SECRET.search(name)) and not _PLACE.search(name)
