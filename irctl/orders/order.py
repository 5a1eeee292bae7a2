"""What is asked for, and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from irctl.approvals.approval_input import NOTHING_SHOWN, ApprovalInput
from irctl.catalog.catalog import Remediation
from irctl.running.results import Host

SCHEMA = "irctl/run/1"
SUCCEEDED = ("changed", "unchanged")  # the outcomes of a host, or of all of them, that nobody has to look at

Show = Callable[[str, Any], None]  # is told ('hosts', names), ('step', Step) and ('message', text)


@dataclass(frozen=True)
class Order:
    """What the caller asks for.

    `names` are hosts and groups of the inventory, or with `only_hosts` hosts; `given` the parameters that were typed, by variable.
    `lease` is the number of seconds after which the change must end by itself, 0 for a change that stays. `reverts` is the run that
    this one undoes, `sealed` the manifest of its record, if any, and `made_on` its hosts with their settings. An `urgent` order,
    the end of a lease for instance, is tried although changes are stopped or the disk is full. A `drill` needs hosts that are
    marked for drills, and no approval. `begin` opens the incident once the hosts and their settings are known.
    """

    remediation: Remediation
    names: tuple[str, ...]
    given: Mapping[str, Any]
    check: bool = False
    incident: str = ""
    timeout: int = 600
    entry_point: str = "main"
    verbosity: int = 0
    lease: int = 0
    only_hosts: bool = False
    reverts: str = ""
    sealed: Mapping[str, Any] | None = None
    made_on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    urgent: bool = False
    approval_input: ApprovalInput = NOTHING_SHOWN
    drill: bool = False
    begin: Callable[[Mapping[str, Any]], str] | None = None

    @property
    def changes(self) -> bool:
        """Whether it may change anything."""
        return not self.check and self.remediation.about["kind"] == "remediation" and self.entry_point != "verify"

    @property
    def service(self) -> str:
        """What is locked on each host while it is carried out."""
        return str(self.remediation.about["service"])

    @property
    def title(self) -> str:
        """'db-connections', 'diagnose postgres', or for another entry point 'db-connections fault'."""
        name = self.remediation.role.replace("_", "-", 1).replace("diagnose-", "diagnose ").replace("_", "-")
        return name if self.entry_point == "main" else f"{name} {self.entry_point}"


@dataclass
class Outcome:
    """What became of an order: the envelope's facts, and the plan that was carried out. `seconds` is how long it took."""

    outcome: str
    exit_code: int
    hosts: dict[str, Host] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    plan_hash: str = ""
    run: str = ""
    folder: str = ""
    started: str = ""
    seconds: float = 0.0
    interrupted: str = ""

    @property
    def succeeded(self) -> bool:
        return self.outcome in SUCCEEDED

    def reasons(self, most: int = 3) -> str:
        """The host and the reason for each of the first few, those that did not succeed before the others."""
        hosts = sorted(self.hosts.items(), key=lambda item: item[1].outcome in SUCCEEDED)
        sentences = [f"{name}: {host.reason}" for name, host in hosts[:most]]
        return "; ".join([*sentences, f"and {len(hosts) - most} more"] if len(hosts) > most else sentences)


def envelope(order: Order, result: Outcome) -> dict[str, Any]:
    """The one JSON object that `--json` prints and result.json keeps."""
    return {
        "schema": SCHEMA,
        "run": result.run,
        "remediation": order.title,
        "incident": order.incident or None,
        "check": order.check,
        "outcome": result.outcome,
        "exit_code": result.exit_code,
        "hosts": {name: host.document() for name, host in result.hosts.items()},
        "plan_hash": result.plan_hash,
        "started": result.started,
        "seconds": result.seconds,
        "folder": result.folder,
    }
